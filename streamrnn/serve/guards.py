"""uvicorn's protocols, and what they let pass: peers that never finish a request, never read, or only ping."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from streamrnn.serve.settings import ServerSettings

# A closing handshake, and what is left to be sent, may take so long.
CLOSE_S = 5.0
# Parts of one message; a part may be empty, so that their size is no limit.
MOST_PARTS = 1024


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends when it is to end, whether or not the peer reads, and that a busy peer keeps.

    A pong can lie behind megabytes of sound that the server has not read yet: whoever sends anything is alive.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.close_timeout = CLOSE_S
        self._came_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._came_at = self.loop.time()
        super().data_received(data)

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

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        if len(self.connections) > self.settings.max_connections:
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for what in list(self._timers):
            self._cancel(what)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()

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


def guarded_http(limits: ServerSettings) -> type[H11Protocol]:
    """The HTTP protocol with a server's limits; uvicorn gives protocols no arguments of one's own."""

    class Guarded(GuardedHTTP):
        settings = limits

    return Guarded


__all__ = ["GuardedHTTP", "GuardedWebSocket", "guarded_http"]
