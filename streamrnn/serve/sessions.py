"""Streams that outlive their connections: numbered messages, and resuming after a lost connection."""

import asyncio
import base64
import math
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from streamrnn.audio import Encoding
from streamrnn.runtime import Answer, PooledStream, QueueFull, Snapshot
from streamrnn.serve.buffered import Buffered
from streamrnn.serve.engine import Engine
from streamrnn.serve.handover import Handover, check_kind, check_secret
from streamrnn.serve.items import Items, takes_items
from streamrnn.serve.keeper import Keeper, Listening
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import MOST_STATE_BYTES, Hello, InJson, ProtocolError, Resume, as_text
from streamrnn.serve.reports import Reports
from streamrnn.serve.said import Payload, Said
from streamrnn.serve.saying import Saying
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.sounds import Carried, Sounds

# Poll interval while queued sound is processed during shutdown.
DRAINED_S = 0.01
# A stream without a connection by then is abandoned: its client disconnected before it was answered.
BEGIN_S = 10.0


class Session:
    """A stream: what was received, what was sent, and its current connection.

    Messages are numbered and kept, so that a client that lost its connection receives them later. For the event loop.

    Args:
        engine: processes the sound.
        stream: a fresh stream of the engine.
        hello: the client's request, its decision settings checked.
        settings, metrics, buffered: the server's.
        forgotten: called once, when its slot is freed.
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
        self.encoding: Encoding | InJson = hello.encoding
        self.channels, self.levels = hello.channels, hello.levels
        self.overrides = hello.settings
        carries_items = takes_items(engine.model)
        self.carried: Carried = Items(engine.model, stream, hello.settings) if carries_items else Sounds(stream, hello)
        self.expires_at = time.monotonic() + BEGIN_S
        self.keeper: Keeper | None = None
        self.is_closed, self._forgotten = False, forgotten
        self.received_samples = 0
        # Connections resume it one at a time.
        self.resuming = asyncio.Lock()
        self.said = Said(settings.replay_bytes, buffered)
        self.saying = Saying(self.said, self._store)
        self._resume_s = settings.resume_s
        self._metrics, self._received_s = metrics, metrics.received_s.labels(engine.name)
        self._room = asyncio.Event()
        self._ended, self._flushed = False, asyncio.Event()
        # Once the handover begins, nothing is taken; once the state is sent, later messages only end the stream.
        self._is_going = self._is_gone = False
        self._reports = Reports(stream, engine.model.frame_s)
        self._work: asyncio.Task | None = None
        # When sound last arrived, and the time until silence ends what is open.
        self._fed_at, self._silence_s = time.monotonic(), settings.silence_s
        self._conclusion: asyncio.Task | None = None
        engine.hear(stream, self._hear)

    @property
    def connection(self) -> Listening | None:
        """The current connection."""
        return self.saying.connection

    async def take(self, message: bytes | list[Any]) -> None:
        """Queues a message of sound or items; waits while the queue is full.

        Raises:
            ProtocolError: bad_audio, bad_items, bad_message or finished; nothing of the message was taken.
        """
        if self._is_going:
            return
        if self._ended:
            raise ProtocolError("finished", "more came after flush. Send reset to begin a new stream, or close.")
        # The whole message is validated before any of it is taken.
        try:
            units = await self.carried.units(message)
        except ProtocolError as error:
            if error.code == "bad_items":
                # Clients do not wait for answers, so this tells them which of their messages was refused.
                error.details["received_samples"] = self.received_samples
            raise
        for start in range(0, len(units), self.carried.piece):
            await self._feed(units[start : start + self.carried.piece])

    async def flush(self) -> None:
        """Ends the sound; sends `flushed` after the last events. A second call only sends it again."""
        if not self._is_going:
            await self._settle(self._flush())

    async def reset(self) -> None:
        """Begins a new stream, and confirms it."""
        if not self._is_going:
            await self._settle(self._reset())

    async def close(self) -> None:
        """Flushes, sends `closed`, and frees the stream's slot."""
        await self._settle(self._close())

    async def go(self, seal: Callable[[Handover], bytes]) -> None:
        """Takes nothing more, sends `going` with the stream's state, and then the last events, for clients that do not
        continue elsewhere. Another server continues with the sound and the message numbers after the state.

        Args:
            seal: serialises and signs the state.
        """
        await self._take_no_more()
        if self.is_closed:
            return
        if self._ended:
            # Everything is answered, and there is nothing to resume.
            await self._flushed.wait()
            self._tell_going(b"")
            return
        self._tell_going(seal(await self._handover()))
        await self._flush()
        await self._flushed.wait()

    async def handed_over(self) -> Handover:
        """Takes nothing more, sends nothing more, and returns all that another worker needs to continue the stream."""
        await self._take_no_more()
        if not self._ended:
            return self.kept(await self._handover())
        await self._flushed.wait()
        return self.kept(self._facts(self.received_samples, None))

    async def leave(self) -> None:
        """Takes nothing more, and sends the last events, for clients that do not continue elsewhere."""
        await self._take_no_more()
        if not self.is_closed:
            await self._flush()
            await self._flushed.wait()

    async def _take_no_more(self) -> None:
        self._is_going = True
        self._room.set()
        await self.settled()
        await self.saying.settled()

    async def caught_up(self) -> None:
        """Waits until everything queued is processed and its results are sent."""
        await self._worked_off()
        # Runs after the tick that processed the last of it.
        await self.engine.run(lambda: None)

    async def conclude(self) -> None:
        """Ends open speech and utterances once everything queued is processed, and sends the events."""
        await self._worked_off()
        await self._end_open()

    async def _worked_off(self) -> None:
        while self.engine.is_behind(self.stream):
            await asyncio.sleep(DRAINED_S)

    async def _end_open(self) -> None:
        events = await self.engine.run(self.stream.conclude)
        for event in events:
            self._metrics.events.labels(self.engine.name, event.kind).inc()
        if events:
            await self.saying.say_for_good(*(("event", event.to_dict()) for event in events))

    async def _handover(self) -> Handover:
        """The stream's state, once everything queued is processed."""
        await self._worked_off()
        return self._facts(self.received_samples, await self.engine.run(self.stream.snapshot))

    def _facts(self, received_samples: int, snapshot: Snapshot | None) -> Handover:
        return Handover(
            model=self.engine.name,
            sample_rate=self.carried.sample_rate,
            encoding=self.encoding,
            channels=self.channels,
            overrides=self.overrides,
            received_samples=received_samples,
            seq=self.said.seq,
            frames=self._reports.frames,
            snapshot=snapshot,
        )

    def kept(self, handover: Handover, most_bytes: int | None = None) -> Handover:
        """Adds to a handover what is needed if the client does not bring it: the last messages, up to so many bytes."""
        said = tuple(self.said.last(self.said.kept_bytes if most_bytes is None else most_bytes))
        return replace(handover, session=self.id, secret=self.secret, said=said, sounded_bytes=self.said.sounded_bytes)

    def _tell_going(self, state: bytes) -> None:
        self._is_gone = True
        if self.connection is not None:
            # A state that is too large for any server is replaced by none.
            text = base64.b64encode(state if len(state) <= MOST_STATE_BYTES else b"").decode()
            self.connection.send(
                as_text("going", received_samples=self.received_samples, said=self.said.seq, state=text)
            )

    @property
    def can_be_kept(self) -> bool:
        """Whether the stream is live: one that has ended, or is moving, is preserved by other means."""
        return not (self._ended or self.is_leaving)

    @property
    def is_leaving(self) -> bool:
        """Whether it ends here: it is moving to another server, or was discarded."""
        return self._is_going or self.is_closed

    def kept_as(self, snapshot: Snapshot | None, most_bytes: int) -> Handover:
        """The state for a snapshot that was taken after every message so far and before any later one."""
        received_samples = self.received_samples if snapshot is None else snapshot.inlet["taken"]
        return self.kept(self._facts(received_samples, snapshot), most_bytes)

    def confirm(self, received_samples: int) -> None:
        """Tells the client that it need not hold the sound up to here any longer."""
        if self.connection is not None and self.can_be_kept:
            self.connection.send(self._reports.progress(received_samples))

    def go_on(self, handover: Handover, resume: Resume) -> None:
        """Continues where another server's stream was; the engine's stream is restored already."""
        self.said.go_on(handover, resume, by_number=self.carried.by_number)
        self.received_samples = handover.received_samples
        self._reports.begin(handover.frames, handover.received_samples)
        if handover.snapshot is None:
            self._ended = True
            self._flushed.set()

    async def settled(self) -> None:
        """Waits until the requests of a lost connection are carried out."""
        if self._work is not None:
            await asyncio.wait({self._work})

    def check(self, resume: Resume, hello: Hello) -> None:
        """Raises ProtocolError, resume_failed, unless this is the stream to resume, and it can be resumed."""
        check_secret(resume, self.secret)
        check_kind(hello, self.engine.name, self.carried.sample_rate, self.encoding, self.channels)
        first, last = self.said.first, self.said.seq
        if not first - 1 <= resume.seq <= max(last, self.said.heard):
            kept = f"messages {first} to {last} are kept"
            raise ProtocolError("resume_failed", f"{kept}; it cannot resume after {resume.seq}. Begin anew.")

    def attach(self, connection: Listening, heard: int) -> list[Payload]:
        """Sends to this connection from now on. Returns the messages after number `heard`."""
        self.expires_at, self._fed_at = math.inf, time.monotonic()
        return self.saying.attach(connection, heard)

    def attach_for_good(self, connection: Listening) -> None:
        """Sends to this connection alone, so that nothing is kept for replay."""
        self.said.keep_nothing()
        self.attach(connection, self.said.seq)

    def watch(self, now: float) -> None:
        """Ends what is open, once, if no sound has arrived for too long; to be called regularly.

        A client that stops sending at the end of a word would otherwise never get the end event. Items may come at any
        interval.
        """
        if self.carried.sample_rate is None:
            return
        if self._conclusion is not None or self.connection is None or self._ended or self._is_going or self.is_closed:
            return
        if self.received_samples and now - self._fed_at > self._silence_s:
            self._conclusion = asyncio.create_task(self._conclude())

    def excuse(self, seconds: float) -> None:
        """Extends timeouts by the time that the server itself was suspended."""
        self._fed_at += seconds
        self.expires_at += seconds

    def detach(self) -> None:
        """Waits for another connection."""
        self.saying.connection, self.expires_at = None, time.monotonic() + self._resume_s

    def forget(self) -> None:
        """Frees the stream's slot, and discards what is kept."""
        if not self.is_closed:
            self.is_closed = True
            self.engine.close(self.stream)
            self.saying.end()
            self._forgotten(self)

    async def _settle(self, work: Coroutine[Any, Any, None]) -> None:
        # A request is carried out even if its connection is lost meanwhile.
        task = self._work = asyncio.create_task(work)
        await asyncio.shield(task)

    async def _flush(self) -> None:
        if self._flushed.is_set():
            await self._tell_flushed()
        elif not self._ended:
            self._ended = True
            await self.engine.finish(self.stream)

    async def _reset(self) -> None:
        await self.engine.reset(self.stream)
        self._ended, self.received_samples = False, 0
        self._reports.begin()
        # A new object: the end of the last stream may still be on its way into a store.
        self._flushed = asyncio.Event()
        self.said.begin()
        await self.saying.say_for_good(("was_reset", {}))

    async def _close(self) -> None:
        if not self._flushed.is_set():
            await self._flush()
        await self._flushed.wait()
        await self.saying.settled()
        if not self.is_closed:
            self.saying.say("closed")
            self.forget()

    async def _conclude(self) -> None:
        # Errors here are reported by the next call to the engine.
        with suppress(Exception):
            await self._worked_off()
            # Sound may have arrived meanwhile.
            if self._conclusion is asyncio.current_task():
                await self._end_open()

    async def _feed(self, samples: np.ndarray) -> None:
        # The server may shut down during the wait; then the rest is not taken.
        while not (self._ended or self._is_going):
            try:
                self.engine.feed(self.stream, samples)
            except QueueFull:
                self._room.clear()
                await self._room.wait()
            else:
                self._fed_at, self._conclusion = time.monotonic(), None
                self.received_samples += len(samples)
                self._received_s.inc(len(samples) / self.stream.rate)
                return

    def _hear(self, answer: Answer | None) -> None:
        self._room.set()
        if answer is None or answer.error is not None:
            self._fail()
            return
        for said in self.carried.said(answer, self._reports.frames):
            if isinstance(said, bytes):
                self.saying.number(said)
            else:
                self.saying.say(said[0], **said[1])
        for event in answer.events:
            self._metrics.events.labels(self.engine.name, event.kind).inc()
        self._tell(answer)
        if answer.finished:
            self._farewell = asyncio.ensure_future(self._tell_flushed())

    async def _tell_flushed(self) -> None:
        flushed, duration_s = self._flushed, round(self.received_samples / self.stream.rate, 6)
        await self.saying.say_for_good(("flushed", {"duration_s": duration_s}))
        flushed.set()

    def _tell(self, answer: Answer) -> None:
        """Sends levels and progress, which only a connected client needs."""
        start, self._reports.frames = self._reports.frames, self._reports.frames + len(answer.outputs)
        if self.connection is None or self._is_gone:
            return
        if self.levels and (told := self._reports.levels(answer, start)) is not None:
            self.connection.send(told)
        is_stored = self.keeper is not None and not self.keeper.is_given_up
        if not is_stored and self._reports.is_due(self.received_samples):
            self.connection.send(self._reports.progress(self.received_samples))

    def _fail(self) -> None:
        self._flushed.set()
        self.forget()
        if self.connection is not None:
            self.connection.end(ProtocolError("internal", "the server cannot continue this stream. Begin anew."))

    async def _store(self) -> None:
        if self.keeper is not None and not self._is_going:
            await self.keeper.save(self)


__all__ = ["Listening", "Payload", "Session"]
