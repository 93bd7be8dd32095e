"""Saves the streams of a server to a store, each about once a second, so that another server can resume them.

Clients get an acknowledgement of sound only once the state after it is stored; they hold, and resend, the rest. A
server that resumes from a state repeats the messages after it, except those that the client has received.
"""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from streamrnn.runtime import PooledStream, Snapshot
from streamrnn.serve.engine import Engine
from streamrnn.serve.handover import Handover, sealed
from streamrnn.serve.metrics import Metrics
from streamrnn.serve.protocol import ProtocolError
from streamrnn.serve.sessions import Session
from streamrnn.serve.store import Store, StoreFailed

logger = logging.getLogger(__name__)

EVERY_S, LOOK_S = 1.0, 0.05
# Limit for sound that arrives faster than real time: a client may hold only so much until it is stored.
EVERY_SOUND_S = 10.0
# Streams of an engine captured at once, so that they do not delay a tick for long; more if there are so many streams
# that each must have its turn in time.
AT_ONCE = 64
# Queued sound is processed within this time, unless a client sends it faster than possible.
CATCH_UP_S = 2.0
# Messages stored along with a state: what a client may have missed, and what is in flight to it.
KEPT_BYTES = 1 << 18
# If a store fails for this long, progress is reported anyway: clients cannot hold sound without end.
PATIENCE_S = 60.0


# A stream, the version of the state, and the state.
_State = tuple[Session, int, Handover]


@dataclass
class _Mark:
    session: Session
    tried_at: float
    stored_samples: int = -1
    version: int = 0
    is_under_way: bool = False


class Storing:
    """Saves the streams of one server to a store.

    Args:
        store: where.
        key: signs states.
        metrics: where failures are counted.
        refresh_s: an idle stream is saved again at this interval, so that it does not expire.
    """

    def __init__(self, store: Store, key: bytes, metrics: Metrics, refresh_s: float):
        self._store, self._key, self._refresh_s = store, key, refresh_s
        self._marks: dict[PooledStream, _Mark] = {}
        self._failing_since: float | None = None
        self._tasks: set[asyncio.Task] = set()
        self._looking: asyncio.Task | None = None
        self._stored = metrics.stored
        metrics.watch("streamrnn_store_failing", "Whether the store fails", lambda: self._failing_since is not None)

    async def begin(self) -> None:
        """Starts saving streams. Raises StoreFailed if the store cannot be used."""
        await self._store.check()
        self._looking = asyncio.create_task(self._look_on())

    async def end(self) -> None:
        """Stops saving. What is stored remains for other servers."""
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.end()

    async def add(self, session: Session) -> None:
        """Starts saving this stream, for the first time at once."""
        self._marks[session.stream] = _Mark(session, tried_at=time.monotonic())
        session.keeper = self
        await self.save(session)

    def remove(self, session: Session, is_over: bool) -> None:
        """Stops saving it; if it is over, its stored state is deleted."""
        if self._marks.pop(session.stream, None) is not None and is_over:
            self._do(self._forget(session.id))

    @property
    def is_given_up(self) -> bool:
        """Whether the store has failed for so long that nothing waits for it any more."""
        return self._failing_since is not None and time.monotonic() - self._failing_since > PATIENCE_S

    async def save(self, session: Session) -> None:
        """Saves its current state once no sound is queued. Waits for a failing store, but not forever."""
        until = time.monotonic() + CATCH_UP_S
        while not session.is_leaving:
            if (state := await self._present(session)) is not None:
                await self._save([state])
                return
            if time.monotonic() > until:
                return
            await asyncio.sleep(LOOK_S)

    async def _present(self, session: Session) -> _State | None:
        """The state after all messages sent; None if sound is queued."""
        if not session.can_be_kept:
            # It was flushed: everything is answered, and there is nothing to resume.
            return self._state(session, None)
        found: asyncio.Future[_State | None] = asyncio.get_running_loop().create_future()

        def capture(of: Mapping[PooledStream, Snapshot]) -> None:
            if not found.done():
                found.set_result(self._state(session, of[session.stream]) if of else None)

        session.engine.capture([session.stream], capture)
        return await found

    def _state(self, session: Session, snapshot: Snapshot | None) -> _State:
        # Versioned as it is captured: a newer capture may overtake one that waited for its snapshot.
        return session, self._store.next_version(), session.kept_as(snapshot, KEPT_BYTES)

    async def read(self, session: str) -> bytes | None:
        """The stored state of a stream; None if there is none, or the store fails."""
        return await self._asked(self._store.read(session))

    async def claim(self, session: str) -> bytes | None:
        """Like `read`, and makes this server the owner."""
        return await self._asked(self._store.claim(session))

    async def is_elsewhere(self, session: str) -> bool:
        """Whether another server is known to have taken over a stream of this one."""
        return bool(await self._asked(self._store.is_elsewhere(session)))

    async def _asked(self, question: Any) -> Any:
        try:
            return await question
        except StoreFailed as error:
            self._fail(error)
            return None

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            due: dict[Engine, list[_Mark]] = {}
            for mark in self._marks.values():
                if self._is_due(mark, now):
                    due.setdefault(mark.session.engine, []).append(mark)
            for engine, marks in due.items():
                streams = sum(mark.session.engine is engine for mark in self._marks.values())
                at_once = max(AT_ONCE, math.ceil(streams * LOOK_S / EVERY_S))
                self._capture(engine, marks[:at_once])

    def _is_due(self, mark: _Mark, now: float) -> bool:
        session = mark.session
        if mark.is_under_way or not session.can_be_kept:
            return False
        past_s = now - mark.tried_at
        if session.received_samples == mark.stored_samples:
            return past_s > self._refresh_s
        news_s = (session.received_samples - mark.stored_samples) / session.stream.rate
        return past_s > EVERY_S or (news_s > EVERY_SOUND_S and self._failing_since is None)

    def _capture(self, engine: Engine, marks: list[_Mark]) -> None:
        for mark in marks:
            mark.is_under_way = True
            # Moved to the end: the stream that has waited longest comes first.
            self._marks[mark.session.stream] = self._marks.pop(mark.session.stream)
        engine.capture([mark.session.stream for mark in marks], partial(self._captured, marks))

    def _captured(self, marks: list[_Mark], found: Mapping[PooledStream, Snapshot]) -> None:
        """Runs in the event loop, after the messages before the snapshots and before later ones."""
        states = []
        for mark in marks:
            session, snapshot = mark.session, found.get(mark.session.stream)
            if snapshot is None or not session.can_be_kept:
                # Sound is queued: retry soon.
                mark.is_under_way = False
            else:
                states.append(self._state(session, snapshot))
        if states:
            self._do(self._save(states))

    async def _save(self, states: list[_State]) -> None:
        try:
            data = await asyncio.to_thread(lambda: [sealed(handover, self._key) for _, _, handover in states])
            sessions = [(session.id, version) for session, version, _ in states]
            kept = await self._store.save((*names, one) for names, one in zip(sessions, data, strict=True))
        except StoreFailed as error:
            self._fail(error)
            kept = [None] * len(states)
        else:
            self._failing_since = None
        for state, is_kept in zip(states, kept, strict=True):
            self._done(*state, is_kept)

    def _done(self, session: Session, version: int, handover: Handover, is_kept: bool | None) -> None:
        mark = self._marks.get(session.stream)
        if mark is None:
            return
        mark.is_under_way = False
        # Whatever the result, the next try is a second away; if the store works, sooner for sound that arrived fast.
        mark.tried_at = time.monotonic()
        if is_kept:
            self._stored.inc()
            # A save that was overtaken may belong to a stream that was reset since.
            if version > mark.version:
                mark.version, mark.stored_samples = version, handover.received_samples
                session.confirm(handover.received_samples)
        elif is_kept is False:
            self.remove(session, is_over=False)
            if session.connection is not None:
                session.connection.end(ProtocolError("taken_over", "another server has resumed the stream."))
            session.forget()

    def _fail(self, error: StoreFailed) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            logger.error("store fails", extra={"reason": str(error)})

    async def _forget(self, session: str) -> None:
        # It expires there in any case.
        with suppress(StoreFailed):
            await self._store.forget(session)

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


__all__ = ["Storing"]
