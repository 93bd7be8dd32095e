"""Between a socket and uvicorn's protocols: who may come in, and how much of what they send is read at once."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from streamrnn.serve.settings import ServerSettings

# What is parsed before others have their turn. Less of peers that nobody knows.
STRANGER_BYTES, ADMITTED_BYTES = 4096, 16_384
# A peer that is told to go has so long to read it; what it sends meanwhile is thrown away unread.
LINGER_S = 2.0
# Name of the ASGI extension with which the application says that a peer may stay.
ADMIT = "streamrnn.admit"


class Doors:
    """Counts who is here, from the moment in which a connection is accepted.

    Args:
        settings: the server's limits.
        context: for TLS; None for none.
    """

    def __init__(self, settings: ServerSettings, context: ssl.SSLContext | None = None):
        self.settings, self.context = settings, context
        self.connections = 0
        # One for all: what is read is copied out of it before the next one reads.
        self.buffer = memoryview(bytearray(ADMITTED_BYTES))
        self.shaking_hands: set[Gate] = set()
        self._newcomers: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether a peer of this address may come in; if so, it counts as a newcomer."""
        if self.connections >= self.settings.max_connections:
            return False
        if self._newcomers[address] >= self.settings.max_newcomers_per_address:
            return False
        self.connections += 1
        self._newcomers[address] += 1
        return True

    def leave(self, address: str, is_newcomer: bool) -> None:
        """It goes."""
        self.connections -= 1
        if is_newcomer:
            self.admit(address)

    def admit(self, address: str) -> None:
        """It is no newcomer any more."""
        self._newcomers[address] -= 1
        # Else every address that ever came would be kept.
        if not self._newcomers[address]:
            del self._newcomers[address]

    def shut(self) -> None:
        """Lets go of those who have not even shaken hands."""
        for gate in list(self.shaking_hands):
            gate.abort()


class Gate(asyncio.BufferedProtocol):
    """One connection: to the socket it is a protocol, to uvicorn's protocol within it is the transport.

    It reads in small slices, so that a peer whose bytes cost much to parse has to take turns with the others; asyncio
    and uvloop would hand over up to 256 kB in one call. Where something is refused while more of it is still to come,
    the rest is thrown away unread until the peer has had the time to read why.

    Args:
        doors: of the server.
        make_inner: makes uvicorn's protocol, once the peer may come in.
    """

    def __init__(self, doors: Doors, make_inner: Callable[[], asyncio.Protocol]):
        self._doors, self._make_inner = doors, make_inner
        self._loop = asyncio.get_running_loop()
        self._inner: Any = None
        self._transport: Any = None
        self._address = ""
        self._is_newcomer, self._has_entered = True, False
        self._is_paused = self._rests = self._lingers = False
        # asyncio reads once in a turn of its loop. uvloop goes on for as long as the buffer is filled.
        self._has_to_rest = not isinstance(self._loop, asyncio.SelectorEventLoop)
        self._slice_bytes = STRANGER_BYTES
        # What came between the TLS handshake and its news.
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
            # What comes is the handshake's. uvloop would go on reading.
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

    # From here on: what a transport has.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """The protocol within from now on: a request became a WebSocket."""
        self._inner = protocol

    def get_protocol(self) -> asyncio.Protocol:
        """The protocol within."""
        return self._inner

    def write(self, data: bytes) -> None:
        """Sends."""
        if not self._lingers:
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more is taken or said."""
        return self._lingers or self._transport.is_closing()

    def abort(self) -> None:
        """Ends it now."""
        self._transport.abort()

    def close(self) -> None:
        """Ends it when all is sent; where more is on its way that nobody wants, once the peer could read why."""
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
        """Takes nothing more for now."""
        self._is_paused = True
        # Most messages are taken in this turn of the loop; to stop and start for each costs calls of the system.
        self._loop.call_soon(self._read_or_not)

    def resume_reading(self) -> None:
        """Takes what comes again."""
        self._is_paused = False
        self._read_or_not()

    def admit(self) -> None:
        """The peer has said hello, and may stay: its slices are bigger, and it is no newcomer any more."""
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
        # No TLS, or too slow: nothing to report.
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
