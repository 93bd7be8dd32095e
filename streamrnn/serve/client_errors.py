"""What can go wrong between a client and its server."""

from collections.abc import Sequence

from streamrnn.decisions import Event


class RemoteError(ConnectionError):
    """A stream on a server cannot continue."""


class ServerRefused(RemoteError):
    """The server refused something; `code` is one of those in docs/protocol.md, `message` its explanation."""

    def __init__(self, code: str, message: str):
        super().__init__(f"the server refused ({code}): {message}")
        self.code, self.message = code, message


class ConnectionLost(RemoteError):
    """The connection was lost, and the stream with it.

    Attributes:
        heard_s: seconds of sound that the server acknowledged.
        sent_s: seconds of sound passed to feed(). Events after `heard_s` are lost, and possibly some before.
        events: those that had arrived and were not returned yet. If the server shut down cleanly, they are complete up
            to `heard_s`.
    """

    def __init__(self, reason: str, heard_s: float, sent_s: float, events: Sequence[Event] = ()):
        super().__init__(
            f"the connection to the server was lost ({reason}). It had taken {heard_s:.2f} s of {sent_s:.2f} s of "
            "sound; events under way are lost. Connect again for a new stream."
        )
        self.heard_s, self.sent_s, self.events = heard_s, sent_s, tuple(events)


class Dropped(Exception):
    """The connection is no longer usable; the stream may continue over another one."""


__all__ = ["ConnectionLost", "Dropped", "RemoteError", "ServerRefused"]
