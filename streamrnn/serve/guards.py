"""uvicorn's protocols, and what they let pass: peers that never finish a request, never read, or say next to nothing
in as many frames as they can."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, NoReturn

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Frame
from websockets.server import ServerProtocol

from streamrnn.serve.allowance import Allowance
from streamrnn.serve.buffered import Buffered
from streamrnn.serve.gate import ADMIT, Doors, Gate
from streamrnn.serve.protocol import MOST_TEXT
from streamrnn.serve.settings import ServerSettings

# A closing handshake, and what is left to be sent, may take so long.
CLOSE_S = 5.0
# Parts of one message; a part may be empty, so that their size is no limit.
MOST_PARTS = 1024
# Frames with less in them cost more to parse than to send: 10 ms of the thinnest sound are 160 bytes.
SMALL_FRAME_BYTES = 128
# Small frames of those who have not said hello: at once, and per second. A hello is one frame.
NEWCOMER_FRAMES, NEWCOMER_FRAMES_PER_S = 64, 16
# The server tells those who send too many small messages why; beyond so many times that it says no more.
DEAF_TO_REASONS = 4
# Bytes of a message of somebody who has not said hello.
NEWCOMER_BYTES = MOST_TEXT
MOST_HEAD_BYTES = 16_384
# Lines of a request's head.
MOST_LINES = 128
# Pieces of a body with less in them are small; so many at once, and per second.
SMALL_PIECE_BYTES, SMALL_PIECES, SMALL_PIECES_PER_S = 64, 256, 64
# Requests over one connection, at once and per second.
REQUESTS, REQUESTS_PER_S = 100, 20
_BLANK_LINE = re.compile(rb"\n\r?\n")


class SparingFrames(ServerProtocol):
    """Ends a connection at the frame with which there are too many small ones; the rest is not even parsed.

    Attributes:
        allowance: small frames that may still come.
    """

    allowance: Allowance

    def recv_frame(self, frame: Frame) -> None:
        if len(frame.data) < SMALL_FRAME_BYTES and not self.allowance.spend():
            self.fail(1008, "too_many_messages")
            raise ProtocolError("too many small frames")
        super().recv_frame(frame)

    @property
    def held_bytes(self) -> int:
        """Of a message that has not come to its end."""
        return len(self.reader.buffer) + (self.current_size or 0)


class SparingRequests(h11.Connection):
    """Refuses heads of many lines before they are parsed, bodies of crumbs, and request upon request.

    Attributes:
        has_refused: whether it did.
    """

    def __init__(self, most_head_bytes: int):
        super().__init__(h11.SERVER, most_head_bytes)
        self.has_refused = False
        self._pieces, self._requests = Allowance(SMALL_PIECES, SMALL_PIECES_PER_S), Allowance(REQUESTS, REQUESTS_PER_S)

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            # A line is a header, and 16 kB can hold 4,000 of them.
            head = _BLANK_LINE.split(self.trailing_data[0], 1)[0]
            if head.count(b"\n") > MOST_LINES:
                self._refuse("too many headers")
        event = super().next_event()
        if isinstance(event, h11.Request) and not self._requests.spend():
            self._refuse("too many requests")
        if isinstance(event, h11.Data) and len(event.data) < SMALL_PIECE_BYTES and not self._pieces.spend():
            self._refuse("too many small pieces of a body")
        return event

    def _refuse(self, why: str) -> NoReturn:
        self.has_refused = True
        raise h11.RemoteProtocolError(why)


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends when it is to end, whether or not the peer reads, and that a busy peer keeps.

    A pong can lie behind megabytes of sound that the server has not read yet: whoever sends anything is alive.
    Until the application admits the peer, its messages have to be short and its frames few.
    """

    settings: ServerSettings
    buffered: Buffered
    conn: SparingFrames

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.close_timeout = CLOSE_S
        self._came_at = self.loop.time()
        self._held_bytes = 0
        self.conn = SparingFrames(max_size=min(NEWCOMER_BYTES, self.settings.max_message_bytes), logger=self.logger)
        self.conn.allowance = Allowance(NEWCOMER_FRAMES, NEWCOMER_FRAMES_PER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hold(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._came_at = self.loop.time()
        super().data_received(data)
        self._hold(self.conn.held_bytes)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: Any = self.scope.setdefault("extensions", {})
            extensions[ADMIT] = self.admit

    def admit(self) -> None:
        """The peer said hello, and may stay: its messages may be as long as the settings say."""
        self.conn.max_message_size = self.settings.max_message_bytes
        self.conn.allowance = Allowance(DEAF_TO_REASONS * self.settings.max_small_messages)
        gate: Any = self.transport
        gate.admit()

    @property
    def has_more_to_come(self) -> bool:
        """Whether the peer may still be sending what is not wanted."""
        return self.conn.parser_exc is not None

    def _hold(self, held_bytes: int) -> None:
        self.buffered.bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes

    def handle_ping(self) -> None:
        # Answers to a peer that reads none would pile up.
        if not self.writable.is_set():
            self.transport.abort()
            return
        super().handle_ping()

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) >= MOST_PARTS:
            self.transport.abort()
            return
        super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        if self.read_paused or self._came_at > self.ping_sent_at:
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
            return
        super().keepalive_timeout()
        # What it did not read it never will.
        self.transport.abort()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_S, self.transport.abort)

    def shutdown(self) -> None:
        # The application has said its last words; whom it said them to may still be reading, and answer.
        if not self.close_sent:
            self.transport.close()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            # Behind all that waits, also where the peer reads nothing.
            self.writable.set()
        await super().send(message)


class GuardedHTTP(H11Protocol):
    """HTTP from as many peers as there may be, who send their request's head, and read the answer, in time."""

    settings: ServerSettings
    conn: SparingRequests

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.conn = SparingRequests(MOST_HEAD_BYTES)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for what in list(self._timers):
            self._cancel(what)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._expect_head()

    def on_response_complete(self) -> None:
        # Before the next request, which may have come already, is looked at.
        is_early = self.has_more_to_come
        super().on_response_complete()
        if is_early:
            # Answered before it was complete: nobody reads on.
            self.transport.close()
        self._expect_head()

    def send_400_response(self, msg: str) -> None:
        # The application may be about to answer the same request.
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    @property
    def has_more_to_come(self) -> bool:
        """Whether the peer may still be sending what is not wanted."""
        return self.conn.has_refused or self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_after("read", self.settings.slow_reader_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel("read")

    def _expect_head(self) -> None:
        # Also what comes after the answer, the rest of a body that was refused, may not take longer.
        if self.conn.our_state in (h11.IDLE, h11.DONE, h11.MUST_CLOSE):
            self._abort_after("head", self.settings.head_s)
        else:
            self._cancel("head")

    def _abort_after(self, what: str, seconds: float) -> None:
        if what not in self._timers:
            self._timers[what] = self.loop.call_later(seconds, self.transport.abort)

    def _cancel(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()


def guarded(doors: Doors, buffered: Buffered) -> Callable[..., asyncio.BaseProtocol]:
    """Makes what uvicorn calls a protocol class: a gate, and behind it HTTP with a server's limits; and WebSockets."""
    limits, waiting = doors.settings, buffered

    class WebSocket(GuardedWebSocket):
        settings, buffered = limits, waiting

    class Http(GuardedHTTP):
        settings = limits

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.ws_protocol_class = WebSocket

    def gate(**uvicorns: Any) -> Gate:
        return Gate(doors, lambda: Http(**uvicorns))

    return gate


__all__ = ["GuardedHTTP", "GuardedWebSocket", "SparingFrames", "SparingRequests", "guarded"]
