"""Workers side by side behind one port: streams are found wherever their client comes back, and figures are of all."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest

from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve import connect, workers
from streamrnn.serve.settings import ServerSettings
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


def test_a_worker_without_room_leaves_a_stream_where_it_is(two, talk, bursts):
    with two(0) as first, two(1, max_streams=1) as second:
        client = talk(first)
        ready = client.hello()
        client.send(bursts(0.9))
        client.flush()
        talk(second).hello()
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": client.seq}
        assert talk(second).hello(resume=resume)["code"] == "busy"
        assert talk(first).hello(resume=resume)["received_samples"] == 14_400


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


class Scripted:
    """A worker that lives until it is told to end, or says why it cannot begin and ends."""

    exitcode = 1

    def __init__(self, begins: bool):
        self.lives = begins

    def is_alive(self) -> bool:
        return self.lives

    def join(self, _timeout=None) -> None:
        pass


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """scripted(begins) -> the parent of two workers, which begin or not as listed; and all that were begun."""

    def make(begins: list[bool]):
        parent = workers._Workers({}, ServerSettings(port=0), tmp_path, [[], []], None)
        begun: list[Scripted] = []

        def begin(index: int) -> None:
            worker = Scripted(begins[len(begun)] if len(begun) < len(begins) else True)
            ready, tells = multiprocessing.Pipe(duplex=False)
            tells.send(None if worker.lives else "the store is down")
            begun.append(worker)
            parent._processes[index], parent._ready[index] = worker, ready
            parent._begun_s[index] = time.monotonic()

        monkeypatch.setattr(parent, "_begin", begin)
        monkeypatch.setattr(workers, "LOOK_S", 0.005)
        monkeypatch.setattr(workers, "PAUSES_S", (0.02, 0.04))
        for index in (0, 1):
            begin(index)
        return parent, begun

    return make


def watched(parent, until, kill=lambda: None):
    """Watches until it is so, or for 10 s."""
    ready = threading.Event()
    watching = threading.Thread(target=parent._watch, args=(ready.set,))
    watching.start()
    assert ready.wait(10)
    kill()
    deadline = time.monotonic() + 10
    while not until() and time.monotonic() < deadline:
        time.sleep(0.005)
    parent._signals.append(15)
    watching.join(10)
    assert until() and not watching.is_alive()


def test_a_worker_that_cannot_begin_again_is_tried_again_while_another_serves(scripted, caplog):
    parent, begun = scripted([True, True, False, False, False])

    def kill() -> None:
        begun[1].lives = False

    watched(parent, lambda: len(begun) == 6 and len(parent._processes) == 2 and not parent._ready, kill)
    assert begun[0].lives and begun[5].lives
    told = [(record.pause_s, getattr(record, "reason", None)) for record in caplog.records]
    assert told == [(0.02, None), *[(0.04, "the store is down")] * 3]


def test_what_cannot_begin_at_first_or_is_the_last_one_ends_the_server(scripted):
    parent, _ = scripted([True, False])
    with pytest.raises(workers.CannotBegin, match="store is down"):
        parent._watch(lambda: None)
    parent, begun = scripted([True, True, False])

    def kill() -> None:
        begun[0].lives = begun[1].lives = False

    with pytest.raises(workers.WorkerFailed, match="status 1"):
        parent._watch(kill)


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
