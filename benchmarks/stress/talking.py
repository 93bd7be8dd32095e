"""Streams over WebSockets, as a client that loses its connection speaks them; and sound whose events are known."""

import asyncio
import json
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.stress.servers import TOKEN, Served
from streamrnn.models import Model
from streamrnn.runtime import Listener

RATE, CHUNK_SAMPLES = 16_000, 1600
ANSWER_S = 30.0


def speech(seed: int) -> np.ndarray:
    """Some seconds of noise that swells and falls as speech does: int16[n]."""
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 5)) * RATE // 2 + int(rng.integers(RATE))
    t = np.arange(samples) / RATE
    pitch = np.sin(2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 2 * t)) / RATE)
    voiced = sum(np.sin(2 * np.pi * k * 150 * t + k) / k for k in range(1, 20)) * (1 + 0.3 * pitch)
    gate = np.repeat(rng.random(samples // 3200 + 1) < 0.6, 3200)[:samples]
    return (4000 * voiced * gate * (1 + np.sin(2 * np.pi * 4 * t)) / 2 + rng.normal(0, 20, samples)).astype(np.int16)


def events_of(model: Model, sound: np.ndarray) -> list[tuple[str, float]]:
    """Kind and start of each event that a Listener tells."""
    listener = Listener(model)
    return [(event.kind, round(event.start_s, 4)) for event in listener.feed(sound) + listener.finish()]


class Talk:
    """A stream: what was heard of it over all of its connections."""

    def __init__(self, server: Served):
        self.url = server.url.replace("http", "ws") + "/v1/stream"
        self.ready: dict[str, Any] = {}
        self.seq = 0
        self.events: list[tuple[str, float]] = []
        self.last: dict[str, Any] = {}
        self._socket: ClientConnection | None = None

    async def open(self, resume: dict[str, Any] | None = None, token: str = TOKEN, **fields: Any) -> dict[str, Any]:
        """Connects and says hello; what the server answers."""
        self._socket = await connect(self.url, compression=None, proxy=None, max_size=None, close_timeout=1)
        hello = {"type": "hello", "version": 1, "token": token, **fields, **({"resume": resume} if resume else {})}
        await self.say(json.dumps(hello))
        answer = await self.read()
        if answer["type"] == "ready":
            self.ready = answer
        return answer

    async def go_on(self) -> dict[str, Any]:
        """Comes back after a lost connection."""
        return await self.open({"session": self.ready["session"], "secret": self.ready["secret"], "seq": self.seq})

    async def say(self, message: str | bytes) -> None:
        """Sends a message."""
        assert self._socket is not None
        await self._socket.send(message)

    async def read(self) -> dict[str, Any]:
        """The next message; events are noted.

        Raises:
            ConnectionClosed, TimeoutError: none came.
        """
        assert self._socket is not None
        message = json.loads(await asyncio.wait_for(self._socket.recv(), ANSWER_S))
        if message["type"] != "ready" and "seq" in message:
            if message["seq"] != self.seq + 1:
                raise AssertionError(f"message {message['seq']} came after {self.seq}")
            self.seq = message["seq"]
        if message["type"] == "event":
            self.events.append((message["kind"], round(message["start_s"], 4)))
        self.last = message
        return message

    async def until(self, kind: str) -> None:
        """Reads up to a message of this type."""
        while (message := await self.read())["type"] != kind:
            if message["type"] == "error" and message["fatal"]:
                raise AssertionError(f"{message['code']}: {message['message']}")

    async def send(self, sound: np.ndarray, start: int, stop: int) -> None:
        """Sends these samples, in messages of 100 ms."""
        for at in range(start, stop, CHUNK_SAMPLES):
            await self.say(sound[at : min(stop, at + CHUNK_SAMPLES)].tobytes())

    async def ending(self) -> tuple[int | None, str]:
        """Code and reason of the close."""
        try:
            while True:
                await self.read()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")

    def drop(self) -> None:
        """Loses the connection, as a network does."""
        if self._socket is not None:
            self._socket.transport.abort()


__all__ = ["Talk", "events_of", "speech"]
