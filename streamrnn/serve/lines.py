"""The transports of connections: WebSockets, and anything else that carries messages both ways."""

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamrnn.serve.gate import ADMIT
from streamrnn.serve.sessions import Payload

TOO_LARGE = 1009


class Lost(Exception):
    """The peer is gone.

    Args:
        too_large: a message was refused for its size.
    """

    def __init__(self, too_large: bool = False):
        super().__init__("the other side is gone")
        self.too_large = too_large


class Line(Protocol):
    """Carries messages between a client and a connection of the server."""

    @property
    def authorization(self) -> str | None:
        """The client's credentials, in the form of an Authorization header."""
        ...

    def admit(self) -> None:
        """Raises the limits for new connections."""

    async def accept(self) -> None: ...
    async def receive(self) -> Any:
        """The next message. Raises Lost."""

    async def send(self, payload: Payload) -> None:
        """Raises Lost."""

    async def close(self, code: int, reason: str | None) -> None:
        """Closes, with a WebSocket's code if the transport has one. Raises nothing if it is already lost."""


class WebSocketLine:
    """A WebSocket that is not accepted yet; messages are str or bytes."""

    def __init__(self, websocket: WebSocket):
        self._websocket = websocket

    @property
    def authorization(self) -> str | None:
        return self._websocket.headers.get("authorization")

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters of its URL."""
        return self._websocket.query_params

    def admit(self) -> None:
        # Present if our own web server runs the application.
        self._websocket.scope.get("extensions", {}).get(ADMIT, _nothing)()

    async def accept(self) -> None:
        await self._websocket.accept()

    async def receive(self) -> Payload:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Lost(message["code"] == TOO_LARGE)
        data = message.get("bytes")
        return message["text"] if data is None else data

    async def send(self, payload: Payload) -> None:
        try:
            if isinstance(payload, bytes):
                await self._websocket.send_bytes(payload)
            else:
                await self._websocket.send_text(payload)
        except WebSocketDisconnect:
            raise Lost from None

    async def close(self, code: int, reason: str | None) -> None:
        try:
            await self._websocket.close(code, reason=reason)
        # Closing a connection that was lost meanwhile raises RuntimeError.
        except (WebSocketDisconnect, RuntimeError):
            return


def _nothing() -> None: ...


__all__ = ["Line", "Lost", "WebSocketLine"]
