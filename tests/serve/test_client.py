"""The clients against a server: the answers of a Listener and an Enhancer, whatever happens to the connection."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioError
from streamrnn.decisions import Event
from streamrnn.runtime import Enhancer, Listener
from streamrnn.serve import ConnectionLost, ServerRefused, connect, connect_async
from streamrnn.serve.client import AsyncClient, Client

ROOT = Path(__file__).parents[2]
CHUNK = 1600


@pytest.fixture(scope="module")
def server(running):
    """One that waits for its clients, however busy the machine is."""
    with running(resume_s=20.0) as server:
        yield server


@pytest.fixture
def sound(bursts) -> np.ndarray:
    return bursts(4.2)


@pytest.fixture
def expected(loudness, sound) -> list[Event]:
    return events_of(Listener(loudness), sound)


def chunks_of(sound: np.ndarray) -> list[np.ndarray]:
    return [sound[start : start + CHUNK] for start in range(0, len(sound), CHUNK)]


def events_of(listener: Listener | Client, sound: np.ndarray, between: Callable[[int], None] = lambda n: None):
    events = []
    for number, chunk in enumerate(chunks_of(sound)):
        between(number)
        events += listener.feed(chunk)
    return events + listener.finish()


def assert_same(events: list[Event], expected: list[Event]) -> None:
    assert expected
    assert [(e.kind, e.label, e.start_s, e.end_s, e.decided_s) for e in events] == [
        (e.kind, e.label, pytest.approx(e.start_s), pytest.approx(e.end_s), pytest.approx(e.decided_s))
        for e in expected
    ]


def test_events_are_a_listeners(server, sound, expected):
    with connect(server.url, "loudness", 16_000) as client:
        assert_same(events_of(client, sound), expected)
        assert client.duration_s == pytest.approx(4.2)
        assert (client.ready.model, client.ready.labels, client.latency.algorithmic_ms) == ("loudness", ("speech",), 40)
        assert client.finish() == []


def test_stereo_bytes_and_arrays_give_the_same_events(server, bursts, expected):
    stereo = bursts(4.2, channels=2)
    for form, prepared in (({"channels": 2}, stereo), ({"channels": 2}, stereo.tobytes()), ({}, stereo)):
        with connect(server.url, sample_rate=16_000, **form) as client:
            assert_same(client.feed(prepared) + client.finish(), expected)


def test_settings_reach_the_decoder(server, loudness, sound):
    with connect(server.url, "loudness", 16_000, min_silence_ms=700) as client:
        assert_same(events_of(client, sound), events_of(Listener(loudness, min_silence_ms=700), sound))
        assert client.ready.settings["min_silence_ms"] == 700


def test_levels_are_the_models_activity(server, loudness, sound):
    listener, levels = Listener(loudness), []
    with connect(server.url, "loudness", 16_000, levels=True) as client:
        client.feed(sound)
        levels += client.levels
        client.finish()
        levels += client.levels
    listener.feed(sound)
    heard = [listener.outputs[:, 0]]
    listener.finish()
    heard.append(listener.outputs[:, 0])
    values = [part.values for part in levels]
    assert np.concatenate(values) == pytest.approx(np.concatenate(heard), abs=1e-3)
    begins = np.cumsum([0, *map(len, values)])[:-1]
    assert [part.start_s / part.frame_s for part in levels] == pytest.approx(begins.tolist())


@pytest.fixture(scope="module")
def sound_server(running, quieter):
    with running({"quieter": quieter}) as server:
        yield server


def test_sound_is_an_enhancers(sound_server, quieter, bursts):
    sound, enhancer, parts = bursts(1.0, 48_000), Enhancer(quieter, 48_000), []
    with connect(sound_server.url, "quieter", 48_000, encoding="f32le") as client:
        for chunk in chunks_of(sound):
            assert client.feed(chunk) == []
            parts.append(client.sound())
        assert client.finish() == []
        parts.append(client.sound())
    expected = np.concatenate([enhancer.process(sound), enhancer.flush()])
    assert np.concatenate(parts) == pytest.approx(expected, abs=1e-5)


def test_after_a_reset_a_new_stream_begins(server, sound, expected):
    with connect(server.url, "loudness", 16_000) as client:
        client.feed(sound[:30_000])
        client.reset()
        assert client.duration_s == 0
        assert_same(events_of(client, sound), expected)
        client.reset()
        assert_same(events_of(client, sound), expected)


def test_a_closed_client_is_gone_at_the_server_too_and_takes_no_sound(server, eventually):
    client = connect(server.url)
    client.close()
    client.close()
    eventually(lambda: not server.server.sessions)
    with pytest.raises(RuntimeError, match="Connect again"):
        client.feed(b"")


def test_what_is_no_sound_is_refused_and_the_stream_goes_on(server, sound, expected):
    with connect(server.url, sample_rate=16_000) as client:
        for wrong in (b"odd", np.array([np.nan], np.float32)):
            with pytest.raises(AudioError):
                client.feed(wrong)
        assert_same(events_of(client, sound), expected)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"model": "none"}, "unknown_model"), ({"sample_rate": 7}, "bad_hello"), ({"mood": 1.0}, "bad_hello")],
)
def test_a_server_says_why_it_refuses(server, wrong, code):
    with pytest.raises(ServerRefused) as refused:
        connect(server.url, **wrong)
    assert refused.value.code == code


def test_the_token_is_shown_and_a_wrong_one_refused(running, monkeypatch):
    monkeypatch.setenv("STREAMRNN_TOKEN", "open-sesame")
    with running() as server:
        connect(server.url, token="open-sesame").close()
        with pytest.raises(ServerRefused, match="unauthorized"):
            connect(server.url, token="sesame")


def test_a_client_that_was_not_entered_says_so():
    async def use():
        client = connect_async("ws://127.0.0.1:1")
        for call in (client.feed(bytes(2)), client.finish(), client.reset(), anext(aiter(client))):
            with pytest.raises(RuntimeError, match="Enter it first: async with"):
                await call
        assert client.duration_s == 0
        await client.close()

    asyncio.run(use())


def test_where_nobody_serves_the_error_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionError, match=f"cannot reach ws://127.0.0.1:{port}/v1/stream .*streamrnn serve"):
        connect(f"http://127.0.0.1:{port}")


def test_lost_connections_change_no_event(relay, sound, expected):
    with connect(relay.url, "loudness", 16_000) as client:
        assert_same(events_of(client, sound, lambda n: relay.cut() if n % 9 == 4 else None), expected)
        assert client.restarts == 0


def test_a_connection_lost_before_the_end_changes_no_event(relay, sound, expected):
    with connect(relay.url, "loudness", 16_000) as client:
        events = client.feed(sound)
        relay.cut()
        assert_same(events + client.finish(), expected)
        relay.cut()
        client.reset()
        assert_same(events_of(client, sound), expected)


def test_a_connection_on_which_nothing_comes_any_more_is_given_up_for_another(relay, sound, expected, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.client.ANSWER_S", 0.2)
    with connect(relay.url, "loudness", 16_000) as client:
        events = client.feed(sound)
        relay.stall()
        assert_same(events + client.finish(), expected)


def test_who_accepts_and_never_answers_is_no_server(monkeypatch):
    monkeypatch.setattr("streamrnn.serve.client_link.OPEN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionError, match="timed out"):
        connect(f"ws://127.0.0.1:{silent.getsockname()[1]}")


def test_where_the_server_stays_away_the_time_is_kept_and_the_loss_told(relay, sound):
    with connect(relay.url, "loudness", 16_000, reconnect_s=0.3) as client:
        client.feed(sound[:CHUNK])
        relay.is_down = True
        relay.cut()
        began_s = time.monotonic()
        with pytest.raises(ConnectionLost, match=r"of 4\.30 s of sound"):
            client.feed(sound)
            client.finish()
        assert 0.2 < time.monotonic() - began_s < 5


def test_a_server_that_forgot_the_stream_is_a_clear_error(relay, running, sound):
    with connect(relay.url, "loudness", 16_000) as client, running() as another:
        client.feed(sound)
        relay.server_port = another.port
        relay.cut()
        with pytest.raises(ConnectionLost, match="no stream waits"):
            client.finish()


def test_with_restart_a_new_stream_goes_on_where_the_old_one_was_lost(relay, running, loudness, bursts):
    sound = bursts(6.0)
    with connect(relay.url, "loudness", 16_000, restart=True) as client, running() as another:

        def crash(number: int) -> None:
            if number == 30:
                relay.server_port = another.port
                relay.cut()

        events = events_of(client, sound, crash)
        assert client.restarts == 1
    expected = events_of(Listener(loudness), sound)
    # The crash comes at 3 s, in a pause. What follows is found again, at its place.
    later, expected_later = ([e for e in heard if e.start_s > 3] for heard in (events, expected))
    assert_same(later, expected_later)
    assert [event.kind for event in events] == ["speech_start", "speech_end"] * (len(events) // 2)


def test_another_connection_takes_a_stream_over(server):
    first = connect(server.url, "loudness", 16_000)
    second = connect(server.url, "loudness", 16_000)
    second._stream._session, second._stream._seq = first._stream._session, 0
    second._connection.close()
    second.feed(bytes(CHUNK))
    with pytest.raises(ServerRefused, match="taken_over"):
        while True:
            first.feed(bytes(CHUNK))
    first.close()
    second.close()


def run(talk) -> None:
    asyncio.run(asyncio.wait_for(talk, 30))


async def fed(client: AsyncClient, sound: np.ndarray, between: Callable[[int], None] = lambda n: None) -> list[Event]:
    events = []
    for number, chunk in enumerate(chunks_of(sound)):
        between(number)
        events += await client.feed(chunk)
    return events + await client.finish()


def test_asynchronous_events_are_a_listeners(server, sound, expected):
    async def talk() -> None:
        async with connect_async(server.url, "loudness", 16_000) as client:
            assert_same(await fed(client, sound), expected)
            await client.reset()
            assert_same(await fed(client, sound), expected)
            assert client.duration_s == pytest.approx(4.2)

    run(talk())


def test_one_task_may_feed_while_another_takes_the_events(relay, sound, expected):
    async def talk() -> None:
        async with connect_async(relay.url, "loudness", 16_000) as client:

            async def feed() -> list[Event]:
                await asyncio.sleep(0)
                return await fed(client, sound, lambda n: relay.cut() if n == 20 else None)

            feeding = asyncio.create_task(feed())
            events = [event async for event in client]
            assert await feeding == []
            assert_same(events, expected)

    run(talk())


def test_asynchronous_sound_is_an_enhancers(sound_server, quieter, bursts):
    sound, enhancer = bursts(1.0), Enhancer(quieter)

    async def talk() -> np.ndarray:
        async with connect_async(sound_server.url, encoding="f32le") as client:
            await fed(client, sound)
            return client.sound()

    clean = asyncio.run(talk())
    assert clean == pytest.approx(np.concatenate([enhancer.process(sound), enhancer.flush()]), abs=1e-5)


def test_a_loss_reaches_whoever_feeds_and_whoever_takes_events(relay, sound):
    async def talk() -> None:
        async with connect_async(relay.url, "loudness", 16_000, reconnect_s=0.2) as client:
            await client.feed(sound)
            relay.is_down = True
            relay.cut()
            with pytest.raises(ConnectionLost):
                async for _ in client:
                    pass
            with pytest.raises(ConnectionLost):
                await client.feed(sound)

    run(talk())


def test_an_asynchronous_client_says_why_it_is_refused(server):
    async def talk() -> None:
        with pytest.raises(ServerRefused, match="unknown_model"):
            async with connect_async(server.url, "none"):
                pass

    run(talk())


def test_clients_need_no_jax():
    code = "import sys; from streamrnn.serve import connect, connect_async; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(ended.stdout.split()) & {"jax", "flax", "starlette", "uvicorn", "scipy.signal"} == set()
