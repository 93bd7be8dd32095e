"""What a server may be asked for, and how much it gives."""

from dataclasses import dataclass
from pathlib import Path

# Sound is fed in pieces of 0.1 s, and a block more may wait already.
SHORTEST_QUEUE_S = 0.2
# All others are limits.
ADDRESSES = ("record", "host", "port", "token_file", "resume_key_file", "certfile", "keyfile", "origins", "store")


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, who may use it, and its limits.

    Raises:
        ValueError: a limit is out of its range, or TLS has only half of what it needs.
    """

    host: str = "127.0.0.1"
    """Address to listen at. Others than this machine reach the server only at another one, such as 0.0.0.0."""
    port: int = 8765
    """Port to listen at; 0 takes a free one."""
    token_file: Path | None = None
    """A file that holds the token which clients must show. Only the page and /healthz can be had without."""
    resume_key_file: Path | None = None
    """A file that holds a secret of 32 characters or more. Servers with the same one go on with each other's streams
    when one of them ends. Not the token: clients must not know it."""
    store: str | None = None
    """Keep streams in Redis or Valkey, redis://HOST:6379, so that another server with the same address and key goes on
    with them when this one dies."""
    certfile: Path | None = None
    """TLS certificate, with the chain to its authority, PEM."""
    keyfile: Path | None = None
    """Key of the certificate, PEM."""
    origins: tuple[str, ...] = ()
    """Pages of other servers that may use this one, such as https://example.org."""
    record: Path | None = None
    """Keep what streams hear in this folder; clients are told. Without it no sound is kept, on disk or in logs."""
    record_days: float = 30.0
    """Days after which a recording is deleted."""

    max_streams: int = 2000
    """Live streams at once, of all models, those that wait for a lost connection included."""
    max_connections: int = 2500
    """Connections of all kinds at once."""
    max_newcomers: int = 1000
    """Connections at once that have not said hello."""
    max_newcomers_per_address: int = 500
    """Connections at once from one address, all kinds together, that have not said hello."""
    max_message_bytes: int = 1 << 20
    """Size of one message."""
    max_small_messages: int = 200
    """Messages per second and connection, of those that are text or hold less than 10 ms of sound."""
    max_unsent_bytes: int = 256 << 10
    """What may wait for one connection before it has to read; meanwhile its sound is not taken."""
    replay_bytes: int = 1 << 20
    """What is kept of each stream to be said again after a lost connection."""
    max_buffered_bytes: int = 256 << 20
    """What waits and what is kept, of all streams together."""

    head_s: float = 10.0
    """Seconds that a request may take to arrive, its body not counted."""
    hello_s: float = 10.0
    """Seconds until a connection must have said hello."""
    idle_s: float = 120.0
    """Seconds after which a connection that says nothing is closed."""
    silence_s: float = 5.0
    """Seconds without a message of sound after which speech and utterances that are open end."""
    ping_s: float = 20.0
    """Seconds between pings, and after which a peer that answers none is given up."""
    slow_reader_s: float = 10.0
    """Seconds after which a connection that reads nothing, while something waits for it, is closed."""
    resume_s: float = 30.0
    """Seconds that a stream waits for a lost connection."""
    shutdown_s: float = 10.0
    """Seconds for the last events when the server is asked to end."""

    max_uploads: int = 2
    """Recordings at once that are received and worked off."""
    upload_bytes: int = 64 << 20
    """Size of a recording's file."""
    upload_s: float = 600.0
    """Length of a recording, in seconds of sound."""
    upload_time_s: float = 60.0
    """Seconds in which a recording's file must have arrived."""
    upload_work_s: float = 300.0
    """Seconds in which a recording must have been worked off."""

    queue_s: float = 1.0
    """Seconds of sound that may wait for each stream; more lets its connection wait."""
    tick_ms: float = 20.0
    """Time between two looks at the sound that waits."""

    def __post_init__(self) -> None:
        limits = {name: value for name, value in vars(self).items() if name not in ADDRESSES}
        if wrong := [name for name, value in limits.items() if not value > 0]:
            raise ValueError(f"{wrong[0]} is {limits[wrong[0]]}; it must be above 0. Leave it out for the default.")
        if self.queue_s < SHORTEST_QUEUE_S:
            raise ValueError(f"queue_s is {self.queue_s}; it must be {SHORTEST_QUEUE_S} or more.")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}; it must be 0 to 65535. 0 takes a free one.")
        if self.keyfile is not None and self.certfile is None:
            raise ValueError(f"keyfile is {self.keyfile}, without certfile. Pass the certificate as well.")


def read_setting(name: str, path: Path) -> bytes:
    """The content of the file that a setting names. Raises OSError, with the setting's name, where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(f"{name} is {path}, which cannot be read: {error.strerror}.") from error


__all__ = ["ServerSettings", "read_setting"]
