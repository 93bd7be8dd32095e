"""Streams that move between this process and others, and health and metrics of all workers together."""

import json
import logging
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from streamrnn.serve.engine import Engine
from streamrnn.serve.handover import Handover, NotOurs, opened, sealed
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import Hello, ProtocolError, Resume
from streamrnn.serve.sessions import Session
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.siblings import Siblings, merged
from streamrnn.serve.store import Store
from streamrnn.serve.storing import Storing

logger = logging.getLogger(__name__)

# A stored stream waits this much longer for its client than one in memory.
SPARE_S = 5.0


class Server(Protocol):
    """What Crossing needs from its server."""

    sessions: dict[str, Session]
    metrics: Metrics
    resume_key: bytes
    settings: ServerSettings
    is_ending: bool

    @property
    def own_health(self) -> dict[str, Any]: ...
    def engine(self, name: str | None) -> Engine: ...
    def place(self) -> AbstractContextManager[None]: ...
    def alone(self, session: Session, resume: Resume, hello: Hello) -> AbstractAsyncContextManager[None]: ...


class Crossing:
    """Moves streams between the workers of a server.

    Args:
        server: whose streams they are.
        siblings: the other workers, if there are any.
    """

    def __init__(self, server: Server, siblings: Siblings | None):
        self._server, self._siblings = server, siblings
        self._storing = None if server.settings.store is None else storing_of(server)

    async def begin(self) -> None:
        """Starts answering the other workers and storing streams. Raises StoreFailed if the store cannot be used."""
        if self._storing is not None:
            await self._storing.begin()
        if self._siblings is not None:
            await self._siblings.begin({"claim": self._give_away, "health": self._health, "figures": self._figures})

    async def end(self) -> None:
        """Stops answering. What is stored remains for other servers."""
        if self._siblings is not None:
            await self._siblings.end()
        if self._storing is not None:
            await self._storing.end()

    async def keep(self, session: Session) -> None:
        """Starts storing this stream, if there is a store."""
        if self._storing is not None:
            await self._storing.add(session)

    def forget(self, session: Session) -> None:
        """The stream is no longer here; streams of a server that shuts down continue elsewhere."""
        if self._storing is not None:
            self._storing.remove(session, is_over=not self._server.is_ending)

    async def has_left(self, session: Session) -> bool:
        """Whether another server has taken the stream over; if so, it is released here."""
        if self._storing is None or not await self._storing.is_elsewhere(session.id):
            return False
        self._storing.remove(session, is_over=False)
        session.forget()
        return True

    async def found(self, hello: Hello, resume: Resume) -> Handover:
        """Fetches a stream that another process has or had.

        Raises:
            ProtocolError: resume_failed; there is none, or it cannot be resumed. busy; this process has no room.
        """
        handover, by = None, ""
        if self._siblings is not None or self._storing is not None:
            # If there is no room here, the owner must keep the stream.
            with self._server.place():
                handover, by = await self._taken_over(hello, resume)
        if handover is None:
            raise ProtocolError("resume_failed", "no stream waits with this session and secret. Begin anew.")
        logger.info("a stream came over", extra={"model": handover.model, "by": by})
        return handover

    async def _taken_over(self, hello: Hello, resume: Resume) -> tuple[Handover | None, str]:
        """A stream that another process has or had, and where it came from. Raises ProtocolError as `_claimed`."""
        if (handover := await self._claimed(hello, resume)) is None:
            return await self._stored(hello, resume), "the store"
        if self._storing is not None:
            # The state that the other worker had stored is this one's to change from now on.
            await self._storing.claim(resume.session)
        return handover, "another worker"

    async def _claimed(self, hello: Hello, resume: Resume) -> Handover | None:
        """Claims a stream from another worker; None if no worker has it.

        Raises:
            ProtocolError: resume_failed; it cannot be resumed.
        """
        answers = [] if self._siblings is None else await self._siblings.ask_all("claim", hello=hello.as_text())
        found = next((answer for _, answer in answers if answer), b"")
        return self._checked(found, hello, resume) if found else None

    async def _stored(self, hello: Hello, resume: Resume) -> Handover | None:
        """Claims a stream from the store; None if it is not there. Raises ProtocolError as `_claimed`."""
        if self._storing is None or not (data := await self._storing.read(resume.session)):
            return None
        # Checked before claiming: nobody may take over a stream without the right to it.
        self._checked(data, hello, resume)
        data = await self._storing.claim(resume.session)
        return self._checked(data, hello, resume) if data else None

    def _checked(self, data: bytes, hello: Hello, resume: Resume) -> Handover:
        """Opens a state. Raises ProtocolError, resume_failed, unless the client may resume it, and can."""
        try:
            handover = opened(data, self._server.resume_key)
        except NotOurs as error:
            raise ProtocolError("resume_failed", f"{error} Begin anew.") from None
        gives = self._server.engine(handover.model).model.outlet(**handover.overrides).gives
        handover.check_kept(resume, hello, gives)
        return handover

    async def health(self) -> dict[str, Any]:
        """The response of /healthz for all workers: ok while one of them has room."""
        found = [self._server.own_health]
        if self._siblings is not None:
            found += [json.loads(answer) for _, answer in await self._siblings.ask_all("health")]
        states = [one["status"] for one in found]
        return {
            "status": "ok" if "ok" in states else states[0],
            "streams": sum(one["streams"] for one in found),
            "max_streams": sum(one["max_streams"] for one in found),
        }

    async def figures(self) -> bytes:
        """The response of /metrics; with several workers, each metric of each."""
        if self._siblings is None:
            return self._server.metrics.as_text()
        others = {index: answer.decode() for index, answer in await self._siblings.ask_all("figures")}
        return merged({self._siblings.index: self._server.metrics.as_text().decode(), **others}).encode()

    async def _health(self, _question: dict[str, Any]) -> bytes:
        return json.dumps(self._server.own_health).encode()

    async def _figures(self, _question: dict[str, Any]) -> bytes:
        return self._server.metrics.as_text()

    async def _give_away(self, question: dict[str, Any]) -> bytes:
        """Hands a stream over to another worker to which the client came back; empty if there is no such stream."""
        hello = Hello.parse(question["hello"])
        resume = hello.resume
        session = None if resume is None else self._server.sessions.get(resume.session)
        if resume is None or session is None:
            return b""
        try:
            async with self._server.alone(session, resume, hello):
                handover = await session.handed_over()
                if self._storing is not None:
                    # What is stored remains, for the new owner.
                    self._storing.remove(session, is_over=False)
                session.forget()
                return sealed(handover, self._server.resume_key)
        except ProtocolError:
            return b""


def storing_of(server: Server) -> Storing:
    """The Storing of a server, if its settings name a store."""
    settings = server.settings
    store = Store(settings.store or "", keep_s=1.5 * settings.resume_s + SPARE_S)
    return Storing(store, server.resume_key, server.metrics, refresh_s=settings.resume_s / 2)


__all__ = ["Crossing"]
