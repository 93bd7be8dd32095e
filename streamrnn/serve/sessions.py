"""Streams apart from the connections that they come over: numbered messages, and going on after a lost connection."""

import asyncio
import hmac
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import numpy as np

from streamrnn.audio import as_samples
from streamrnn.runtime import Answer, PooledStream, QueueFull
from streamrnn.serve.catalogue import gives_sound
from streamrnn.serve.encodings import DTYPES, encoded, unpacked
from streamrnn.serve.engine import Engine
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import Encoding, Hello, ProtocolError, Resume, as_text
from streamrnn.serve.settings import ServerSettings

Payload = str | bytes

# Long messages are fed in pieces: one must fit into what may wait for a stream.
PIECE_S = 0.1
# Also so many seconds of sound after the last time: a client may hold no more than some until it knows.
PROGRESS_S, PROGRESS_SOUND_S = 0.9, 10.0
# Messages of less sound than this cost more than they bring.
SMALL_S = 0.01


class Listening(Protocol):
    """What a session needs of its connection."""

    def send(self, payload: Payload) -> None: ...
    def end(self, error: ProtocolError) -> None: ...


class Buffered:
    """Bytes that wait or are kept, of all streams together."""

    def __init__(self, most: int):
        self.most, self.bytes = most, 0

    @property
    def is_full(self) -> bool:
        """Whether no more should be kept."""
        return self.bytes > self.most


class Session:
    """A stream: what was taken, what was said, and who hears it now.

    What is said is numbered and kept, so that a client that lost its connection hears it later. All methods are for
    the event loop's thread.

    Args:
        engine: works off the sound.
        stream: a fresh stream of the engine.
        hello: what the client asked for, its decision settings checked.
        settings, metrics, buffered: the server's.
        forgotten: called once, when its slot is given back.
    """

    def __init__(
        self,
        engine: Engine,
        stream: PooledStream,
        hello: Hello,
        settings: ServerSettings,
        metrics: Metrics,
        buffered: Buffered,
        forgotten: Callable[["Session"], None],
    ):
        self.id, self.secret = secrets.token_hex(8), secrets.token_hex(16)
        self.engine, self.stream = engine, stream
        self.encoding: Encoding = hello.encoding
        self.channels, self.levels = hello.channels, hello.levels
        self.overrides = hello.settings
        self.small_bytes = int(SMALL_S * stream.sample_rate) * hello.channels * DTYPES[hello.encoding].itemsize
        self.connection: Listening | None = None
        self.expires_at = math.inf
        self.is_closed = False
        self._forgotten = forgotten
        self.seq = 0
        self.received_samples = 0
        # One at a time comes back.
        self.resuming = asyncio.Lock()
        self._said: deque[Payload] = deque()
        self._said_bytes, self._replay_bytes, self._buffered = 0, settings.replay_bytes, buffered
        self._resume_s = settings.resume_s
        self._metrics, self._received_s = metrics, metrics.received_s.labels(engine.name)
        self._room = asyncio.Event()
        self._ended, self._flushed = False, asyncio.Event()
        self._frames, self._told_at, self._told_samples = 0, 0.0, 0
        self._work: asyncio.Task | None = None
        engine.hear(stream, self._hear)

    async def take(self, data: bytes) -> None:
        """Takes a message of sound, as fast as it is worked off.

        Raises:
            ProtocolError: bad_audio or finished; nothing of it was taken.
        """
        if self._ended:
            raise ProtocolError("finished", "sound came after flush. Send reset to begin a new stream, or close.")
        try:
            samples = unpacked(data, self.encoding, self.channels)
            if self.encoding == "f32le":
                # All of it before any of it is taken; every 16 bits are sound.
                samples = as_samples(samples)
        except ValueError as error:
            raise ProtocolError("bad_audio", str(error)) from None
        piece = max(1, int(PIECE_S * self.stream.sample_rate))
        for start in range(0, len(samples), piece):
            await self._feed(samples[start : start + piece])

    async def flush(self) -> None:
        """Ends the sound; `flushed` is said when the last events were. A second call only says it again."""
        await self._settle(self._flush())

    async def reset(self) -> None:
        """Begins a new stream, and says so."""
        await self._settle(self._reset())

    async def close(self) -> None:
        """Flushes, says `closed`, and gives the stream's slot back."""
        await self._settle(self._close())

    async def drain(self) -> None:
        """Flushes, and waits until the last events were said."""
        await self.flush()
        await self._flushed.wait()

    async def settled(self) -> None:
        """Waits until what a connection that is gone had asked for is done."""
        if self._work is not None:
            await asyncio.wait({self._work})

    def check(self, resume: Resume, hello: Hello) -> None:
        """Raises ProtocolError, resume_failed, unless this is the stream to go on with, and it can be gone on with."""
        # Bytes: strings that are not ASCII are no strings to hmac.
        if not hmac.compare_digest(resume.secret.encode("utf-8", "replace"), self.secret.encode()):
            raise ProtocolError("resume_failed", "no stream waits with this session and secret. Begin anew.")
        name, rate = self.engine.name, self.stream.sample_rate
        asked = (hello.model or name, hello.sample_rate or rate, hello.encoding, hello.channels)
        if asked != (name, rate, self.encoding, self.channels):
            raise ProtocolError(
                "resume_failed", "the stream has another model, sample_rate, encoding or number of channels."
            )
        first = self.seq - len(self._said) + 1
        if not first - 1 <= resume.seq <= self.seq:
            kept = f"messages {first} to {self.seq} are kept"
            raise ProtocolError("resume_failed", f"{kept}; it cannot go on after {resume.seq}. Begin anew.")

    def attach(self, connection: Listening, heard: int) -> list[Payload]:
        """Speaks to this connection from now on. Returns what was said after message `heard`."""
        self.connection, self.expires_at = connection, math.inf
        return list(self._said)[len(self._said) - (self.seq - heard) :]

    def detach(self) -> None:
        """Waits for another connection."""
        self.connection, self.expires_at = None, time.monotonic() + self._resume_s

    def forget(self) -> None:
        """Gives the stream's slot back, and what is kept."""
        if not self.is_closed:
            self.is_closed = True
            self.engine.close(self.stream)
            self._keep_at_most(0)
            self._forgotten(self)

    async def _settle(self, work: Coroutine[Any, Any, None]) -> None:
        # What a client asked for is done, also if its connection is lost meanwhile.
        task = self._work = asyncio.create_task(work)
        await asyncio.shield(task)

    async def _flush(self) -> None:
        if self._flushed.is_set():
            self._say("flushed", duration_s=round(self.stream.duration_s, 6))
        elif not self._ended:
            self._ended = True
            await self.engine.run(self.stream.finish)

    async def _reset(self) -> None:
        await self.engine.run(self.stream.reset)
        self._ended, self._frames, self.received_samples, self._told_samples = False, 0, 0, 0
        self._flushed.clear()
        self._say("was_reset")

    async def _close(self) -> None:
        if not self._flushed.is_set():
            await self._flush()
        await self._flushed.wait()
        if not self.is_closed:
            self._say("closed")
            self.forget()

    async def _feed(self, samples: np.ndarray) -> None:
        # While it waits, the server may end the stream; then the rest is not taken.
        while not self._ended:
            try:
                self.stream.feed(samples)
            except QueueFull:
                self._room.clear()
                await self._room.wait()
            else:
                self.received_samples += len(samples)
                self._received_s.inc(len(samples) / self.stream.sample_rate)
                return

    def _hear(self, answer: Answer | None) -> None:
        self._room.set()
        if answer is None or answer.error is not None:
            self._fail()
            return
        for event in answer.events:
            self._metrics.events.labels(self.engine.name, event.kind).inc()
            self._say("event", **event.to_dict())
        if answer.sound is not None and len(answer.sound):
            self._number(encoded(answer.sound, self.encoding))
        self._tell(answer)
        if answer.finished:
            self._flushed.set()
            self._say("flushed", duration_s=round(self.stream.duration_s, 6))

    def _tell(self, answer: Answer) -> None:
        """Levels and progress, which nobody needs who is not there."""
        start, self._frames = self._frames, self._frames + len(answer.outputs)
        if self.connection is None:
            return
        model = self.engine.model
        if self.levels and len(answer.outputs) and not gives_sound(model):
            values = [round(level, 3) for level in model.activity(answer.outputs).tolist()]
            self.connection.send(
                as_text("levels", start_s=round(start * model.frame_s, 6), frame_s=model.frame_s, values=values)
            )
        now, news_s = time.monotonic(), (self.received_samples - self._told_samples) / self.stream.sample_rate
        if now - self._told_at >= PROGRESS_S or news_s >= PROGRESS_SOUND_S:
            self._told_at, self._told_samples = now, self.received_samples
            processed_s = min(self._frames * model.frame_s, self.stream.duration_s)
            self.connection.send(
                as_text("progress", received_samples=self.received_samples, processed_s=round(processed_s, 6))
            )

    def _fail(self) -> None:
        self._flushed.set()
        self.forget()
        if self.connection is not None:
            self.connection.end(ProtocolError("internal", "the server cannot go on with this stream. Begin anew."))

    def _say(self, kind: str, /, **fields: Any) -> None:
        self._number(as_text(kind, seq=self.seq + 1, **fields))

    def _number(self, payload: Payload) -> None:
        self.seq += 1
        self._said.append(payload)
        self._said_bytes += len(payload)
        self._buffered.bytes += len(payload)
        self._keep_at_most(0 if self._buffered.is_full else self._replay_bytes)
        if self.connection is not None:
            self.connection.send(payload)

    def _keep_at_most(self, most: int) -> None:
        while self._said_bytes > most:
            dropped = len(self._said.popleft())
            self._said_bytes -= dropped
            self._buffered.bytes -= dropped


__all__ = ["SMALL_S", "Buffered", "Listening", "Payload", "Session"]
