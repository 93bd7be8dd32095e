"""All that a server holds: engines, streams and connections, and who may have them."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property

from starlette.websockets import WebSocket

from streamrnn.models import Model
from streamrnn.runtime import PoolStatistics
from streamrnn.serve.access import Access
from streamrnn.serve.catalogue import check_rate, checked, describe
from streamrnn.serve.connection import Connection
from streamrnn.serve.engine import Engine
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import VERSION, Hello, ProtocolError, Resume, as_text
from streamrnn.serve.sessions import Buffered, Session
from streamrnn.serve.settings import ServerSettings

logger = logging.getLogger(__name__)

WATCH_S = 0.25
# Within this time connections end that were asked to.
PARTING_S = 3.0


class Server:
    """Streams of several models, and the connections that they come over.

    Made anywhere; `start`, `stop` and all else belong to one event loop.

    Args:
        models: name -> model; the first is the one of a hello that names none.
        settings: limits.
        access: who is let in.
    """

    def __init__(self, models: Mapping[str, Model], settings: ServerSettings, access: Access):
        self.settings, self.access = settings, access
        self.metrics, self.buffered = Metrics(), Buffered(settings.max_buffered_bytes)
        self.engines = {name: Engine(name, model, settings, self.metrics) for name, model in models.items()}
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.is_ending = False
        self._opening = self._newcomers = 0
        self._watching: asyncio.Task | None = None
        self.metrics.watch("streamrnn_max_streams", "Most streams at once", lambda: settings.max_streams)
        self.metrics.watch("streamrnn_buffered_bytes", "Bytes that wait or are kept", lambda: self.buffered.bytes)
        self.metrics.watch_pools(self._statistics)

    async def start(self) -> None:
        """Makes the engines ready."""
        for engine in self.engines.values():
            await engine.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Flushes all streams that somebody hears, says what is left, closes, and ends the engines. Once."""
        if self.is_ending:
            return
        self.is_ending = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.shutdown_s):
                await asyncio.gather(*map(self._send_home, self.connections))
        await self._parted()
        for session in list(self.sessions.values()):
            session.forget()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(engine.stop() for engine in self.engines.values()))

    @property
    def state(self) -> str:
        """ok, full, failed or ending."""
        if self.is_ending:
            return "ending"
        if any(engine.failed for engine in self.engines.values()):
            return "failed"
        return "ok" if self._has_room else "full"

    @property
    def refuses_newcomers(self) -> bool:
        """Whether no connection should be accepted now."""
        return self.is_ending or self._newcomers >= self.settings.max_newcomers

    async def hold(self, websocket: WebSocket) -> None:
        """Speaks with a client that may be here, until the end."""
        connection = Connection(websocket, self)
        self.connections.add(connection)
        self._newcomers += 1
        self.metrics.connections.inc()
        try:
            await connection.run()
        finally:
            self.metrics.connections.dec()
            self.connections.discard(connection)
            self._newcomers -= connection.session is None

    async def welcome(self, hello: Hello, connection: Connection) -> Session:
        """The stream that a client asks for, which speaks to the connection from now on.

        Raises:
            ProtocolError: it can't have it.
        """
        if not self.access.admits(connection.authorization, hello.token):
            raise ProtocolError(
                "unauthorized", "the token is missing or wrong. Send it in hello or in a Bearer header."
            )
        if self.is_ending:
            raise ProtocolError("shutting_down", "the server ends.")
        if hello.resume is not None:
            return await self._resume(hello, hello.resume, connection)
        session = await self._open(hello)
        self._begin(session, connection, 0)
        return session

    def count_error(self, error: ProtocolError) -> None:
        """Counts what a client was told."""
        self.metrics.errors.labels(error.code).inc()

    @cached_property
    def descriptions(self) -> list[dict]:
        """What GET /v1/models says of each model."""
        return [describe(name, engine.model) for name, engine in self.engines.items()]

    @property
    def _has_room(self) -> bool:
        return len(self.sessions) + self._opening < self.settings.max_streams

    def engine(self, name: str | None) -> Engine:
        """The engine of a model; of the first one, if none is named.

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
        overrides = checked(engine.model, hello.settings)
        check_rate(engine.model, hello.sample_rate)
        if not self._has_room:
            raise ProtocolError("busy", f"all {self.settings.max_streams} streams are taken. Try later.")
        self._opening += 1
        try:
            stream = await engine.open(hello.sample_rate, overrides)
        finally:
            self._opening -= 1
        hello = dataclasses.replace(hello, settings=overrides)
        session = Session(engine, stream, hello, self.settings, self.metrics, self.buffered, self._forgotten)
        self.sessions[session.id] = session
        return session

    async def _resume(self, hello: Hello, resume: Resume, connection: Connection) -> Session:
        session = self.sessions.get(resume.session)
        if session is None:
            raise ProtocolError("resume_failed", "no stream waits with this session and secret. Begin anew.")
        session.check(resume, hello)
        async with session.resuming:
            if isinstance(session.connection, Connection):
                session.connection.end(ProtocolError("taken_over", "another connection goes on with the stream."))
                await session.connection.released.wait()
            await session.settled()
            # Meanwhile more was said, or the stream was closed.
            if session.is_closed:
                raise ProtocolError("resume_failed", "the stream was closed. Begin anew.")
            session.check(resume, hello)
            session.levels = hello.levels
            self._begin(session, connection, resume.seq)
        return session

    def _forgotten(self, session: Session) -> None:
        del self.sessions[session.id]

    def _begin(self, session: Session, connection: Connection, heard: int) -> None:
        self._newcomers -= 1
        connection.session = session
        missed = session.attach(connection, heard)
        description = describe(
            session.engine.name, session.engine.model, session.stream.sample_rate, **session.overrides
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
            "seq": session.seq,
            "resume_s": self.settings.resume_s,
        }
        connection.send(as_text("ready", **ready))
        for payload in missed:
            connection.send(payload)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            for connection in list(self.connections):
                connection.watch(now)
            for session in list(self.sessions.values()):
                if session.expires_at < now:
                    session.forget()

    async def _send_home(self, connection: Connection) -> None:
        if connection.session is not None and not connection.session.is_closed:
            with suppress(Exception):
                await connection.session.drain()
        connection.end(ProtocolError("shutting_down", "the server ends."))

    async def _parted(self) -> None:
        for connection in self.connections:
            connection.end(ProtocolError("shutting_down", "the server ends."))
        deadline = time.monotonic() + PARTING_S
        while self.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    def _statistics(self) -> dict[str, PoolStatistics]:
        return {name: engine.statistics for name, engine in self.engines.items()}


__all__ = ["Server"]
