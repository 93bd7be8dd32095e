"""WebSockets for load: frames made beforehand go out as they are, so that hundreds of streams cost little."""

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

OPEN_S = 30.0

Received = str | bytes


def binary_frame(payload: bytes) -> bytes:
    """A binary message as the bytes that go over the wire, masked as clients have to."""
    return Frame(Opcode.BINARY, payload).serialize(mask=True)


class Wire(asyncio.Protocol):
    """One WebSocket to a server; made by `open_wire`.

    Args:
        url: ws://host:port/path or wss.
        headers: of the request.
        on_message: called with each message, str or bytes, as it comes.
        on_end: called once, when the connection is over.
    """

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        on_message: Callable[[Received], None],
        on_end: Callable[[], None] = lambda: None,
    ):
        self._protocol, self._headers = ClientProtocol(parse_uri(url), max_size=None), headers
        self._on_message, self._on_end = on_message, on_end
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    @property
    def close_code(self) -> int | None:
        """With which code it was closed; None while it is open."""
        return self._protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """What was said when it was closed; None while it is open."""
        return self._protocol.close_reason

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN

    def say(self, kind: str, /, **fields: Any) -> None:
        """Sends a message of text."""
        self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, text: str) -> None:
        """Sends text, whatever it is."""
        if self.is_open:
            self._protocol.send_text(text.encode())
            self._flush()

    def send_frame(self, frame: bytes) -> None:
        """Sends what binary_frame() made."""
        if self.is_open:
            self._transport.write(frame)

    def close(self) -> None:
        """Closes it as the protocol of WebSockets wants it."""
        if self.is_open:
            self._protocol.send_close(1000)
            self._flush()

    def abort(self) -> None:
        """Drops the connection without a word."""
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._answered()
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._on_message(bytes(event.data).decode() if event.opcode is Opcode.TEXT else bytes(event.data))
        self._flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("the server closed the connection at once"))
        self.ended.set()
        self._on_end()

    def _answered(self) -> None:
        refused = self._protocol.handshake_exc
        if refused is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(ConnectionError(str(refused)))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


async def open_wire(
    url: str,
    token: str | None,
    on_message: Callable[[Received], None],
    on_end: Callable[[], None] = lambda: None,
) -> Wire:
    """A WebSocket that is open.

    Raises:
        OSError, TimeoutError: it cannot be had.
    """
    uri = parse_uri(url)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    context = ssl.create_default_context() if uri.secure else None
    async with asyncio.timeout(OPEN_S):
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(
            lambda: Wire(url, headers, on_message, on_end), uri.host, uri.port, ssl=context
        )
        await wire.opened
    return wire


__all__ = ["Received", "Wire", "binary_frame", "open_wire"]
