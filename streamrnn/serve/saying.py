"""The numbered messages of a stream on their way out: in order, and stored first if need be."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from streamrnn.serve.keeper import Listening
from streamrnn.serve.protocol import as_text
from streamrnn.serve.said import Payload, Said


class Saying:
    """Sends the numbered messages of a stream to its connection. For the event loop.

    Args:
        said: numbers and keeps them.
        store: stores the stream with everything sent so far.

    Attributes:
        connection: the current receiver; without one, messages are only kept.
    """

    def __init__(self, said: Said, store: Callable[[], Awaitable[None]]):
        self.said, self._store = said, store
        self.connection: Listening | None = None
        # First numbers of what is being stored, ascending; later messages wait behind them.
        self._storing: deque[int] = deque()
        self._held: deque[tuple[int, Payload]] = deque()
        self._is_free = asyncio.Event()
        self._is_free.set()

    @property
    def last(self) -> int:
        """Number of the last message that may be received."""
        return self._storing[0] - 1 if self._storing else self.said.seq

    def say(self, kind: str, /, **fields: Any) -> None:
        """Sends a text message."""
        self.number(as_text(kind, seq=self.said.seq + 1, **fields))

    def number(self, payload: Payload) -> None:
        """Sends a message that is numbered, or counted."""
        if (left := self.said.add(payload)) is not None:
            self._held.append((self.said.seq, left))
            self._send()

    async def say_for_good(self, *texts: tuple[str, dict[str, Any]]) -> None:
        """Sends texts, given as kinds and their fields, once they are stored: those that do not follow from sound, or
        that let the client discard sound. Later messages wait behind them."""
        first = self.said.seq + 1
        self._storing.append(first)
        self._is_free.clear()
        for kind, fields in texts:
            self.say(kind, **fields)
        try:
            await self._store()
        finally:
            # Storing a state also stored every message before it.
            while self._storing and self._storing[0] <= first:
                self._storing.popleft()
            self._send()

    async def settled(self) -> None:
        """Waits until nothing is being stored."""
        await self._is_free.wait()

    def attach(self, connection: Listening, heard: int) -> list[Payload]:
        """Sends to this connection from now on. Returns the messages after number `heard`."""
        self.connection = connection
        return self.said.after(heard, self.last)

    def end(self) -> None:
        """Sends nothing more, and discards everything."""
        self._storing.clear()
        self._held.clear()
        self._is_free.set()
        self.said.end()

    def _send(self) -> None:
        while self._held and self._held[0][0] <= self.last:
            _, payload = self._held.popleft()
            if self.connection is not None:
                self.connection.send(payload)
        if not self._storing:
            self._is_free.set()


__all__ = ["Saying"]
