"""Clients behind proxies that have lost the server: whatever these say, it is a loss that passes or is told."""

import asyncio
import threading

import pytest

from streamrnn.runtime import Listener
from streamrnn.serve import ConnectionLost, connect, connect_async

CHUNK = 1600


@pytest.fixture(scope="module")
def server(running):
    """One that waits for its clients, however busy the machine is."""
    with running(resume_s=20.0) as server:
        yield server


@pytest.fixture
def sound(bursts):
    return bursts(2.2)


@pytest.fixture
def expected(loudness, sound):
    listener = Listener(loudness)
    return listener.feed(sound) + listener.finish()


def assert_same(events, expected):
    assert expected
    assert [(e.kind, e.start_s, e.end_s) for e in events] == [
        (e.kind, pytest.approx(e.start_s), pytest.approx(e.end_s)) for e in expected
    ]


def interrupt(relay) -> None:
    """The server is gone for a moment."""
    relay.is_down = True
    threading.Timer(0.05, lambda: setattr(relay, "is_down", False)).start()
    relay.cut()


def run(talk) -> None:
    asyncio.run(asyncio.wait_for(talk, 30))


def chunks_of(sound):
    return [sound[start : start + CHUNK] for start in range(0, len(sound), CHUNK)]


# What proxies and balancers say while nobody serves behind them, and what is left of it on a bad day.
REFUSALS = [
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: ftp://nowhere\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 20",
    b"nonsense",
    b"",
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_client_bears_it(relay, sound, expected, refusal):
    relay.refusal, events = refusal, []
    with connect(relay.url, "loudness", 16_000) as client:
        for number, chunk in enumerate(chunks_of(sound)):
            if number == 9:
                interrupt(relay)
            events += client.feed(chunk)
        assert_same(events + client.finish(), expected)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_asynchronous_client_bears_it(relay, sound, expected, refusal):
    async def talk() -> None:
        relay.refusal, events = refusal, []
        async with connect_async(relay.url, "loudness", 16_000) as client:
            for number, chunk in enumerate(chunks_of(sound)):
                if number == 9:
                    interrupt(relay)
                events += await client.feed(chunk)
            assert_same(events + await client.finish(), expected)

    run(talk())


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_loss_that_stays_is_told_again_and_again(relay, sound, refusal):
    relay.refusal = refusal
    with connect(relay.url, "loudness", 16_000, reconnect_s=0.1) as client:
        relay.is_down = True
        relay.cut()
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                client.feed(sound)
                client.finish()

    async def talk() -> None:
        relay.is_down = False
        async with connect_async(relay.url, "loudness", 16_000, reconnect_s=0.1) as client:
            relay.is_down = True
            relay.cut()
            for _ in range(2):
                with pytest.raises(ConnectionLost):
                    await client.feed(sound)
                    await client.finish()

    run(talk())


@pytest.mark.parametrize("refusal", REFUSALS)
def test_where_only_a_proxy_answers_nobody_is_connected(relay, refusal):
    relay.refusal, relay.is_down = refusal, True
    with pytest.raises(ConnectionError):
        connect(relay.url)

    async def talk() -> None:
        with pytest.raises(ConnectionError):
            async with connect_async(relay.url):
                pass

    run(talk())
