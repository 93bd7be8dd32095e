"""uvicorn's protocols, hardened against peers that never finish a request, never read, or send next to nothing in as
many frames as they can."""

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

# Time limit for a closing handshake and for sending what is queued.
CLOSE_S = 5.0
# Fragments per message; a fragment may be empty, so the message size does not limit them.
MOST_PARTS = 1024
# Smaller frames cost more to parse than to send: 10 ms of the lowest sound rate are 160 bytes.
SMALL_FRAME_BYTES = 128
# Small frames from peers that have not said hello: burst, and per second. A hello is one frame.
NEWCOMER_FRAMES, NEWCOMER_FRAMES_PER_S = 64, 16
# The server reports too many small messages as an error; beyond this multiple, it closes without a reason.
DEAF_TO_REASONS = 4
# Bytes of a message from a peer that has not said hello.
NEWCOMER_BYTES = MOST_TEXT
MOST_HEAD_BYTES = 16_384
# Lines in the head of a request.
MOST_LINES = 128
# Pieces of a body with fewer bytes are small; burst, and per second.
SMALL_PIECE_BYTES, SMALL_PIECES, SMALL_PIECES_PER_S = 64, 256, 64
# Requests per connection: burst, and per second.
REQUESTS, REQUESTS_PER_S = 100, 20
_BLANK_LINE = re.compile(rb"\n\r?\n")


class SparingFrames(ServerProtocol):
    """Ends a connection at the first small frame above the limit; the rest is not even parsed.

    Attributes:
        allowance: the rate limit for small frames.
    """

    allowance: Allowance

    def recv_frame(self, frame: Frame) -> None:
        if len(frame.data) < SMALL_FRAME_BYTES and not self.allowance.spend():
            self.fail(1008, "too_many_messages")
            raise ProtocolError("too many small frames")
        super().recv_frame(frame)

    @property
    def held_bytes(self) -> int:
        """Bytes held of an incomplete message."""
        return len(self.reader.buffer) + (self.current_size or 0)


class SparingRequests(h11.Connection):
    """Refuses heads of many lines before they are parsed, bodies in tiny pieces, and floods of requests.

    Attributes:
        has_refused: whether it has refused something.
    """

    def __init__(self, most_head_bytes: int):
        super().__init__(h11.SERVER, most_head_bytes)
        self.has_refused = False
        self._pieces, self._requests = Allowance(SMALL_PIECES, SMALL_PIECES_PER_S), Allowance(REQUESTS, REQUESTS_PER_S)

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            # Each line is a header, and 16 kB can hold 4,000 of them.
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
    """A WebSocket that closes on time even if the peer does not read, and stays open while the peer is sending.

    A pong can be queued behind megabytes of sound that the server has not read yet, so any data shows that the peer
    is alive. Until the application admits the peer, messages must be short and frames few.
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
        """The peer has said hello and may stay: its messages may be as long as the settings allow."""
        self.conn.max_message_size = self.settings.max_message_bytes
        self.conn.allowance = Allowance(DEAF_TO_REASONS * self.settings.max_small_messages)
        gate: Any = self.transport
        gate.admit()

    @property
    def has_more_to_come(self) -> bool:
        """Whether the peer may still be sending unwanted data."""
        return self.conn.parser_exc is not None

    def _hold(self, held_bytes: int) -> None:
        self.buffered.bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes

    def handle_ping(self) -> None:
        # Pongs to a peer that reads none would pile up.
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
        # What the peer has not read by now it never will.
        self.transport.abort()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_S, self.transport.abort)

    def shutdown(self) -> None:
        # The application has sent its last messages; the peer may still be reading, and answer.
        if not self.close_sent:
            self.transport.close()

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            # The close goes out after everything queued, even if the peer reads nothing.
            self.writable.set()
        await super().send(message)


class GuardedHTTP(H11Protocol):
    """HTTP with limits on connections, and on the time to send a request's head and to read the response."""

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
        # Checked before the next request, which may have arrived already.
        is_early = self.has_more_to_come
        super().on_response_complete()
        if is_early:
            # The response came before the request was complete: nobody reads the rest.
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
        """Whether the peer may still be sending unwanted data."""
        return self.conn.has_refused or self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_after("read", self.settings.slow_reader_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel("read")

    def _expect_head(self) -> None:
        # The rest of a refused body, after the response, is under the same time limit.
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
    """Makes what uvicorn calls a protocol class: a gate around HTTP and WebSockets with the server's limits."""
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
