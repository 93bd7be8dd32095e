"""What a session needs of whoever hears it, and of whoever stores its states."""

from typing import Any, Protocol

from streamrnn.serve.protocol import ProtocolError


class Listening(Protocol):
    """A connection."""

    def send(self, payload: str | bytes) -> None: ...
    def end(self, error: ProtocolError) -> None: ...


class Keeper(Protocol):
    """Stores states of streams. What lets a client forget sound is stored before it is said."""

    @property
    def is_given_up(self) -> bool:
        """Whether nothing is to wait for it, because it has failed for long."""
        ...

    async def save(self, session: Any) -> None:
        """Stores the session as it is now, where no sound waits. Never raises what the store does wrong."""


__all__ = ["Keeper", "Listening"]
