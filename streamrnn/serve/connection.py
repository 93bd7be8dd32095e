"""One WebSocket: hello, what comes in, what goes out, and how it ends."""

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamrnn.serve.protocol import NORMAL, Hello, ProtocolError, parse_command
from streamrnn.serve.sessions import SMALL_S, Buffered, Payload, Session
from streamrnn.serve.settings import ServerSettings

logger = logging.getLogger(__name__)

# Messages of sound in a row that may be refused.
MOST_BAD_AUDIO = 20
# What is left is sent within this time when a connection is ended.
LAST_WORDS_S = 2.0
TOO_LARGE = 1009


class Host(Protocol):
    """What a connection needs of its server."""

    settings: ServerSettings
    buffered: Buffered

    async def welcome(self, hello: Hello, connection: "Connection") -> Session: ...
    def count_error(self, error: ProtocolError) -> None: ...


class SmallMessages:
    """How many small messages a connection may still send: `most` at once, and as many per second."""

    def __init__(self, most: float):
        self._most, self._left, self._at = most, most, time.monotonic()

    def count(self) -> None:
        """Raises ProtocolError, too_many_messages, when there were too many."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._most) - 1
        self._at = now
        if self._left < 0:
            raise ProtocolError(
                "too_many_messages",
                f"more than {self._most:.0f} messages per second that are text or hold less than "
                f"{1000 * SMALL_S:.0f} ms of sound. Send longer ones.",
            )


class Connection:
    """Speaks the protocol over one WebSocket.

    Three things end it: what came in, nobody being there any more, and `end`. Whichever it is, what has to be said
    still is, and the session stays behind for another connection.

    Args:
        websocket: not yet accepted.
        host: the server.
    """

    def __init__(self, websocket: WebSocket, host: Host):
        self.session: Session | None = None
        self.released = asyncio.Event()
        """Set once nothing is taken from it any more."""
        self._websocket, self._host, self._settings = websocket, host, host.settings
        self._small = SmallMessages(host.settings.max_small_messages)
        self._outbox: deque[Payload] = deque()
        self._unsent_bytes = 0
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self._ended: asyncio.Future[ProtocolError] = asyncio.get_running_loop().create_future()
        self._is_lost = False
        # When a wait for the other side began; None while there is none.
        self._waiting_since: float | None = None
        self._sending_since: float | None = None

    @property
    def authorization(self) -> str | None:
        """The header of this name, if there is one."""
        return self._websocket.headers.get("authorization")

    async def run(self) -> None:
        """Speaks until the end."""
        await self._websocket.accept()
        talking, sending = asyncio.ensure_future(self._talk()), asyncio.ensure_future(self._send_all())
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
            self.released.set()
            if self.session is not None and self.session.connection is self:
                self.session.detach()

    def send(self, payload: Payload) -> None:
        """Sends, once those before have been sent."""
        self._outbox.append(payload)
        self._unsent_bytes += len(payload)
        self._host.buffered.bytes += len(payload)
        self._filled.set()

    def end(self, error: ProtocolError) -> None:
        """Ends it, whatever it is doing."""
        if not self._ended.done():
            self._ended.set_result(error)

    def watch(self, now: float) -> None:
        """Ends it if the other side has been silent, or has not read, for too long; to be called now and then."""
        if self._sending_since is not None and now - self._sending_since > self._settings.slow_reader_s:
            self.end(ProtocolError("slow_reader", f"nothing was read for {self._settings.slow_reader_s:g} s."))
        elif self._waiting_since is not None and now - self._waiting_since > self._settings.idle_s:
            self.end(ProtocolError("idle", f"nothing whole came for {self._settings.idle_s:g} s."))

    async def _first_of(self, *tasks: asyncio.Task) -> ProtocolError | None:
        """What is to be said of what ended first, if anything."""
        await asyncio.wait({*tasks, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            return self._ended.result()
        return self._reason(next(task.exception() for task in tasks if task.done()))

    def _reason(self, exception: BaseException | None) -> ProtocolError | None:
        if exception is None or isinstance(exception, ProtocolError):
            return exception
        if isinstance(exception, WebSocketDisconnect):
            self._lose()
            return None
        logger.error("connection failed", exc_info=exception)
        if self.session is not None:
            self.session.forget()
        return ProtocolError("internal", "the server failed. Begin anew.")

    async def _part(self, error: ProtocolError | None) -> None:
        """Last words, and the close."""
        if self._is_lost:
            return
        if error is not None:
            self._refuse(error)
        if error is None or error.code != "slow_reader":
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._unsent_at_most(0)
        code = NORMAL if error is None else error.close_code or NORMAL
        # A RuntimeError is what comes of closing what was lost meanwhile.
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code, reason=None if error is None else error.code)

    def _lose(self) -> None:
        self._is_lost = True
        self._emptied.set()

    async def _talk(self) -> None:
        try:
            async with asyncio.timeout(self._settings.hello_s):
                hello = await self._hello()
        except TimeoutError:
            seconds = f"{self._settings.hello_s:g} s"
            raise ProtocolError("hello_timeout", f"no hello came within {seconds}. It is the first message.") from None
        self.session = await self._host.welcome(hello, self)
        bad_audio = 0
        while not self.session.is_closed:
            try:
                await self._take(await self._receive(), self.session)
                bad_audio = 0
            except ProtocolError as error:
                bad_audio += error.code == "bad_audio"
                if bad_audio > MOST_BAD_AUDIO:
                    raise ProtocolError(error.code, error.message, 1007) from None
                if error.fatal:
                    raise
                self._refuse(error)

    async def _hello(self) -> Hello:
        message = await self._receive()
        if isinstance(message, bytes):
            raise ProtocolError("bad_message", "sound came before hello. Say hello first.", 1002)
        return Hello.parse(message)

    async def _receive(self) -> Payload:
        await self._unsent_at_most(0 if self._host.buffered.is_full else self._settings.max_unsent_bytes)
        self._waiting_since = time.monotonic()
        message = await self._websocket.receive()
        self._waiting_since = None
        if message["type"] == "websocket.disconnect":
            if message["code"] == TOO_LARGE:
                self._host.count_error(ProtocolError("too_large", "the WebSocket layer refused a message."))
            raise WebSocketDisconnect(message["code"])
        data = message.get("bytes")
        return message["text"] if data is None else data

    async def _unsent_at_most(self, most: int) -> None:
        while self._unsent_bytes > most and not self._is_lost:
            self._emptied.clear()
            await self._emptied.wait()

    async def _take(self, message: Payload, session: Session) -> None:
        if isinstance(message, bytes):
            if len(message) < session.small_bytes:
                self._small.count()
            await session.take(message)
            return
        self._small.count()
        match parse_command(message):
            case "flush":
                await session.flush()
            case "reset":
                await session.reset()
            case "close":
                await session.close()

    def _refuse(self, error: ProtocolError) -> None:
        self._host.count_error(error)
        self.send(error.as_text())

    async def _send_all(self) -> None:
        """Sends what there is, for ever, or until nobody is there any more."""
        try:
            while True:
                while self._outbox:
                    await self._send_one(self._outbox.popleft())
                self._filled.clear()
                await self._filled.wait()
        except WebSocketDisconnect:
            self._lose()

    async def _send_one(self, payload: Payload) -> None:
        self._sending_since = time.monotonic()
        if isinstance(payload, bytes):
            await self._websocket.send_bytes(payload)
        else:
            await self._websocket.send_text(payload)
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
