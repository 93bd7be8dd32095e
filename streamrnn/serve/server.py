"""The core of a server: engines, streams and connections, and who gets them."""

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property, partial
from typing import Any
from weakref import WeakValueDictionary

from streamrnn.models import Model
from streamrnn.runtime import PoolStatistics
from streamrnn.serve.access import Access
from streamrnn.serve.buffered import Buffered
from streamrnn.serve.catalogue import check_kind, check_rate, checked, describe
from streamrnn.serve.connection import Connection
from streamrnn.serve.crossing import Crossing
from streamrnn.serve.dialects import Dialect
from streamrnn.serve.encodings import unpacked
from streamrnn.serve.engine import Engine
from streamrnn.serve.handover import Handover, NotOurs, opened, read_key, sealed
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.native import NativeConnection
from streamrnn.serve.parting import part, send_home
from streamrnn.serve.protocol import VERSION, Hello, ProtocolError, Resume, as_text
from streamrnn.serve.recording import Recorder
from streamrnn.serve.sessions import Listening, Session
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.siblings import Siblings

logger = logging.getLogger(__name__)

WATCH_S = 0.25
# If the server itself was suspended for longer (a stopped process), it cannot tell how long peers were silent.
LATE_S = 1.0


class Server:
    """Streams of several models, and their connections.

    May be made anywhere; `start`, `stop` and everything else belong to one event loop.

    Args:
        models: name -> model; the first is the default.
        settings: limits.
        access: decides which clients are admitted.
        dialects: other protocols to support.
        siblings: the other workers of the same server.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        settings: ServerSettings,
        access: Access,
        dialects: Sequence[Dialect] = (),
        siblings: Siblings | None = None,
    ):
        self.settings, self.access, self.dialects = settings, access, dialects
        self.resume_key = read_key(settings.resume_key_file)
        self.recorder = None if settings.record is None else Recorder(settings.record, settings.record_days)
        self.metrics, self.buffered = Metrics(), Buffered(settings.max_buffered_bytes)
        self.engines = {name: Engine(name, model, settings, self.metrics) for name, model in models.items()}
        self.sessions: dict[str, Session] = {}
        # Held while this session's stream is fetched from elsewhere.
        self._bringing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.connections: set[Connection] = set()
        self.is_ending = False
        self.crossing = Crossing(self, siblings)
        self._opening = self._newcomers = 0
        self._watching: asyncio.Task | None = None
        self.metrics.watch("streamrnn_max_streams", "Most streams at once", lambda: settings.max_streams)
        self.metrics.watch("streamrnn_process_id", "Number of the process", os.getpid)
        self.metrics.watch("streamrnn_buffered_bytes", "Bytes that wait or are kept", lambda: self.buffered.bytes)
        self.metrics.watch_pools(self._statistics)

    async def start(self) -> None:
        """Starts the engines. Call once.

        Raises:
            StoreFailed: the store cannot be used.
            OSError: a dialect cannot listen.
        """
        if self._watching is not None:
            return
        self._watching = asyncio.create_task(self._watch())
        for engine in self.engines.values():
            await engine.start()
        await self.crossing.begin()
        for dialect in self.dialects:
            await dialect.begin(self)

    async def stop(self) -> None:
        """Hands over all streams that have a connection, sends what remains, closes, and stops the engines. Once."""
        if self.is_ending:
            return
        self.is_ending = True
        for dialect in self.dialects:
            await dialect.end()
        await send_home(self.connections, partial(sealed, key=self.resume_key), self.settings.shutdown_s)
        await part(self.connections)
        await self.crossing.end()
        for session in list(self.sessions.values()):
            session.forget()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))

    @property
    def has_failed(self) -> bool:
        """Whether an engine failed and could not restart."""
        return any(engine.failed for engine in self.engines.values())

    @property
    def state(self) -> str:
        """ok, full, failed or ending."""
        if self.is_ending:
            return "ending"
        if self.has_failed:
            return "failed"
        return "ok" if self._has_room else "full"

    @property
    def own_health(self) -> dict[str, Any]:
        """The response of /healthz for this process."""
        return {"status": self.state, "streams": len(self.sessions), "max_streams": self.settings.max_streams}

    @property
    def refuses_newcomers(self) -> bool:
        """Whether new connections should be rejected now."""
        return self.is_ending or self._newcomers >= self.settings.max_newcomers

    async def hold(self, connection: Connection) -> None:
        """Runs the connection of an admitted client to its end."""
        self.connections.add(connection)
        self._newcomers += 1
        self.metrics.connections.inc()
        try:
            await connection.run()
        finally:
            self.metrics.connections.dec()
            self.connections.discard(connection)
            self._newcomers -= not connection.is_known

    async def welcome(self, hello: Hello, connection: NativeConnection) -> Session:
        """Opens or resumes the stream that a client asks for, and attaches it to the connection.

        Raises:
            ProtocolError: the request is refused.
        """
        self._admit(hello, connection)
        if hello.resume is not None:
            return await self._resume(hello, hello.resume, connection)
        session = await self._open(hello)
        await self.crossing.keep(session)
        self._begin(session, connection, 0)
        return session

    async def begin(self, hello: Hello, connection: Connection, listening: Listening) -> Session:
        """Opens a stream for a client of a dialect, for as long as the connection lasts.

        Raises:
            ProtocolError: the request is refused.
        """
        self._admit(hello, connection)
        session = await self._open(hello)
        self._know(connection)
        session.attach_for_good(listening)
        return session

    def _admit(self, hello: Hello, connection: Connection) -> None:
        if connection.knows_tokens and not self.access.admits(connection.authorization, hello.token):
            raise ProtocolError(
                "unauthorized", "the token is missing or wrong. Send it in hello or in a Bearer header."
            )
        connection.admit()
        if self.is_ending:
            raise ProtocolError("shutting_down", "the server ends.")

    def _know(self, connection: Connection) -> None:
        self._newcomers -= not connection.is_known
        connection.is_known = True

    def count_error(self, error: ProtocolError) -> None:
        """Counts an error that was sent to a client."""
        self.metrics.errors.labels(error.code).inc()

    def keep(self, session: Session, data: bytes, taken_samples: int) -> None:
        """Records the part of a sound message that was taken, if recording is on."""
        if self.recorder is not None and taken_samples and session.encoding != "json":
            samples = unpacked(data, session.encoding, session.channels)[:taken_samples]
            self.recorder.hear(session.id, session.secret, samples, session.stream.sample_rate)
            if session.is_closed:
                # The session was discarded meanwhile, and its file closed.
                self.recorder.end(session.id)

    @cached_property
    def descriptions(self) -> list[dict]:
        """The response of GET /v1/models."""
        return [describe(name, engine.model) for name, engine in self.engines.items()]

    @property
    def _has_room(self) -> bool:
        return len(self.sessions) + self._opening < self.settings.max_streams

    def engine(self, name: str | None) -> Engine:
        """The engine of a model; of the first one by default.

        Raises:
            ProtocolError: unknown_model.
        """
        if name is None:
            return next(iter(self.engines.values()))
        if name not in self.engines:
            raise ProtocolError(
                "unknown_model", f"there is no model {name!r} here; there are: {', '.join(self.engines)}."
            )
        return self.engines[name]

    async def _open(self, hello: Hello) -> Session:
        engine = self.engine(hello.model)
        check_kind(engine.model, hello)
        check_rate(engine.model, hello.sample_rate)
        overrides = hello.settings
        if all(isinstance(value, int | float) for value in overrides.values()):
            overrides = checked(engine.model, overrides)
        else:
            # Checking hundreds of phrases takes as long as many blocks.
            overrides = await asyncio.to_thread(checked, engine.model, overrides)
        return await self._opened(engine, dataclasses.replace(hello, settings=overrides))

    async def _opened(self, engine: Engine, hello: Hello, handover: Handover | None = None) -> Session:
        with self.place():
            stream = await engine.open(hello.sample_rate, hello.settings, hello.channels)
        session = Session(engine, stream, hello, self.settings, self.metrics, self.buffered, self._forgotten)
        if handover is not None and handover.session:
            session.id, session.secret = handover.session, handover.secret
        self.sessions[session.id] = session
        return session

    @contextmanager
    def place(self) -> Iterator[None]:
        """Reserves room for a stream that is being opened. Raises ProtocolError, busy, if the server is full."""
        if not self._has_room:
            raise ProtocolError("busy", f"all {self.settings.max_streams} streams are taken. Try later.")
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1

    async def _resume(self, hello: Hello, resume: Resume, connection: NativeConnection) -> Session:
        if resume.state_bytes:
            with self.place():
                state = await connection.state(resume.state_bytes)
            session = await self._go_on(hello, resume, state)
            await self.crossing.keep(session)
            self._begin(session, connection, resume.seq)
            return session
        # Else two connections that ask at once would fetch the stream twice.
        async with self._bringing.setdefault(resume.session, asyncio.Lock()):
            session = self.sessions.get(resume.session)
            if session is None or await self.crossing.has_left(session):
                handover = await self.crossing.found(hello, resume)
                session = await self.restored(handover, hello, resume)
                await self.crossing.keep(session)
        async with self.alone(session, resume, hello):
            session.levels = hello.levels
            self._begin(session, connection, resume.seq)
        return session

    @asynccontextmanager
    async def alone(self, session: Session, resume: Resume, hello: Hello) -> AsyncIterator[None]:
        """Detaches the stream's old connection. Raises ProtocolError, resume_failed, if it cannot be resumed."""
        session.check(resume, hello)
        async with session.resuming:
            if isinstance(session.connection, NativeConnection):
                session.connection.end(ProtocolError("taken_over", "another connection has resumed the stream."))
                await session.connection.released.wait()
            await session.settled()
            # Meanwhile more messages were sent, or the stream was closed.
            if session.is_closed:
                raise ProtocolError("resume_failed", "the stream was closed. Begin anew.")
            session.check(resume, hello)
            yield

    async def _go_on(self, hello: Hello, resume: Resume, state: bytes) -> Session:
        """Resumes a stream of another server, from the state that its client brought."""
        try:
            handover = opened(state, self.resume_key)
        except NotOurs as error:
            raise ProtocolError("resume_failed", f"{error} Begin anew.") from None
        handover.check(resume, hello)
        session = await self.restored(handover, hello, resume)
        logger.info("a stream came over", extra={"model": session.engine.name, "by": "its client"})
        return session

    async def restored(self, handover: Handover, hello: Hello, resume: Resume) -> Session:
        """Resumes a stream of another server. Raises ProtocolError if that is not possible."""
        engine, overrides = self.engine(handover.model), handover.overrides
        hello = dataclasses.replace(hello, sample_rate=handover.sample_rate, settings=overrides)
        session = await self._opened(engine, hello, handover)
        try:
            if handover.snapshot is not None:
                await engine.run(partial(session.stream.restore, handover.snapshot))
        except (TypeError, ValueError) as error:
            session.forget()
            raise ProtocolError("resume_failed", f"{error} Begin anew.") from None
        except BaseException:
            session.forget()
            raise
        session.go_on(handover, resume)
        return session

    def _forgotten(self, session: Session) -> None:
        if self.sessions.get(session.id) is session:
            del self.sessions[session.id]
        self.crossing.forget(session)
        if self.recorder is not None:
            self.recorder.end(session.id)

    def _begin(self, session: Session, connection: NativeConnection, heard: int) -> None:
        self._know(connection)
        connection.session = session
        missed = session.attach(connection, heard)
        description = describe(
            session.engine.name, session.engine.model, session.carried.sample_rate, **session.overrides
        )
        ready = {
            "version": VERSION,
            "session": session.id,
            "secret": session.secret,
            "model": description.pop("name"),
            "encoding": session.encoding,
            "channels": session.channels,
            **description,
            "received_samples": session.received_samples,
            "seq": session.saying.last,
            "resume_s": self.settings.resume_s,
            **({} if self.recorder is None or session.encoding == "json" else {"recorded_days": self.recorder.days}),
        }
        connection.send(as_text("ready", **ready))
        for payload in missed:
            connection.send(payload)

    async def _watch(self) -> None:
        now = time.monotonic()
        while True:
            due = now + WATCH_S
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            self._look(now, now - due)

    def _look(self, now: float, late_s: float) -> None:
        """Checks all connections and streams, `late_s` behind schedule: the process may have been suspended so long."""
        for holder in (*self.connections, *self.sessions.values()):
            if late_s > LATE_S:
                holder.excuse(late_s)
            holder.watch(now)
        if self.recorder is not None:
            self.recorder.look()
        for session in list(self.sessions.values()):
            if session.expires_at < now:
                session.forget()

    def _statistics(self) -> dict[str, PoolStatistics]:
        return {name: engine.statistics for name, engine in self.engines.items()}


__all__ = ["Server"]
