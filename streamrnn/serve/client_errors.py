"""What can go wrong between a client and its server."""

from collections.abc import Sequence

from streamrnn.decisions import Event


class RemoteError(ConnectionError):
    """A stream on a server cannot go on."""


class ServerRefused(RemoteError):
    """The server refused something; `code` is one of those in docs/protocol.md, `message` its explanation."""

    def __init__(self, code: str, message: str):
        super().__init__(f"the server refused ({code}): {message}")
        self.code, self.message = code, message


class ConnectionLost(RemoteError):
    """The connection was lost, and the stream with it.

    Attributes:
        heard_s: seconds of sound that the server took, as far as is known.
        sent_s: seconds of sound that feed() was given. Events that belong after `heard_s` are lost, and some before.
        events: those that had come and were not handed out. Where the server ended in order, they are all up to
            `heard_s`.
    """

    def __init__(self, reason: str, heard_s: float, sent_s: float, events: Sequence[Event] = ()):
        super().__init__(
            f"the connection to the server was lost ({reason}). It had taken {heard_s:.2f} s of {sent_s:.2f} s of "
            "sound; events under way are lost. Connect again for a new stream."
        )
        self.heard_s, self.sent_s, self.events = heard_s, sent_s, tuple(events)


class Dropped(Exception):
    """The connection is of no more use, and the stream may go on over another one."""


__all__ = ["ConnectionLost", "Dropped", "RemoteError", "ServerRefused"]
