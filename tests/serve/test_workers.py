"""Workers side by side behind one port: streams are found wherever their client comes back, and figures are of all."""

import os
import re
import signal
import subprocess
import sys
import threading

import httpx
import numpy as np
import pytest

from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve import connect
from streamrnn.serve.siblings import Siblings, merged
from tests.serve.conftest import Relay, Running

KEY = b"a key that all workers share, and nobody else"


@pytest.fixture
def two(running, tmp_path):
    """two(**options) -> two workers, each at a port of its own, as contexts."""
    (tmp_path / "key").write_bytes(KEY)

    def run(index: int, models=None, **settings):
        siblings = Siblings(tmp_path, index, 2)
        return running(models, siblings=siblings, resume_key_file=tmp_path / "key", resume_s=20.0, **settings)

    return run


def change_over(relay: Relay, to: Running) -> None:
    relay.server_port = to.port
    relay.cut()


def test_a_client_that_comes_back_to_another_worker_hears_the_same_events(two, loudness, bursts):
    sound, events = bursts(6.2), []
    with two(0) as first, two(1) as second:
        relay = Relay(first.port)
        with connect(relay.url, "loudness", 16_000) as client:
            for number, start in enumerate(range(0, len(sound), 1600)):
                if number % 10 == 9:
                    change_over(relay, second if number % 20 == 9 else first)
                events += client.feed(sound[start : start + 1600])
            events += client.finish()
            assert client.restarts == 0
            assert len(first.server.sessions) + len(second.server.sessions) == 1
        relay.close()
    listener = Listener(loudness)
    expected = listener.feed(sound) + listener.finish()
    assert [(e.kind, round(e.start_s, 4)) for e in events] == [(e.kind, round(e.start_s, 4)) for e in expected]


def test_sound_changes_over_without_a_gap(two, quieter, bursts):
    sound, models = bursts(4.0, 44_100), {"quieter": quieter}
    with two(0, models) as first, two(1, models) as second:
        relay = Relay(first.port)
        with connect(relay.url, "quieter", 44_100, encoding="f32le") as client:
            for number, part in enumerate(np.array_split(sound, 30)):
                if number in (10, 20):
                    change_over(relay, second if number == 10 else first)
                client.feed(part)
            client.finish()
            found = client.sound()
        relay.close()
    enhancer = Enhancer(quieter, 44_100)
    assert found == pytest.approx(np.concatenate([enhancer.process(sound), enhancer.flush()]), abs=1e-5)


def test_a_finished_stream_changes_over_and_can_be_reset(two, bursts, talk):
    with two(0) as first, two(1) as second:
        client = talk(first)
        ready = client.hello()
        client.send(bursts(0.9))
        client.flush()
        client.drop()
        again = talk(second)
        again.seq = client.seq
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": client.seq}
        found = again.hello(resume=resume)
        assert (found["type"], found["session"], found["received_samples"]) == ("ready", ready["session"], 14_400)
        assert again.flush()[-1]["duration_s"] == 0.9
        again.say("reset")
        again.until("was_reset")
        again.send(bursts(0.3))
        assert again.flush()[-1]["duration_s"] == 0.3


def test_a_stream_is_given_to_nobody_who_does_not_know_its_secret(two, talk):
    with two(0) as first, two(1) as second:
        ready = talk(first).hello()
        wrong = {"session": ready["session"], "secret": "guessed", "seq": 0}
        assert talk(second).hello(resume=wrong)["code"] == "resume_failed"
        assert ready["session"] in first.server.sessions


def test_health_and_figures_are_of_all_workers(two, talk):
    with two(0) as first, two(1) as second:
        talk(first).hello()
        talk(second).hello()
        health = httpx.get(f"{second.url}/healthz").json()
        assert (health["streams"], health["max_streams"]) == (2, 64)
        text = httpx.get(f"{first.url}/metrics").text
        assert re.findall(r'streamrnn_streams\{worker="(\d)",model="loudness"\} 1\.0', text) == ["0", "1"]
        assert text.count("# TYPE streamrnn_streams gauge") == 1
    with two(0) as alone:
        assert httpx.get(f"{alone.url}/healthz").json()["streams"] == 0


def test_texts_of_workers_are_one_with_a_label():
    text = '# HELP a_total what\n# TYPE a_total counter\na_total 1.0\na_total{x="y"} 2.0\n'
    assert merged({0: text, 3: text}).splitlines() == [
        "# HELP a_total what",
        "# TYPE a_total counter",
        'a_total{worker="0"} 1.0',
        'a_total{worker="0",x="y"} 2.0',
        'a_total{worker="3"} 1.0',
        'a_total{worker="3",x="y"} 2.0',
    ]


@pytest.mark.system
def test_two_processes_share_a_port_and_one_that_is_killed_is_replaced(sample_path):
    command = [sys.executable, "-m", "streamrnn", "serve", "vad", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        try:
            url = parent.stdout.readline().split()[-1]
            workers = pids(url)
            assert len(workers) == 2
            with connect(url, "vad", 16_000) as client:
                client.feed(np.zeros(16_000, np.int16))
                client.finish()
            # A worker that dies soon after it has begun would not be replaced.
            threading.Event().wait(10)
            os.kill(int(workers["0"]), signal.SIGKILL)
            for _ in range(600):
                threading.Event().wait(0.1)
                if len(found := pids(url)) == 2 and found["0"] != workers["0"]:
                    break
            assert len(found) == 2 and found["0"] != workers["0"]
        finally:
            parent.send_signal(signal.SIGTERM)
            assert parent.wait(60) == 128 + signal.SIGTERM


def pids(url: str) -> dict[str, str]:
    """Number of each worker -> when it began."""
    try:
        text = httpx.get(f"{url}/metrics", timeout=20).text
    except httpx.HTTPError:
        return {}
    return dict(re.findall(r'streamrnn_process_id\{worker="(\d)"\} (\d+)\.0', text))
