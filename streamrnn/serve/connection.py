"""One connection, whatever its protocol: messages in, messages out, and how it ends."""

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

# When a connection is ended, what is queued is sent within this time.
LAST_WORDS_S = 2.0


class Host(Protocol):
    """What any connection needs from its server."""

    settings: ServerSettings
    buffered: Buffered

    def count_error(self, error: ProtocolError) -> None: ...


class SmallMessages:
    """Rate limit for small messages: a burst of `most`, and as many per second."""

    def __init__(self, most: float):
        self._most, self._allowance = most, Allowance(most)

    def count(self) -> None:
        """Counts a message. Raises ProtocolError, too_many_messages, above the limit."""
        if not self._allowance.spend():
            raise ProtocolError(
                "too_many_messages",
                f"more than {self._most:.0f} messages per second that are text or hold less than "
                f"{1000 * SMALL_S:.0f} ms of sound. Send longer ones.",
            )


class Connection(ABC):
    """Talks to one client over a line; subclasses define the protocol.

    It ends through a message, the loss of the peer, or `end`. In each case, what is queued is still sent.

    Args:
        line: not accepted yet.
        host: the server.
    """

    knows_tokens = True
    """Whether its protocol has a place for the server's token; if not, it needs none."""

    def __init__(self, line: Line, host: Host):
        self.is_known = False
        """Whether it has or had a stream."""
        self.released = asyncio.Event()
        """Set once nothing more is taken from it."""
        self.is_asking, self.answered = False, asyncio.Event()
        """Whether its request for a stream is unanswered; and set once it is answered."""
        self._line, self._host, self._settings = line, host, host.settings
        self._idle_s = host.settings.idle_s
        self._small = SmallMessages(host.settings.max_small_messages)
        self._outbox: deque[Payload] = deque()
        self._unsent_bytes = 0
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self._ended: asyncio.Future[ProtocolError] = asyncio.get_running_loop().create_future()
        self._is_lost = False
        # When the current wait for the peer began; None outside of waits.
        self._waiting_since: float | None = None
        self._sending_since: float | None = None

    @abstractmethod
    async def talk(self) -> None:
        """Processes messages until the conversation ends. Raises ProtocolError for an error that ends it, and Lost."""

    @abstractmethod
    def tell(self, error: ProtocolError) -> None:
        """Sends an error in its protocol."""

    @abstractmethod
    async def go(self, seal: Callable[[Handover], bytes]) -> None:
        """Sends the remaining messages of its streams, as the server shuts down.

        Args:
            seal: serialises and signs a state, for clients that take it to another server.
        """

    @abstractmethod
    def left(self) -> None:
        """The connection is over: detaches or closes its streams."""

    @abstractmethod
    def drop(self) -> None:
        """The connection failed: discards its streams."""

    @property
    def authorization(self) -> str | None:
        """The Authorization header, if there is one."""
        return self._line.authorization

    def admit(self) -> None:
        """Raises the limits for new connections."""
        self._line.admit()

    async def run(self) -> None:
        """Runs the connection to its end."""
        await self._line.accept()
        talking, sending = asyncio.ensure_future(self.talk()), asyncio.ensure_future(self._send_all())
        try:
            error = await self._first_of(talking, sending)
            # Nothing more may be taken before another connection takes over.
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
        """Queues a message."""
        self._outbox.append(payload)
        self._unsent_bytes += len(payload)
        self._host.buffered.bytes += len(payload)
        self._filled.set()

    async def sent(self) -> None:
        """Waits until everything queued is sent, or the peer is gone."""
        await self._unsent_at_most(0)

    def end(self, error: ProtocolError) -> None:
        """Ends the connection, whatever it is doing."""
        if not self._ended.done():
            self._ended.set_result(error)

    def excuse(self, seconds: float) -> None:
        """Extends timeouts by the time that the server itself was suspended."""
        if self._sending_since is not None:
            self._sending_since += seconds
        if self._waiting_since is not None:
            self._waiting_since += seconds

    def watch(self, now: float) -> None:
        """Ends the connection if the peer has neither sent nor read for too long; to be called regularly."""
        if self._sending_since is not None and now - self._sending_since > self._settings.slow_reader_s:
            self.end(ProtocolError("slow_reader", f"the client read nothing for {self._settings.slow_reader_s:g} s."))
        elif self._waiting_since is not None and now - self._waiting_since > self._idle_s:
            self.end(ProtocolError("idle", f"no complete message arrived for {self._settings.idle_s:g} s."))

    async def receive(self) -> Any:
        """The next message, once the peer has read enough of what is queued (back-pressure). Raises Lost."""
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
        """The error to report for whichever task ended first, if any."""
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
        """Sends the remaining messages, and closes."""
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
        """Sends what is queued, until the peer is gone."""
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
    """Cancels tasks, and waits until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["Connection", "Host", "SmallMessages"]
