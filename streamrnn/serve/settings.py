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
    """Address to listen on. Other machines can only reach it at another one, such as 0.0.0.0."""
    port: int = 8765
    """Port to listen on; 0 picks a free one."""
    token_file: Path | None = None
    """File with the token that clients must present. Only the page and /healthz work without it."""
    resume_key_file: Path | None = None
    """File with a secret of at least 32 characters. When a server ends, others with the same secret take over its
    streams. Unlike the token, clients must not know it."""
    store: str | None = None
    """Keep stream states in Redis or Valkey, redis://HOST:6379, so that another server with the same address and key
    takes over if this one crashes."""
    certfile: Path | None = None
    """TLS certificate with its chain, PEM."""
    keyfile: Path | None = None
    """Private key of the certificate, PEM."""
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may use this server, such as https://example.org."""
    record: Path | None = None
    """Record the sound of streams into this folder; clients are told. Without it no sound is kept, on disk or in
    logs."""
    record_days: float = 30.0
    """Days after which a recording is deleted."""

    max_streams: int = 2000
    """Maximum live streams of all models, including those that wait for a lost connection."""
    max_connections: int = 2500
    """Maximum connections of all kinds."""
    max_newcomers: int = 1000
    """Maximum connections that have not said hello."""
    max_newcomers_per_address: int = 500
    """Maximum connections from one address, of all kinds, that have not said hello."""
    max_message_bytes: int = 1 << 20
    """Maximum size of a message."""
    max_small_messages: int = 200
    """Maximum messages per second and connection that are text or hold less than 10 ms of sound."""
    max_unsent_bytes: int = 256 << 10
    """Maximum unsent output of a connection; until it is read, no more sound is accepted."""
    replay_bytes: int = 1 << 20
    """Maximum output kept per stream, to be replayed after a lost connection."""
    max_buffered_bytes: int = 256 << 20
    """Maximum unsent and replayable output of all streams together."""

    head_s: float = 10.0
    """Seconds within which a request must arrive, not counting its body."""
    hello_s: float = 10.0
    """Seconds within which a connection must say hello."""
    idle_s: float = 120.0
    """Seconds after which a connection that sends nothing is closed."""
    silence_s: float = 5.0
    """Seconds without sound messages after which open speech and utterances end."""
    ping_s: float = 20.0
    """Seconds between pings, and seconds after which a peer that does not answer is dropped."""
    slow_reader_s: float = 10.0
    """Seconds after which a connection that does not read its pending output is closed."""
    resume_s: float = 30.0
    """Seconds for which a stream waits for a lost connection to return."""
    shutdown_s: float = 10.0
    """Seconds allowed for the last events when the server shuts down."""

    max_uploads: int = 2
    """Maximum recordings received and processed at once."""
    upload_bytes: int = 64 << 20
    """Maximum file size of a recording."""
    upload_s: float = 600.0
    """Maximum length of a recording, in seconds."""
    upload_time_s: float = 60.0
    """Seconds within which a recording's file must arrive."""
    upload_work_s: float = 300.0
    """Seconds within which a recording must be processed."""

    queue_s: float = 1.0
    """Maximum sound queued per stream, in seconds; beyond that its connection has to wait."""
    tick_ms: float = 20.0
    """Time between checks for queued sound."""

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
