"""Other protocols that a server supports beside its own: what defines each, and its connections.

A dialect receives the messages of the server's own protocol (docs/protocol.md) as dicts and translates them, so
engines, limits, metrics and shutdown are the same for all.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from streamrnn.serve.access import Access
from streamrnn.serve.connection import Connection, Host
from streamrnn.serve.engine import Engine
from streamrnn.serve.handover import Handover
from streamrnn.serve.lines import Line, WebSocketLine
from streamrnn.serve.protocol import Hello, ProtocolError
from streamrnn.serve.sessions import Listening, Payload, Session
from streamrnn.serve.settings import ServerSettings

Hear = Callable[[dict[str, Any]], None]


class Speaking(Host, Protocol):
    """What a dialect needs from its server."""

    engines: dict[str, Engine]
    access: Access

    async def begin(self, hello: Hello, connection: Connection, listening: Listening) -> Session: ...
    async def hold(self, connection: Connection) -> None: ...


class Dialect(Protocol):
    """A protocol, and where it is served: at paths of the web server, or at an address of its own."""

    def prepare(self, settings: ServerSettings, /) -> None:
        """Checks that everything it needs is there, before anything is loaded.

        Raises:
            ImportError, OSError, ValueError: something is missing.
        """

    def paths(self, server: Any, /) -> Mapping[str, Callable[[WebSocketLine], Connection]]:
        """Its WebSockets: path -> a function that makes a connection of a line.

        Raises:
            ValueError: the server has no model for it.
        """
        ...

    async def begin(self, server: Any, /) -> None:
        """Starts listening, if it has an address of its own."""

    async def end(self) -> None:
        """Stops listening. The server ends the connections that are open."""


class Hearing:
    """Receives the messages of a stream on behalf of a dialect.

    Args:
        hear: called with each message, as a dict.
        connection: ends with its stream.
    """

    def __init__(self, hear: Hear, connection: Connection):
        self._hear, self._connection = hear, connection

    def send(self, payload: Payload) -> None:
        # Models that output sound or numbers answer in bytes, which dialects do not support.
        if isinstance(payload, str):
            self._hear(json.loads(payload))

    def end(self, error: ProtocolError) -> None:
        self._connection.end(error)


class Conversation(Connection):
    """A connection of a dialect, with any number of streams, which end with it.

    Args:
        line: not accepted yet.
        server: that accepted it.
    """

    def __init__(self, line: Line, server: Speaking):
        super().__init__(line, server)
        self.server = server
        self._sessions: list[Session] = []

    @abstractmethod
    def part(self) -> None:
        """Sends the remaining messages, after the last events of its streams, as the server shuts down."""

    def enter(self) -> None:
        """Raises the limits for new connections, if its header has the token.

        Raises:
            ProtocolError: unauthorized.
        """
        if not self.server.access.admits(self.authorization):
            raise ProtocolError("unauthorized", "the token is missing or wrong. Send it in a Bearer header.")
        self.admit()

    async def open(self, hello: Hello, hear: Hear) -> Session:
        """Opens a stream.

        Args:
            hello: the request.
            hear: called with each message of the stream.

        Raises:
            ProtocolError: the request is refused.
        """
        self.is_asking = True
        try:
            session = await self.server.begin(hello, self, Hearing(hear, self))
        finally:
            self.is_asking = False
            self.answered.set()
        self._sessions.append(session)
        return session

    def close(self, session: Session) -> None:
        """Discards a stream."""
        session.forget()
        self._sessions.remove(session)

    async def go(self, seal: Callable[[Handover], bytes]) -> None:
        for session in list(self._sessions):
            await session.leave()
        self.part()

    def left(self) -> None:
        for session in self._sessions:
            session.forget()

    def drop(self) -> None:
        self.left()


__all__ = ["Conversation", "Dialect", "Hear", "Hearing", "Speaking"]
