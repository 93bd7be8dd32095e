"""Streams in a store: another server goes on with them when theirs is gone, and a store that fails harms nobody."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from redis import client

from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve import connect
from streamrnn.serve.siblings import Siblings
from streamrnn.serve.store import Store, StoreFailed
from tests.serve.conftest import Relay

KEY = b"a key that both nodes share, and nobody else"
REDIS = shutil.which("redis-server") or shutil.which("valkey-server")
pytestmark = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A store of its own, which can be stopped: redis.url, redis.process."""
    folder = tmp_path_factory.mktemp("redis")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder)
    with subprocess.Popen([REDIS, *options], stdout=subprocess.DEVNULL) as process:
        for _ in range(400):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            threading.Event().wait(0.05)
        yield SimpleNamespace(url=f"redis://127.0.0.1:{port}", port=port, process=process)
        process.kill()


@pytest.fixture
def node(running, redis, tmp_path, monkeypatch):
    """node(models, **settings) -> a node with the store, as a context."""
    monkeypatch.setattr("streamrnn.serve.storing.EVERY_S", 0.2)
    (tmp_path / "key").write_bytes(KEY)
    usual = {"resume_key_file": tmp_path / "key", "resume_s": 20.0, "silence_s": 60.0, "store": redis.url}
    return lambda models=None, **settings: running(models, **{**usual, **settings})


def events_of(model, sound) -> list:
    listener = Listener(model)
    return told(listener.feed(sound) + listener.finish())


def told(events) -> list:
    return [(e.kind, round(e.start_s, 4), round(e.decided_s, 4)) for e in events]


def is_cut_off(relay: Relay, to) -> None:
    """As where a node is gone: nothing more comes from it, and the next connection is another's."""
    relay.stall()
    relay.server_port = to.port
    relay.cut()


def heard_through(relay: Relay, sound: np.ndarray, at: dict) -> list:
    """The events of sound that comes a little faster than it is said; before its Nth tenth of a second, at[N] is done.
    The client never has to begin anew.
    """
    events = []
    with connect(relay.url, "loudness", 16_000) as client:
        for number, start in enumerate(range(0, len(sound), 1600)):
            at.get(number, lambda: None)()
            events += client.feed(sound[start : start + 1600])
            threading.Event().wait(0.03)
        events += client.finish()
        assert client.restarts == 0
    relay.close()
    return events


def stored(server) -> float:
    found = re.search(r"^streamrnn_stored_total (\S+)", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_another_node_goes_on_from_what_was_stored_and_says_nothing_twice(node, loudness, bursts):
    sound = bursts(6.2)
    with node() as first, node() as second:
        relay = Relay(first.port)
        cuts = {20: lambda: is_cut_off(relay, second), 40: lambda: is_cut_off(relay, first)}
        events = heard_through(relay, sound, cuts)
    assert told(events) == events_of(loudness, sound)


def test_sound_comes_back_once_and_whole(node, quieter, bursts):
    sound, models = bursts(4.0), {"quieter": quieter}
    with node(models) as first, node(models) as second:
        relay = Relay(first.port)
        with connect(relay.url, "quieter", 16_000, encoding="f32le") as client:
            for number, part in enumerate(np.array_split(sound, 40)):
                client.feed(part)
                threading.Event().wait(0.03)
                if number == 25:
                    is_cut_off(relay, second)
            client.finish()
            found = client.sound()
        relay.close()
    enhancer = Enhancer(quieter, 16_000)
    assert found == pytest.approx(np.concatenate([enhancer.process(sound), enhancer.flush()]), abs=1e-5)


def test_progress_confirms_what_is_stored_and_nothing_else(node, talk, bursts):
    with node() as server:
        client = talk(server)
        client.hello()
        client.send(bursts(1.0))
        confirmed = [client.until("progress")[-1]["received_samples"]]
        while confirmed[-1] < 16_000:
            confirmed.append(client.until("progress")[-1]["received_samples"])
        assert confirmed == sorted(confirmed) and stored(server) > len(confirmed)


def test_a_finished_and_a_reset_stream_are_stored_before_that_is_said(node, talk, bursts):
    with node() as first, node() as second:
        client = talk(first)
        ready = client.hello()
        client.send(bursts(0.9))
        client.flush()
        for command, answer in (("flush", "flushed"), ("reset", "was_reset")):
            again = talk(second if command == "flush" else first)
            # What was said last did not reach the client.
            again.seq = client.seq - (command == "flush")
            found = again.hello(resume={"session": ready["session"], "secret": ready["secret"], "seq": again.seq})
            assert found["type"] == "ready"
            if command == "flush":
                assert again.until("flushed")[-1]["duration_s"] == 0.9
            again.say(command)
            again.until(answer)
            client = again
        client.send(bursts(0.3))
        assert client.flush()[-1]["duration_s"] == 0.3


def test_a_reset_that_comes_while_the_end_is_being_stored_begins_a_stream_with_an_end_of_its_own(
    node, redis, loudness, talk, bursts, eventually
):
    sound = bursts(2.2)
    with node() as server:
        talking = talk(server)
        session = server.server.sessions[talking.hello()["session"]]
        talking.send(sound)
        talking.until("event")
        with client.Redis(port=redis.port) as store:
            store.client_pause(1000, all=False)
        talking.say("flush")
        eventually(lambda: any('"flushed"' in said for said in session.said.last(999)))
        talking.say("reset")
        talking.until("was_reset")
        talking.send(sound)
        found = talking.flush()
    events = [(m["kind"], m["start_s"], m["decided_s"]) for m in found if m["type"] == "event"]
    assert events == events_of(loudness, sound)


def test_a_stream_that_its_client_brought_along_is_stored_too(node, loudness, bursts):
    sound = bursts(4.2)
    with node() as first, node() as second, node() as third:
        relay = Relay(first.port)

        def ends() -> None:
            relay.server_port = second.port
            first.end()

        events = heard_through(relay, sound, {12: ends, 30: lambda: is_cut_off(relay, third)})
    assert told(events) == events_of(loudness, sound)


def test_a_stream_that_changes_over_between_workers_stays_in_the_store(node, tmp_path, loudness, bursts):
    sound = bursts(4.2)
    with (
        node(siblings=Siblings(tmp_path, 0, 2)) as first,
        node(siblings=Siblings(tmp_path, 1, 2)) as second,
        node() as other,
    ):
        store = first.server.crossing._storing._store
        forget = store.forget

        async def late(session):
            await asyncio.sleep(0.3)
            await forget(session)

        store.forget = late
        relay = Relay(first.port)

        def is_moved() -> None:
            relay.server_port = second.port
            relay.cut()

        events = heard_through(relay, sound, {12: is_moved, 30: lambda: is_cut_off(relay, other)})
    assert told(events) == events_of(loudness, sound)


def test_a_reset_is_answered_by_a_node_that_has_said_less_than_the_client_has_heard(
    node, loudness, bursts, monkeypatch
):
    with node() as first, node() as second:
        relay = Relay(first.port)
        with connect(relay.url, "loudness", 16_000) as client:
            # From now on nothing is stored.
            monkeypatch.setattr("streamrnn.serve.storing.EVERY_S", 60.0)
            events = client.feed(bursts(2.2))
            while not events:
                threading.Event().wait(0.02)
                events += client.feed(np.zeros(160, np.int16))
            is_cut_off(relay, second)
            client.reset()
            assert told(client.feed(bursts(2.2)) + client.finish()) == events_of(loudness, bursts(2.2))
        relay.close()


def test_two_connections_that_ask_for_a_stored_stream_at_once_take_one_place(node, talk, bursts, eventually):
    with node() as first, node(resume_s=0.3) as second:
        client = talk(first)
        ready = client.hello()
        client.send(bursts(0.5))
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": 0}
        both = [talk(second), talk(second)]
        for one in both:
            one.say("hello", version=1, resume=resume)
        assert [one.read()["type"] for one in both] == ["ready", "ready"]
        pool = second.server.engines["loudness"]._pool
        assert len(pool.streams) == 1
        for one in both:
            one.drop()
        eventually(lambda: not pool.streams)


def test_who_goes_away_before_there_is_an_answer_leaves_no_stream_behind(node, talk, eventually, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.sessions.BEGIN_S", 0.3)
    with node() as server:
        waits = asyncio.Event()

        async def slow(session):
            await waits.wait()

        server.server.crossing._storing.save = slow
        client = talk(server)
        client.say("hello", version=1)
        pool = server.server.engines["loudness"]._pool
        eventually(lambda: len(pool.streams) == 1)
        client.drop()
        eventually(lambda: not pool.streams and not server.server.sessions)


@pytest.mark.parametrize(
    ("url", "told_as"),
    [
        ("valkey://valkey:6379/1", {"host": "valkey", "port": 6379, "db": 1}),
        ("redis://:valkey@127.0.0.1", {"host": "127.0.0.1", "password": "valkey"}),
        ("unix:///run/valkey/valkey.sock", {"path": "/run/valkey/valkey.sock"}),
        ("VALKEY://valkey", {"host": "valkey"}),
    ],
)
def test_the_name_of_a_store_is_its_own_whatever_it_contains(url, told_as):
    options = Store(url, 1.0)._redis.connection_pool.connection_kwargs
    assert {name: options[name] for name in told_as} == told_as


def test_a_stream_that_is_claimed_is_kept_as_long_as_one_that_is_saved(redis):
    async def claimed():
        old, new = Store(redis.url, 10.0), Store(redis.url, 1000.0)
        await old.save([("claimed", old.next_version(), b"state")])
        assert await new.claim("claimed") == b"state"
        kept_ms = await new._redis.pttl("streamrnn:stream:claimed")
        await old.end()
        await new.end()
        return kept_ms

    assert asyncio.run(claimed()) > 10_000


def test_who_does_not_know_the_secret_takes_nothing_over(node, talk):
    with node() as first, node() as second:
        owner = talk(first)
        ready = owner.hello()
        wrong = {"session": ready["session"], "secret": "guessed", "seq": 0}
        assert talk(second).hello(resume=wrong)["code"] == "resume_failed"
        owner.say("flush")
        owner.until("flushed")


def test_what_is_stored_of_another_model_is_refused_by_name(node, talk, loudness, quieter, bursts):
    other = type(loudness)()
    other.network.layers[-1].bias[...] += 1
    with node() as first, node({"loudness": other}) as second:
        client = talk(first)
        ready = client.hello()
        client.drop()
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": 0}
        error = talk(second).hello(resume=resume)
        assert error["code"] == "resume_failed" and "fingerprint" in error["message"]


def test_a_store_that_is_down_holds_nobody_up(node, redis, loudness, bursts, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.storing.PATIENCE_S", 0.5)
    monkeypatch.setattr("streamrnn.serve.store.ANSWER_S", 0.3)
    sound, events = bursts(2.2), []
    with node() as server, connect(server.url, "loudness", 16_000) as client:
        for number, start in enumerate(range(0, len(sound), 1600)):
            if number in (5, 15):
                redis.process.send_signal(19 if number == 5 else 18)
            events += client.feed(sound[start : start + 1600])
            threading.Event().wait(0.05)
        events += client.finish()
    assert told(events) == events_of(loudness, sound)


def test_no_store_and_nonsense_are_named_before_anything_is_served(node):
    with pytest.raises(ValueError, match="needs an address such as redis"):
        node(store="mysql://127.0.0.1").__enter__()
    with socket.create_server(("127.0.0.1", 0)) as speaks_nonsense:
        answering = threading.Thread(target=answer_nonsense, args=(speaks_nonsense,), daemon=True)
        answering.start()
        for port in (1, speaks_nonsense.getsockname()[1]):
            with pytest.raises(StoreFailed, match="there is no store at redis://127"):
                asyncio.run(Store(f"redis://user:secret@127.0.0.1:{port}", 1.0).check())
        speaks_nonsense.shutdown(socket.SHUT_RDWR)
        answering.join(5)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_without_its_store_ends_with_one_line_that_says_why(workers):
    where = "redis://127.0.0.1:1"
    command = [sys.executable, "-m", "streamrnn", "serve", "vad", "--port", "0", "--store", where]
    ended = subprocess.run([*command, "--workers", str(workers)], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1 and said[0].startswith(f"streamrnn: there is no store at {where} (")
    assert "Traceback" not in ended.stderr


def test_a_store_that_takes_nothing_or_answers_nothing_is_named(redis, tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.store.ANSWER_S", 0.3)
    other = client.Redis(port=redis.port)
    other.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreFailed, match=r"keeps nothing for this server .*maxmemory.*Is its memory full"):
            asyncio.run(checked(redis.url))
    finally:
        other.config_set("maxmemory", "0")
    other.config_set("requirepass", "secret")
    try:
        with pytest.raises(StoreFailed, match=r"authenticated.*redis://:PASSWORD@"):
            asyncio.run(checked(redis.url))
        asyncio.run(checked(redis.url.replace("//", "//:secret@")))
    finally:
        other.config_set("requirepass", "")
        other.close()
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(StoreFailed, match=r"there is no store at .*[Tt]imeout"):
        asyncio.run(checked(f"redis://127.0.0.1:{silent.getsockname()[1]}"))


async def checked(url: str) -> None:
    store = Store(url, 1.0)
    try:
        await store.check()
    finally:
        await store.end()


def answer_nonsense(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listening.accept()
            peer.recv(100)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()
