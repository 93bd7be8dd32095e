"""A hundred clients behind a proxy, and ten restarts of the server: nobody loses an event, or hears one twice."""

import asyncio
import random
import threading
import time

import numpy as np
import pytest

from streamrnn.runtime import Listener
from streamrnn.serve import ServerSettings, connect_async, make_app
from tests.serve.conftest import LoudnessDetector, Relay, Running

CLIENTS, RESTARTS = 100, 10
RATE, CHUNK = 16_000, 1600
CHUNK_S, PAUSE_S, LONGEST_S = 0.1, 0.7, 60


@pytest.mark.system
def test_a_hundred_clients_notice_nothing_of_ten_restarts(tmp_path):
    """Every other new server is there before the old one ends; else nobody answers for a while."""
    (tmp_path / "key").write_bytes(bytes(range(64, 104)))
    model, talking = LoudnessDetector(), Talking()

    def start() -> Running:
        settings = ServerSettings(port=0, max_streams=256, resume_key_file=tmp_path / "key")
        server = Running(make_app({"loudness": model}, settings), settings)
        server.begin()
        return server

    server = start()
    relay = Relay(server.port)
    clients = threading.Thread(target=lambda: asyncio.run(talking.all(relay.url)))
    clients.start()
    try:
        talking.wait_for_all()
        for number in range(RESTARTS):
            server = replace(server, start, relay, rolling=number % 2 == 0)
            threading.Event().wait(PAUSE_S)
    finally:
        talking.stops.set()
        clients.join(LONGEST_S)
        relay.close()
        server.end()
    assert not clients.is_alive() and talking.failed == []
    assert len(talking.heard) > CLIENTS
    for begin, end, events in talking.heard:
        listener = Listener(model)
        assert events == [told(e) for e in listener.feed(SOUND[begin:end]) + listener.finish()]


def replace(old: Running, start, relay: Relay, rolling: bool) -> Running:
    if rolling:
        new = start()
        relay.server_port = new.port
        old.end()
        return new
    relay.is_down = True
    old.end()
    new = start()
    relay.server_port, relay.is_down = new.port, False
    return new


def bursts(seconds: float) -> np.ndarray:
    """A tone in every other half second."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * 440 * t) * (t * 2 % 2 >= 1)).astype(np.int16)


SOUND = bursts(20.0)


def told(event) -> tuple:
    times = (event.start_s, event.end_s, event.decided_s)
    return event.kind, event.label, *(None if t is None else round(t, 4) for t in times)


class Talking:
    """Clients that hold one conversation after another, each of another length: some are always about to finish."""

    def __init__(self):
        self.stops = threading.Event()
        self.heard: list[tuple[int, int, list]] = []
        self.failed: list[BaseException] = []
        self._ready = threading.Semaphore(0)

    def wait_for_all(self) -> None:
        """Until all are connected."""
        until = time.monotonic() + LONGEST_S
        for _ in range(CLIENTS):
            assert self._ready.acquire(timeout=max(0.0, until - time.monotonic())), self.failed

    async def all(self, url: str) -> None:
        found = await asyncio.gather(*(self._talk(url, n) for n in range(CLIENTS)), return_exceptions=True)
        self.failed += [error for error in found if error is not None]

    async def _talk(self, url: str, number: int) -> None:
        rng = random.Random(number)
        async with connect_async(url, "loudness", RATE) as client:
            self._ready.release()
            while not self.stops.is_set():
                begin = end = rng.randrange(8 * RATE)
                events = []
                for _ in range(rng.randrange(3, 25)):
                    events += await client.feed(SOUND[end : end + CHUNK])
                    end += CHUNK
                    await asyncio.sleep(CHUNK_S)
                events += await client.finish()
                self.heard.append((begin, end, [told(event) for event in events]))
                await client.reset()
            assert client.restarts == 0
