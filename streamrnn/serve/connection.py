"""One connection, whatever it speaks: what comes in, what goes out, and how it ends."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from streamrnn.serve.allowance import Allowance
from streamrnn.serve.buffered import Buffered
from streamrnn.serve.handover import Handover
from streamrnn.serve.lines import Line, Lost
from streamrnn.serve.protocol import NORMAL, ProtocolError
from streamrnn.serve.said import Payload
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.sounds import SMALL_S

logger = logging.getLogger(__name__)

# What is left is sent within this time when a connection is ended.
LAST_WORDS_S = 2.0


class Host(Protocol):
    """What any connection needs of its server."""

    settings: ServerSettings
    buffered: Buffered

    def count_error(self, error: ProtocolError) -> None: ...


class SmallMessages:
    """How many small messages a connection may still send: `most` at once, and as many per second."""

    def __init__(self, most: float):
        self._most, self._allowance = most, Allowance(most)

    def count(self) -> None:
        """Raises ProtocolError, too_many_messages, when there were too many."""
        if not self._allowance.spend():
            raise ProtocolError(
                "too_many_messages",
                f"more than {self._most:.0f} messages per second that are text or hold less than "
                f"{1000 * SMALL_S:.0f} ms of sound. Send longer ones.",
            )


class Connection(ABC):
    """Speaks with one client over a line; subclasses say in which language.

    Three things end it: what came in, nobody being there any more, and `end`. Whichever it is, what has to be said
    still is.

    Args:
        line: not yet accepted.
        host: the server.
    """

    knows_tokens = True
    """Whether its language has a place for the server's token; where there is none, none is needed."""

    def __init__(self, line: Line, host: Host):
        self.is_known = False
        """Whether it has a stream, or had one."""
        self.released = asyncio.Event()
        """Set once nothing is taken from it any more."""
        self.is_asking, self.answered = False, asyncio.Event()
        """Whether it asked for a stream and has no answer yet; and set once it has."""
        self._line, self._host, self._settings = line, host, host.settings
        self._idle_s = host.settings.idle_s
        self._small = SmallMessages(host.settings.max_small_messages)
        self._outbox: deque[Payload] = deque()
        self._unsent_bytes = 0
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self._ended: asyncio.Future[ProtocolError] = asyncio.get_running_loop().create_future()
        self._is_lost = False
        # When a wait for the other side began; None while there is none.
        self._waiting_since: float | None = None
        self._sending_since: float | None = None

    @abstractmethod
    async def talk(self) -> None:
        """Takes messages until there is nothing more to say. Raises ProtocolError for what ends it, and Lost."""

    @abstractmethod
    def tell(self, error: ProtocolError) -> None:
        """Sends an error in its language."""

    @abstractmethod
    async def go(self, seal: Callable[[Handover], bytes]) -> None:
        """Says what is left to be said of its streams, as the server ends.

        Args:
            seal: makes bytes of a state, for clients that take it to another server.
        """

    @abstractmethod
    def left(self) -> None:
        """It is over: what becomes of its streams."""

    @abstractmethod
    def drop(self) -> None:
        """It failed: its streams are given up."""

    @property
    def authorization(self) -> str | None:
        """The header of this name, if there is one."""
        return self._line.authorization

    def admit(self) -> None:
        """Lets it send more than a newcomer may."""
        self._line.admit()

    async def run(self) -> None:
        """Speaks until the end."""
        await self._line.accept()
        talking, sending = asyncio.ensure_future(self.talk()), asyncio.ensure_future(self._send_all())
        try:
            error = await self._first_of(talking, sending)
            # Nothing is taken any more, before another connection takes over.
            await _cancelled(talking)
            self.released.set()
            await self._part(error)
        finally:
            await _cancelled(talking, sending)
            self._host.buffered.bytes -= self._unsent_bytes
            self._unsent_bytes = 0
            self._lose()
            self.released.set()
            self.left()

    def send(self, payload: Payload) -> None:
        """Sends, once those before have been sent."""
        self._outbox.append(payload)
        self._unsent_bytes += len(payload)
        self._host.buffered.bytes += len(payload)
        self._filled.set()

    async def sent(self) -> None:
        """Waits until all that was said is sent, or nobody is there any more."""
        await self._unsent_at_most(0)

    def end(self, error: ProtocolError) -> None:
        """Ends it, whatever it is doing."""
        if not self._ended.done():
            self._ended.set_result(error)

    def excuse(self, seconds: float) -> None:
        """The server itself stood still for so long."""
        if self._sending_since is not None:
            self._sending_since += seconds
        if self._waiting_since is not None:
            self._waiting_since += seconds

    def watch(self, now: float) -> None:
        """Ends it if the other side has been silent, or has not read, for too long; to be called now and then."""
        if self._sending_since is not None and now - self._sending_since > self._settings.slow_reader_s:
            self.end(ProtocolError("slow_reader", f"nothing was read for {self._settings.slow_reader_s:g} s."))
        elif self._waiting_since is not None and now - self._waiting_since > self._idle_s:
            self.end(ProtocolError("idle", f"nothing whole came for {self._settings.idle_s:g} s."))

    async def receive(self) -> Any:
        """The next message, once enough of what waits for the other side was read. Raises Lost."""
        await self._unsent_at_most(0 if self._host.buffered.is_full else self._settings.max_unsent_bytes)
        self._waiting_since = time.monotonic()
        try:
            return await self._line.receive()
        except Lost as lost:
            if lost.too_large:
                self._host.count_error(ProtocolError("too_large", "the WebSocket layer refused a message."))
            raise
        finally:
            self._waiting_since = None

    def refuse(self, error: ProtocolError) -> None:
        """Counts an error, and sends it."""
        self._host.count_error(error)
        self.tell(error)

    async def _first_of(self, *tasks: asyncio.Task) -> ProtocolError | None:
        """What is to be said of what ended first, if anything."""
        await asyncio.wait({*tasks, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            return self._ended.result()
        return self._reason(next(task.exception() for task in tasks if task.done()))

    def _reason(self, exception: BaseException | None) -> ProtocolError | None:
        if exception is None or isinstance(exception, ProtocolError):
            return exception
        if isinstance(exception, Lost):
            self._lose()
            return None
        logger.error("connection failed", exc_info=exception)
        self.drop()
        return ProtocolError("internal", "the server failed. Begin anew.")

    async def _part(self, error: ProtocolError | None) -> None:
        """Last words, and the close."""
        if self._is_lost:
            return
        if error is not None:
            self.refuse(error)
        if error is None or error.code != "slow_reader":
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self.sent()
        code = NORMAL if error is None else error.close_code or NORMAL
        await self._line.close(code, None if error is None else error.code)

    def _lose(self) -> None:
        self._is_lost = True
        self._emptied.set()

    async def _unsent_at_most(self, most: int) -> None:
        while self._unsent_bytes > most and not self._is_lost:
            self._emptied.clear()
            await self._emptied.wait()

    async def _send_all(self) -> None:
        """Sends what there is, for ever, or until nobody is there any more."""
        try:
            while True:
                while self._outbox:
                    await self._send_one(self._outbox.popleft())
                self._filled.clear()
                await self._filled.wait()
        except Lost:
            self._lose()

    async def _send_one(self, payload: Payload) -> None:
        self._sending_since = time.monotonic()
        await self._line.send(payload)
        self._sending_since = None
        self._unsent_bytes -= len(payload)
        self._host.buffered.bytes -= len(payload)
        self._emptied.set()


async def _cancelled(*tasks: asyncio.Task) -> None:
    """Cancels, and waits until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["Connection", "Host", "SmallMessages"]
