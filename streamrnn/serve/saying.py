"""What a stream says to whoever hears it: numbered, in order, and where it must be, stored before it is said."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from streamrnn.serve.keeper import Listening
from streamrnn.serve.protocol import as_text
from streamrnn.serve.said import Payload, Said


class Saying:
    """The numbered messages of a stream, on their way to a connection. For the event loop.

    Args:
        said: numbers and keeps them.
        store: stores the stream with all that was said.

    Attributes:
        connection: who hears them now; what nobody hears is only kept.
    """

    def __init__(self, said: Said, store: Callable[[], Awaitable[None]]):
        self.said, self._store = said, store
        self.connection: Listening | None = None
        # The first numbers of what is being stored, ascending; what comes after them waits, too.
        self._storing: deque[int] = deque()
        self._held: deque[tuple[int, Payload]] = deque()
        self._is_free = asyncio.Event()
        self._is_free.set()

    @property
    def last(self) -> int:
        """Number of the last message that may be heard."""
        return self._storing[0] - 1 if self._storing else self.said.seq

    def say(self, kind: str, /, **fields: Any) -> None:
        """Says a text."""
        self.number(as_text(kind, seq=self.said.seq + 1, **fields))

    def number(self, payload: Payload) -> None:
        """Says a message that is numbered, or counted."""
        if (left := self.said.add(payload)) is not None:
            self._held.append((self.said.seq, left))
            self._send()

    async def say_for_good(self, *texts: tuple[str, dict[str, Any]]) -> None:
        """Says texts, kinds and their fields, that do not follow from sound or let the client forget sound: once they
        are stored. What is said meanwhile comes after them."""
        first = self.said.seq + 1
        self._storing.append(first)
        self._is_free.clear()
        for kind, fields in texts:
            self.say(kind, **fields)
        try:
            await self._store()
        finally:
            # What was stored holds all that was said before it, too.
            while self._storing and self._storing[0] <= first:
                self._storing.popleft()
            self._send()

    async def settled(self) -> None:
        """Waits until nothing waits to be stored any more."""
        await self._is_free.wait()

    def attach(self, connection: Listening, heard: int) -> list[Payload]:
        """Speaks to this connection from now on. Returns what was said after message `heard`."""
        self.connection = connection
        return self.said.after(heard, self.last)

    def end(self) -> None:
        """Says nothing more, and lets go of all."""
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
