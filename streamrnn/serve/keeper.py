"""What a session needs from its connection, and from whatever stores its states."""

from typing import Any, Protocol

from streamrnn.serve.protocol import ProtocolError


class Listening(Protocol):
    """A connection."""

    def send(self, payload: str | bytes) -> None: ...
    def end(self, error: ProtocolError) -> None: ...


class Keeper(Protocol):
    """Stores states of streams. State is stored before a message is sent that lets a client discard sound."""

    @property
    def is_given_up(self) -> bool:
        """Whether nothing should wait for the store, because it has failed for long."""
        ...

    async def save(self, session: Any) -> None:
        """Stores the session's current state, once no sound is queued. Never raises errors of the store."""


__all__ = ["Keeper", "Listening"]
