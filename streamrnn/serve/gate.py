"""Sits between a socket and uvicorn's protocols: admits connections, and limits how much is read from each at once."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streamrnn.serve.settings import ServerSettings

# Bytes parsed before other connections have their turn; fewer from unknown peers.
STRANGER_BYTES, ADMITTED_BYTES = 4096, 16_384
# A refused peer has this long to read why; what it sends meanwhile is discarded unread.
LINGER_S = 2.0
# Name of the ASGI extension with which the application admits a peer.
ADMIT = "streamrnn.admit"


class Doors:
    """Counts connections from the moment they are accepted.

    Args:
        settings: the server's limits.
        context: for TLS; None: no TLS.
    """

    def __init__(self, settings: ServerSettings, context: ssl.SSLContext | None = None):
        self.settings, self.context = settings, context
        self.connections = 0
        # Shared: data is copied out of it before the next connection reads.
        self.buffer = memoryview(bytearray(ADMITTED_BYTES))
        self.shaking_hands: set[Gate] = set()
        self._newcomers: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether a peer of this address may connect; if so, it counts as a newcomer."""
        if self.connections >= self.settings.max_connections:
            return False
        if self._newcomers[address] >= self.settings.max_newcomers_per_address:
            return False
        self.connections += 1
        self._newcomers[address] += 1
        return True

    def leave(self, address: str, is_newcomer: bool) -> None:
        """Uncounts a connection."""
        self.connections -= 1
        if is_newcomer:
            self.admit(address)

    def admit(self, address: str) -> None:
        """The peer is no longer a newcomer."""
        self._newcomers[address] -= 1
        # Else every address that ever connected would be kept.
        if not self._newcomers[address]:
            del self._newcomers[address]

    def shut(self) -> None:
        """Closes connections that have not completed a handshake."""
        for gate in list(self.shaking_hands):
            gate.abort()


class Gate(asyncio.BufferedProtocol):
    """One connection: a protocol to the socket, and the transport to the uvicorn protocol it wraps.

    It reads in small slices, so that a peer whose bytes are expensive to parse takes turns with the others; asyncio
    and uvloop would pass on up to 256 kB in one call. If a request is refused while more of it is still to come, the
    rest is discarded unread until the peer has had time to read the reason.

    Args:
        doors: of the server.
        make_inner: makes uvicorn's protocol, once the peer is accepted.
    """

    def __init__(self, doors: Doors, make_inner: Callable[[], asyncio.Protocol]):
        self._doors, self._make_inner = doors, make_inner
        self._loop = asyncio.get_running_loop()
        self._inner: Any = None
        self._transport: Any = None
        self._address = ""
        self._is_newcomer, self._has_entered = True, False
        self._is_paused = self._rests = self._lingers = False
        # asyncio reads once per turn of its loop. uvloop continues while the buffer is filled.
        self._has_to_rest = not isinstance(self._loop, asyncio.SelectorEventLoop)
        self._slice_bytes = STRANGER_BYTES
        # Data that arrived before the handshake's completion was reported.
        self._early: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._has_entered = self._doors.enter(self._address)
        if not self._has_entered:
            transport.abort()
        elif self._doors.context is None:
            self._begin()
        else:
            # The next bytes belong to the handshake. uvloop would keep reading.
            transport.pause_reading()
            self._doors.shaking_hands.add(self)
            self._handshake = self._loop.create_task(self._shake_hands(self._doors.context))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._inner is not None:
            self._inner.connection_lost(exc)
        self._leave()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._doors.buffer[: self._slice_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._doors.buffer[:nbytes])
        if self._inner is None:
            self._early.append(data)
        elif not self._lingers:
            self._inner.data_received(data)
        if self._has_to_rest and nbytes == self._slice_bytes:
            self._rests = True
            self._read_or_not()
            self._loop.call_soon(self._go_on)

    def eof_received(self) -> bool | None:
        return None if self._inner is None or self._lingers else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    # From here on: the interface of a transport.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Replaces the wrapped protocol: a request became a WebSocket."""
        self._inner = protocol

    def get_protocol(self) -> asyncio.Protocol:
        """The wrapped protocol."""
        return self._inner

    def write(self, data: bytes) -> None:
        """Sends."""
        if not self._lingers:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection is closing."""
        return self._lingers or self._transport.is_closing()

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def close(self) -> None:
        """Closes when everything is sent; if unwanted data is still arriving, once the peer could read the reason."""
        if self._lingers or self._transport.is_closing():
            return
        if not getattr(self._inner, "has_more_to_come", False):
            self._transport.close()
            return
        self._lingers = True
        if self._transport.can_write_eof():
            with suppress(OSError, RuntimeError):
                self._transport.write_eof()
        self._read_or_not()
        self._loop.call_later(LINGER_S, self._transport.abort)

    def pause_reading(self) -> None:
        """Stops reading for now."""
        self._is_paused = True
        # Most messages are processed in this turn of the loop; stopping and starting for each costs system calls.
        self._loop.call_soon(self._read_or_not)

    def resume_reading(self) -> None:
        """Resumes reading."""
        self._is_paused = False
        self._read_or_not()

    def admit(self) -> None:
        """The peer has said hello and may stay: it is no longer a newcomer, and may send larger slices."""
        if self._is_newcomer and self._has_entered:
            self._is_newcomer, self._slice_bytes = False, ADMITTED_BYTES
            self._doors.admit(self._address)

    def _begin(self) -> None:
        self._inner = self._make_inner()
        self._inner.connection_made(self)
        early, self._early = self._early, []
        for data in early:
            self._inner.data_received(data)

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        raw, seconds = self._transport, self._doors.settings.head_s
        try:
            tls = await self._loop.start_tls(raw, self, context, server_side=True, ssl_handshake_timeout=seconds)
        # No TLS, or too slow: not worth a report.
        except (OSError, TimeoutError):
            tls = None
        finally:
            self._doors.shaking_hands.discard(self)
        if tls is None or not self._has_entered:
            raw.abort()
            self._leave()
            return
        self._transport = tls
        self._begin()
        self._read_or_not()

    def _leave(self) -> None:
        if self._has_entered:
            self._has_entered = False
            self._doors.leave(self._address, self._is_newcomer)

    def _go_on(self) -> None:
        self._rests = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        reads = self._lingers or not self._is_paused
        if reads and not self._rests:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


__all__ = ["ADMIT", "Doors", "Gate"]
