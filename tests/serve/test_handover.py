"""Servers that are restarted under their clients: streams go on elsewhere, and nothing is said twice or never."""

import asyncio
import base64
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve import ConnectionLost, connect, connect_async
from streamrnn.serve.handover import Handover, NotOurs, opened, own_key_file, read_key, sealed
from streamrnn.serve.lines import WebSocketLine
from streamrnn.serve.sessions import Session

CHUNK = 1600
KEY = b"a key that two servers share, and nobody else"


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY)
    return path


@pytest.fixture
def restarting(running, key_file):
    """restarting(**settings) -> restart(): one server after another at the same port, all with the same key."""
    with contextlib.ExitStack() as stack:

        def begin(**settings):
            current = contextlib.ExitStack()
            stack.callback(lambda: current.close())
            settings |= {"resume_key_file": key_file}
            servers = [current.enter_context(running(**settings))]

            def restart(**changed):
                current.close()
                servers.append(current.enter_context(running(**{**settings, "port": servers[0].port, **changed})))

            return servers, restart

        yield begin


def handover_of(snapshot, sample_rate=16_000) -> Handover:
    return Handover("loudness", sample_rate, "s16le", 1, {"threshold": 0.7}, 4711, 3, 12, snapshot)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_a_sealed_state_is_the_state_bit_for_bit(loudness, quieter, bursts, sample_rate):
    listener, enhancer = Listener(loudness, sample_rate), Enhancer(quieter, sample_rate)
    sound, rest = np.split(bursts(2.0, sample_rate), [33_333])
    listener.feed(sound)
    enhancer.process(sound)
    for old, new in ((listener, Listener(loudness, sample_rate)), (enhancer, Enhancer(quieter, sample_rate))):
        found = opened(sealed(handover_of(old.snapshot(), sample_rate), KEY), KEY)
        assert (found.received_samples, found.seq, found.frames, found.overrides) == (4711, 3, 12, {"threshold": 0.7})
        new.restore(found.snapshot)
    other = Listener(loudness, sample_rate)
    other.restore(opened(sealed(handover_of(listener.snapshot()), KEY), KEY).snapshot)
    assert other.feed(rest) + other.finish() == listener.feed(rest) + listener.finish()
    assert np.array_equal(new.process(rest), enhancer.process(rest))


def test_a_state_that_was_touched_or_made_with_another_key_is_not_read(loudness):
    state = sealed(handover_of(Listener(loudness).snapshot()), KEY)
    touched = [state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :] for at in (0, 31, 32, 40, len(state) - 1)]
    for wrong in (*touched, b"", state[:100], state + b"\0"):
        with pytest.raises(NotOurs, match="signed"):
            opened(wrong, KEY)
    with pytest.raises(NotOurs, match="same key"):
        opened(state, KEY[::-1])


def test_a_short_key_is_refused_and_one_of_the_users_own_is_kept_to_himself(tmp_path, monkeypatch):
    (tmp_path / "short").write_text("secret\n")
    with pytest.raises(ValueError, match="6 characters"):
        read_key(tmp_path / "short")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = own_key_file()
    assert path is not None and path.stat().st_mode & 0o777 == 0o600
    assert own_key_file() == path and read_key(path) == read_key(path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "short"))
    assert own_key_file() is None


def test_events_are_those_of_a_listener_whenever_the_server_is_restarted_under_its_clients(
    restarting, loudness, bursts
):
    """Ten clients of each kind, each somewhere else in its sound, and two restarts."""
    servers, restart = restarting(shutdown_s=60.0)
    sounds = [bursts(3.2)[700 * n :] for n in range(20)]
    heard: dict[int, list] = {}
    passed = [threading.Semaphore(0), threading.Semaphore(0)]
    pause_s = 0.005

    def marks(chunk: int) -> None:
        if chunk in (8, 16):
            passed[chunk // 16].release()

    def chunks(n: int):
        return enumerate(sounds[n][start : start + CHUNK] for start in range(0, len(sounds[n]), CHUNK))

    def hear(n: int) -> None:
        with connect(servers[0].url, "loudness", 16_000) as client:
            events = []
            for number, chunk in chunks(n):
                events += client.feed(chunk)
                marks(number)
                threading.Event().wait(pause_s)
            heard[n] = events + client.finish()
            assert client.restarts == 0

    async def hear_async(n: int) -> None:
        async with connect_async(servers[0].url, "loudness", 16_000) as client:
            events = []
            for number, chunk in chunks(n):
                events += await client.feed(chunk)
                marks(number)
                await asyncio.sleep(pause_s)
            heard[n] = events + await client.finish()
            assert client.restarts == 0

    async def hear_all() -> None:
        await asyncio.gather(*(hear_async(n) for n in range(10)))

    with ThreadPoolExecutor(12) as threads:
        hearing = [threads.submit(asyncio.run, hear_all()), *(threads.submit(hear, n) for n in range(10, 20))]
        for when in passed:
            for _ in sounds:
                assert when.acquire(timeout=20), [future.exception(0) for future in hearing if future.done()]
            restart()
        for future in hearing:
            future.result(60)
    for n, sound in enumerate(sounds):
        assert_same(heard[n], events_of(loudness, sound))


def test_a_slow_line_gets_the_state_before_the_end(restarting, loudness, bursts, monkeypatch):
    """Last words have little time; a stream on its way has as long as the server."""
    send = WebSocketLine.send

    async def slowly(line, payload):
        await asyncio.sleep(0.05)
        await send(line, payload)

    monkeypatch.setattr(WebSocketLine, "send", slowly)
    monkeypatch.setattr("streamrnn.serve.connection.LAST_WORDS_S", 0.0)
    servers, restart = restarting()
    sound = bursts(1.0)
    with connect(servers[0].url, "loudness", 16_000) as client:
        events = client.feed(sound[:8000])
        restart()
        events += client.feed(sound[8000:])
        # Of the second server nothing but the end of the stream is asked.
        assert client.restarts == 0
        monkeypatch.undo()
        assert_same(events + client.finish(), events_of(loudness, sound))


def test_streams_that_cannot_be_handed_over_in_time_are_told_of(running, loudness, bursts, monkeypatch, caplog):
    async def never(_session, _seal):
        await asyncio.Event().wait()

    monkeypatch.setattr(Session, "go", never)
    with running(shutdown_s=0.2) as server, connect(server.url, "loudness", 16_000, reconnect_s=0.5) as client:
        client.feed(bursts(0.2))
        server.end()
        with pytest.raises(ConnectionLost):
            client.finish()
    [record] = [r for r in caplog.records if "in time" in r.message]
    assert (record.streams, record.shutdown_s) == (1, 0.2)


def events_of(model, sound):
    listener = Listener(model)
    return listener.feed(sound) + listener.finish()


def assert_same(events, expected):
    assert expected
    assert [(e.kind, *map(pytest.approx, (e.start_s, e.decided_s))) for e in expected] == [
        (e.kind, e.start_s, e.decided_s) for e in events
    ]


def received(running) -> int:
    """Samples that a server took of its only stream."""
    return sum(session.received_samples for session in running.server.sessions.values())


def test_sound_comes_back_whole_over_a_restart(running, key_file, quieter, bursts):
    sound, parts = bursts(2.0, 44_100), []
    with running({"quieter": quieter}, resume_key_file=key_file) as first:
        port = first.port
        client = connect(first.url, "quieter", 44_100, encoding="f32le")
        client.feed(sound[:30_011])
    with running({"quieter": quieter}, port=port, resume_key_file=key_file), client:
        client.feed(sound[30_011:])
        client.finish()
        parts.append(client.sound())
        assert client.restarts == 0
    enhancer = Enhancer(quieter, 44_100)
    expected = np.concatenate([enhancer.process(sound), enhancer.flush()])
    assert np.concatenate(parts) == pytest.approx(expected, abs=1e-5)


def test_where_the_next_server_has_another_key_a_restart_loses_no_event_and_ends_open_speech(
    restarting, loudness, bursts, tmp_path, eventually
):
    (tmp_path / "another").write_bytes(KEY[::-1])
    servers, restart = restarting()
    sound = bursts(4.2)
    with connect(servers[0].url, "loudness", 16_000, restart=True) as client:
        # Speech is open at 1.7 s.
        events = client.feed(sound[:27_200])
        eventually(lambda: received(servers[0]) == 27_200)
        restart(resume_key_file=tmp_path / "another")
        events += client.feed(sound[27_200:])
        events += client.finish()
        assert client.restarts == 1
    ended = events_of(loudness, sound[:27_200])
    assert_same(events[: len(ended)], ended)
    assert [event.kind for event in events] == ["speech_start", "speech_end"] * (len(events) // 2)
    expected = [event for event in events_of(loudness, sound) if event.start_s > 2]
    assert_same([event for event in events if event.start_s > 2], expected)


def test_who_does_not_want_another_stream_is_told_and_given_the_last_events(
    restarting, loudness, bursts, tmp_path, eventually
):
    (tmp_path / "another").write_bytes(KEY[::-1])
    servers, restart = restarting()
    sound = bursts(1.7)
    with connect(servers[0].url, "loudness", 16_000) as client:
        events = client.feed(sound)
        eventually(lambda: received(servers[0]) == len(sound))
        restart(resume_key_file=tmp_path / "another")
        with pytest.raises(ConnectionLost) as lost:
            events += client.finish()
        assert_same([*events, *lost.value.events], events_of(loudness, sound))
        with pytest.raises(ConnectionLost):
            client.feed(sound)


def test_sound_that_comes_while_the_server_ends_is_neither_taken_nor_complained_of(running, talk, bursts, eventually):
    with running() as server:
        client = talk(server)
        client.hello()
        client.send(bursts(0.9))
        eventually(lambda: received(server) == 14_400)
        server.ask_to_end()
        said = client.until("going")
        client.send(bursts(0.5))
        messages, code, reason = client.ending()
    (going,) = (m for m in said if m["type"] == "going")
    assert going["received_samples"] == 14_400
    assert [m["type"] for m in messages if m["type"] != "event"][-2:] == ["flushed", "error"]
    assert (messages[-1]["code"], code, reason) == ("shutting_down", 1012, "shutting_down")
    assert messages[-2]["duration_s"] == 0.9


def left_behind(running, talk, bursts, key_file, eventually) -> tuple[bytes, dict]:
    """The state of a stream whose server ended, and how to ask for it to be gone on with."""
    with running(resume_key_file=key_file) as server:
        client = talk(server)
        ready = client.hello()
        client.send(bursts(0.9))
        eventually(lambda: received(server) == 14_400)
        server.ask_to_end()
        state = base64.b64decode(client.until("going")[-1]["state"])
    said = {"session": ready["session"], "secret": ready["secret"], "seq": client.seq, "state_bytes": len(state)}
    return state, said


def test_a_state_is_refused_where_it_does_not_belong_and_leaves_no_stream_behind(
    running, talk, bursts, key_file, eventually
):
    state, resume = left_behind(running, talk, bursts, key_file, eventually)
    wrong = [
        ({}, resume | {"seq": resume["seq"] + 1}, state, "resume_failed"),
        ({"sample_rate": 8000}, resume, state, "resume_failed"),
        ({"encoding": "f32le"}, resume, state, "resume_failed"),
        ({}, resume, state[:-1] + bytes([state[-1] ^ 1]), "resume_failed"),
        ({}, resume, state + b"\0", "bad_message"),
        ({}, resume, b"", "bad_message"),
        ({}, resume | {"state_bytes": 1 << 40}, state, "resume_failed"),
        ({}, resume | {"state_bytes": -1}, state, "resume_failed"),
    ]
    with running(resume_key_file=key_file, hello_s=0.3) as server:
        for hello, said, sent, code in wrong:
            client = talk(server)
            client.say("hello", version=1, **hello, resume=said)
            with contextlib.suppress(ConnectionClosed):
                client.socket.send(sent)
            assert client.ending()[0][0]["code"] == code
        silent = talk(server)
        assert silent.hello(resume=resume)["code"] == "hello_timeout"
        eventually(lambda: not server.server.sessions)
        right = talk(server)
        right.say("hello", version=1, resume=resume)
        right.socket.send(state)
        again = right.read()
        assert (again["type"], again["received_samples"], again["seq"]) == ("ready", 14_400, resume["seq"])
        assert again["session"] != resume["session"]


def test_a_state_of_a_model_with_other_weights_is_refused(running, talk, bursts, key_file, loudness, eventually):
    state, resume = left_behind(running, talk, bursts, key_file, eventually)
    other = type(loudness)()
    other.network.layers[-1].bias[...] += 1
    with running({"loudness": other}, resume_key_file=key_file) as server:
        client = talk(server)
        client.say("hello", version=1, resume=resume)
        client.socket.send(state)
        (error, *_), _, _ = client.ending()
        assert error["code"] == "resume_failed" and "fingerprint" in error["message"]
        assert not server.server.sessions


def test_the_log_tells_of_streams_that_go_and_of_those_that_come(restarting, bursts, caplog):
    caplog.set_level("INFO", "streamrnn.serve")
    servers, restart = restarting()
    with connect(servers[0].url, "loudness", 16_000) as client:
        client.feed(bursts(0.5))
        restart()
        client.feed(bursts(0.5))
        client.finish()
    told = [(record.message, record.__dict__.get("streams"), record.__dict__.get("by")) for record in caplog.records]
    assert told.index(("ending: streams go on where their clients come next", 1, None)) < told.index(
        ("a stream came over", None, "its client")
    )
