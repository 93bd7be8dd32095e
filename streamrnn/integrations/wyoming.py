"""The Wyoming protocol of Home Assistant and its satellites: wake words, commands and numbers.

`streamrnn serve MODEL... --wyoming 10400`, or `streamrnn.serve.serve(models, dialects=[Wyoming(10400)])`. The protocol
is lines of JSON followed by sound, over TCP, as defined by the package `wyoming` (1.10).
"""

import asyncio
import logging
import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streamrnn.packages import check_package
from streamrnn.serve.lines import Lost
from streamrnn.serve.listen import listening
from streamrnn.serve.protocol import ProtocolError, read_json
from streamrnn.serve.server import Server
from streamrnn.serve.sessions import Payload
from streamrnn.serve.settings import ServerSettings

if TYPE_CHECKING:
    from wyoming.event import Event as WyomingEvent

logger = logging.getLogger(__name__)

# Limits of the line that an event begins with, and of the JSON after it.
MOST_LINE_BYTES, MOST_DATA_BYTES = 16_384, 65_536
# When a connection ends, what is left is sent within this time.
LINGER_S = 1.0
SERVICE = "_wyoming._tcp.local."


class Wyoming:
    """A dialect of streamrnn.serve: Wyoming at a TCP port of its own.

    Keyword models offer their words as wake words. Models of utterances do speech to text, and so do keyword models
    unless their name begins with "wake". The protocol has no tokens: whoever can reach the port may use it.

    Args:
        port: to listen on, at the server's host; 0 picks a free one.
        zeroconf: the name under which Home Assistant discovers the server in the local network; None: no discovery.

    Attributes:
        port: the actual one, once the server is prepared.
        zeroconf: the name.
    """

    def __init__(self, port: int, zeroconf: str | None = None):
        self.port, self.zeroconf = port, zeroconf
        self._sock: socket.socket | None = None
        self._listening: asyncio.Server | None = None
        self._announced: Any = None

    def prepare(self, settings: ServerSettings) -> None:
        """Binds the port.

        Raises:
            ImportError: a package is missing, or has another version.
            OSError: the port cannot be bound.
            ValueError: the port is not valid.
        """
        check_package("wyoming", "wyoming", "1.10", "2")
        if self.zeroconf is not None:
            check_package("zeroconf", "wyoming", "0.130", "1")
        self._host = settings.host
        self._sock = listening(replace(settings, port=self.port))
        self.port = self._sock.getsockname()[1]

    def paths(self, server: Server) -> dict[str, Any]:
        """No WebSockets. Raises ValueError if no model detects words."""
        from streamrnn.integrations.wyoming_offers import Offers

        self._server, self._offers = server, Offers.of(server.engines)
        if server.access.needs_token:
            logger.warning("Wyoming has no tokens: who reaches its port needs none", extra={"port": self.port})
        return {}

    async def begin(self, server: Server) -> None:
        """Listens, and announces itself to the local network if asked to."""
        self._listening = await asyncio.start_server(self._welcome, sock=self._sock, limit=MOST_LINE_BYTES)
        logger.info("Wyoming is spoken", extra={"host": self._host, "port": self.port})
        if self.zeroconf is not None:
            try:
                self._announced = await announced(self.zeroconf, self._host, self.port)
            # Clients that know the address can still connect.
            except OSError as error:
                logger.warning("the local network cannot be told of Wyoming", extra={"error": str(error)})

    async def end(self) -> None:
        """Stops accepting clients."""
        if self._announced is not None:
            await self._announced.async_close()
        if self._listening is not None:
            self._listening.close()
        elif self._sock is not None:
            self._sock.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from streamrnn.integrations.wyoming_talk import Talk

        server = self._server
        line = WyomingLine(reader, writer, server.settings.max_message_bytes)
        if server.refuses_newcomers or len(server.connections) >= server.settings.max_connections:
            server.count_error(ProtocolError("busy", "too many connections."))
            await line.close(1013, "busy")
            return
        try:
            await server.hold(Talk(line, server, self._offers))
        finally:
            # Nothing else closes a connection that was lost.
            await line.close(1000, None)


class WyomingLine:
    """A connection over TCP; incoming messages are Wyoming events, outgoing ones are bytes.

    Args:
        reader, writer: the connection's.
        most_bytes: limit of the sound in one event.
    """

    authorization = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most_bytes: int):
        self._reader, self._writer, self._most_bytes = reader, writer, most_bytes

    def admit(self) -> None:
        """Newcomers have no special limits here."""

    async def accept(self) -> None:
        """It is open already."""

    async def receive(self) -> "WyomingEvent":
        """Reads the next event.

        Raises:
            Lost: the connection has ended.
            ProtocolError: bad_message or too_large; what came is not an event, or exceeds a limit.
        """
        from wyoming.event import Event

        try:
            line = await self._reader.readline()
            # An unterminated line is what is left of a lost connection.
            if not line.endswith(b"\n"):
                raise Lost
            head = _object(line)
            data = head.get("data") or {}
            if not isinstance(data, dict):
                raise _bad(f"an event's data is a {type(data).__name__} and no object")
            if length := _length(head, "data_length", MOST_DATA_BYTES):
                data = {**data, **_object(await self._reader.readexactly(length))}
            length = _length(head, "payload_length", self._most_bytes)
            payload = await self._reader.readexactly(length) if length else None
        except (OSError, asyncio.IncompleteReadError):
            raise Lost from None
        # The line is longer than its limit.
        except ValueError:
            raise _bad(f"an event begins with a line of more than {MOST_LINE_BYTES} bytes", "too_large") from None
        kind = head.get("type")
        if not isinstance(kind, str):
            raise _bad(f"an event has the type {str(kind)[:40]!r}")
        return Event(kind, data, payload)

    async def send(self, payload: Payload) -> None:
        """Raises Lost."""
        try:
            self._writer.write(payload if isinstance(payload, bytes) else payload.encode())
            await self._writer.drain()
        except OSError:
            raise Lost from None

    async def close(self, code: int, reason: str | None) -> None:
        """Closes once the peer has read what is left, or after a second."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), LINGER_S)
        self._writer.transport.abort()


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = read_json(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _bad("an event is no JSON object")
    return found


def _length(head: dict[str, Any], name: str, most: int) -> int:
    length = head.get(name) or 0
    if type(length) is not int or length < 0:
        raise _bad(f"{name} is {str(length)[:40]!r}")
    if length > most:
        raise _bad(f"{name} is {length}; at most {most} are read", "too_large")
    return length


def _bad(what: str, code: Any = "bad_message") -> ProtocolError:
    return ProtocolError(code, f"{what}. Send events of the Wyoming protocol.", 1002)


async def announced(name: str, host: str, port: int) -> Any:
    """Announces Wyoming to the network of `host`; returns an AsyncZeroconf, to be closed."""
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    address = _reachable(host)
    interfaces: Any = [address] if host == address else None
    zeroconf = AsyncZeroconf(**({"interfaces": interfaces} if interfaces else {}))
    info = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", addresses=[socket.inet_aton(address)], port=port)
    try:
        await zeroconf.async_register_service(info, allow_name_change=True)
    except BaseException:
        await zeroconf.async_close()
        raise
    return zeroconf


def _reachable(host: str) -> str:
    """The IPv4 address at which others reach a server bound to `host`."""
    address = socket.gethostbyname(host or "0.0.0.0")
    if address != "0.0.0.0":
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the system only reports the source address that it would use.
        probe.connect(("224.0.0.251", 1))
        return probe.getsockname()[0]


__all__ = ["SERVICE", "Wyoming", "WyomingLine", "announced"]
