"""Keeps the streams of a server in a store, each about once a second, so that another server can go on with them.

Clients are told that sound was taken only once the state after it is stored; they keep, and send again, the rest. What
was said after that state is said again by whoever goes on from it, and left out for who has heard it.
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
# Of sound that came faster than it was spoken: a client holds no more than some until it is stored.
EVERY_SOUND_S = 10.0
# Streams of an engine at once, so that a tick does not wait long for them; where they are many, so many that each has
# its turn in time.
AT_ONCE = 64
# Within this time, sound that waits is worked off, unless a client sends it faster than that can be.
CATCH_UP_S = 2.0
# What goes along of what was said: what a client may lack, with what is under way to it.
KEPT_BYTES = 1 << 18
# When a store fails for so long, clients are told of progress all the same: they cannot keep sound without end.
PATIENCE_S = 60.0


# A stream, the number of the state, and the state.
_State = tuple[Session, int, Handover]


@dataclass
class _Mark:
    session: Session
    tried_at: float
    stored_samples: int = -1
    version: int = 0
    is_under_way: bool = False


class Storing:
    """The streams of one server, and their copies in a store.

    Args:
        store: where.
        key: signs states.
        metrics: where failures are counted.
        refresh_s: a stream that rests is stored again so often, so that it is not forgotten there.
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
        """Stores streams from now on. Raises StoreFailed where there is no store."""
        await self._store.check()
        self._looking = asyncio.create_task(self._look_on())

    async def end(self) -> None:
        """Stores nothing more. What is stored stays, for other servers."""
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.end()

    async def add(self, session: Session) -> None:
        """Stores this stream from now on, for the first time at once."""
        self._marks[session.stream] = _Mark(session, tried_at=time.monotonic())
        session.keeper = self
        await self.save(session)

    def remove(self, session: Session, is_over: bool) -> None:
        """Stores it no more; if it is over, nobody needs it."""
        if self._marks.pop(session.stream, None) is not None and is_over:
            self._do(self._forget(session.id))

    @property
    def is_given_up(self) -> bool:
        """Whether the store has failed for so long that nothing waits for it any more."""
        return self._failing_since is not None and time.monotonic() - self._failing_since > PATIENCE_S

    async def save(self, session: Session) -> None:
        """Stores its present state, as soon as no sound waits. A store that fails is waited for, but not for ever."""
        until = time.monotonic() + CATCH_UP_S
        while not session.is_leaving:
            if (state := await self._present(session)) is not None:
                await self._save([state])
                return
            if time.monotonic() > until:
                return
            await asyncio.sleep(LOOK_S)

    async def _present(self, session: Session) -> _State | None:
        """The state that goes with all that was said; None where sound waits."""
        if not session.can_be_kept:
            # It was flushed: all of it is answered, and there is nothing to go on with.
            return self._state(session, None)
        found: asyncio.Future[_State | None] = asyncio.get_running_loop().create_future()

        def capture(of: Mapping[PooledStream, Snapshot]) -> None:
            if not found.done():
                found.set_result(self._state(session, of[session.stream]) if of else None)

        session.engine.capture([session.stream], capture)
        return await found

    def _state(self, session: Session, snapshot: Snapshot | None) -> _State:
        # Numbered as it is taken: whoever waited for it may be overtaken by a newer one.
        return session, self._store.next_version(), session.kept_as(snapshot, KEPT_BYTES)

    async def read(self, session: str) -> bytes | None:
        """What is stored of a stream; None where nothing is, or the store fails."""
        return await self._asked(self._store.read(session))

    async def claim(self, session: str) -> bytes | None:
        """The same, for this server to go on with."""
        return await self._asked(self._store.claim(session))

    async def is_elsewhere(self, session: str) -> bool:
        """Whether another server has taken a stream of this one over, as far as is known."""
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
            # To the end: whoever waits longest comes first.
            self._marks[mark.session.stream] = self._marks.pop(mark.session.stream)
        engine.capture([mark.session.stream for mark in marks], partial(self._captured, marks))

    def _captured(self, marks: list[_Mark], found: Mapping[PooledStream, Snapshot]) -> None:
        """In the event loop, after what was said before the snapshots and before what was said since."""
        states = []
        for mark in marks:
            session, snapshot = mark.session, found.get(mark.session.stream)
            if snapshot is None or not session.can_be_kept:
                # Sound waits: soon again.
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
        # Whatever came of it, the next try is a second away; where the store works, less for sound that came fast.
        mark.tried_at = time.monotonic()
        if is_kept:
            self._stored.inc()
            # One that was overtaken may be of a stream that was reset since.
            if version > mark.version:
                mark.version, mark.stored_samples = version, handover.received_samples
                session.confirm(handover.received_samples)
        elif is_kept is False:
            self.remove(session, is_over=False)
            if session.connection is not None:
                session.connection.end(ProtocolError("taken_over", "another server goes on with the stream."))
            session.forget()

    def _fail(self, error: StoreFailed) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            logger.error("store fails", extra={"reason": str(error)})

    async def _forget(self, session: str) -> None:
        # It is forgotten there after a while in any case.
        with suppress(StoreFailed):
            await self._store.forget(session)

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


__all__ = ["Storing"]
