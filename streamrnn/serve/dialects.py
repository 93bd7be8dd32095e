"""Other languages that a server speaks beside its own: what each of them is, and its connections.

A dialect hears the messages of the server's own protocol (docs/protocol.md) as dicts and says them in its words, so
engines, limits, metrics and the end of a server are the same for all.
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
    """What a dialect needs of its server."""

    engines: dict[str, Engine]
    access: Access

    async def begin(self, hello: Hello, connection: Connection, listening: Listening) -> Session: ...
    async def hold(self, connection: Connection) -> None: ...


class Dialect(Protocol):
    """A language, and where it is spoken: at paths of the web server, or at an address of its own."""

    def prepare(self, settings: ServerSettings, /) -> None:
        """Looks whether all that is needed is there, before anything is loaded.

        Raises:
            ImportError, OSError, ValueError: it is not.
        """

    def paths(self, server: Any, /) -> Mapping[str, Callable[[WebSocketLine], Connection]]:
        """Its WebSockets, by their paths, each with what makes a connection of a line.

        Raises:
            ValueError: the server has no model for it.
        """
        ...

    async def begin(self, server: Any, /) -> None:
        """Lets clients come, where it has an address of its own."""

    async def end(self) -> None:
        """Lets no more clients come. Those who are here are the server's to part from."""


class Hearing:
    """What a stream says, read for a dialect.

    Args:
        hear: takes each message, as a dict.
        connection: ends with its stream.
    """

    def __init__(self, hear: Hear, connection: Connection):
        self._hear, self._connection = hear, connection

    def send(self, payload: Payload) -> None:
        # Models that give sound or numbers answer in bytes, for which dialects have no words.
        if isinstance(payload, str):
            self._hear(json.loads(payload))

    def end(self, error: ProtocolError) -> None:
        self._connection.end(error)


class Conversation(Connection):
    """A connection of a dialect, with any number of streams, which end with it.

    Args:
        line: not yet accepted.
        server: that it comes to.
    """

    def __init__(self, line: Line, server: Speaking):
        super().__init__(line, server)
        self.server = server
        self._sessions: list[Session] = []

    @abstractmethod
    def part(self) -> None:
        """Says what is left to be said, after the last events of its streams: the server ends."""

    def enter(self) -> None:
        """Lets it send more than a newcomer may, if its header shows the token.

        Raises:
            ProtocolError: unauthorized.
        """
        if not self.server.access.admits(self.authorization):
            raise ProtocolError("unauthorized", "the token is missing or wrong. Send it in a Bearer header.")
        self.admit()

    async def open(self, hello: Hello, hear: Hear) -> Session:
        """A stream.

        Args:
            hello: asks for it.
            hear: takes what it says.

        Raises:
            ProtocolError: it can't have it.
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
        """Gives a stream up."""
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
