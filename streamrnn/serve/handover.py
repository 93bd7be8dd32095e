"""A stream on its way from one server to another: its state, signed so that only servers with the same key can make it.

The client carries it, or another worker, or a store. What comes back is not trusted: the signature is checked before
anything is read. The bytes are a line of JSON and a snapshot: numbers and text, nothing executable.
"""

import base64
import dataclasses
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from streamrnn.audio import Encoding
from streamrnn.runtime import Snapshot
from streamrnn.serve.protocol import Hello, InJson, ProtocolError, Resume
from streamrnn.serve.settings import read_setting

FORMAT = 3
KEY_BYTES, SIGNATURE_BYTES = 32, 32
KEY_VARIABLE = "STREAMRNN_RESUME_KEY"
# Keeps other data that was signed with the same key from passing as a state.
_PURPOSE = b"streamrnn stream state\0"


@dataclass(frozen=True)
class Handover:
    """A stream's state, with which another server resumes it.

    Attributes:
        model, sample_rate, encoding, channels, overrides: as the client requested them.
        received_samples: samples (per channel) or frames taken since the last reset; all of them are processed, or in
            the snapshot.
        seq: number of the last message sent.
        frames: outputs reported so far.
        snapshot: the stream's memory; None: it was flushed, and everything is answered.
        session, secret: of the stream, if the state does not come by its client.
        said: in that case, the last messages up to `seq`.
        sounded_bytes: in that case, the bytes of binary messages sent since the last reset.
    """

    model: str
    sample_rate: int | None
    encoding: Encoding | InJson
    channels: int
    overrides: dict[str, float]
    received_samples: int
    seq: int
    frames: int
    snapshot: Snapshot | None
    session: str = ""
    secret: str = ""
    said: tuple[str | bytes, ...] = ()
    sounded_bytes: int = 0

    def check(self, resume: Resume, hello: Hello) -> None:
        """Raises ProtocolError, resume_failed, unless the client asks for this stream and has received all messages."""
        check_kind(hello, self.model, self.sample_rate, self.encoding, self.channels)
        if resume.seq != self.seq:
            raise ProtocolError(
                "resume_failed", f"the state continues after message {self.seq}, not after {resume.seq}. Begin anew."
            )

    def check_kept(self, resume: Resume, hello: Hello, gives: str) -> None:
        """Like `check`, for a state that did not come by the client: the client has to know the stream's secret, may
        lack some of the messages, and may have received messages sent after this state was kept."""
        check_secret(resume, self.secret)
        check_kind(hello, self.model, self.sample_rate, self.encoding, self.channels)
        if resume.seq < self.seq - len(self.said):
            raise ProtocolError("resume_failed", f"the messages after {resume.seq} are not kept. Begin anew.")
        if resume.seq > self.seq and gives != "events" and resume.sounded_bytes < self.sounded_bytes:
            raise ProtocolError(
                "resume_failed",
                f"sounded_bytes is {resume.sounded_bytes}, and {self.sounded_bytes} were sent. Begin anew.",
            )


def check_secret(resume: Resume, secret: str) -> None:
    """Raises ProtocolError, resume_failed, unless the client knows the stream's secret."""
    # As bytes: compare_digest rejects strings beyond ASCII.
    if not hmac.compare_digest(resume.secret.encode("utf-8", "replace"), secret.encode()):
        raise ProtocolError("resume_failed", "no stream waits with this session and secret. Begin anew.")


def check_kind(hello: Hello, model: str, sample_rate: int | None, encoding: Encoding | InJson, channels: int) -> None:
    """Raises ProtocolError, resume_failed, unless hello asks for a stream of this kind."""
    asked = (hello.model or model, hello.sample_rate or sample_rate, hello.encoding, hello.channels)
    if asked != (model, sample_rate, encoding, channels):
        raise ProtocolError(
            "resume_failed", "the stream has another model, sample_rate, encoding or number of channels."
        )


class NotOurs(ValueError):
    """The bytes were not made with this key, or have a format that this version cannot read."""


def read_key(path: Path | None) -> bytes:
    """The key in a file; else the one in the environment variable STREAMRNN_RESUME_KEY; else a new random one.

    Raises:
        OSError: the file cannot be read.
        ValueError: the key is too short to be secure.
    """
    if path is not None:
        return _checked(read_setting("resume_key_file", path).strip(), str(path))
    if text := os.environ.get(KEY_VARIABLE):
        return _checked(text.strip().encode(), f"the environment's {KEY_VARIABLE}")
    return secrets.token_bytes(KEY_BYTES)


def own_key_file() -> Path | None:
    """The key file of this user's servers on this machine, made if missing; None if it cannot be made."""
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        path = home / "streamrnn" / "resume.key"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # Written aside, then linked: of two servers that start at once, both use the first one's key.
            aside = path.with_name(f"{path.name}.{os.getpid()}")
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(KEY_BYTES))
            try:
                os.link(aside, path)
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        _checked(path.read_bytes().strip(), str(path))
    # No home directory, or a read-only one.
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def sealed(handover: Handover, key: bytes) -> bytes:
    """Serialises and signs a handover."""
    facts = {field.name: getattr(handover, field.name) for field in dataclasses.fields(handover)}
    said = [payload if isinstance(payload, str) else [base64.b64encode(payload).decode()] for payload in handover.said]
    snapshot = b"" if handover.snapshot is None else handover.snapshot.to_bytes()
    body = json.dumps(facts | {"format": FORMAT, "snapshot": None, "said": said}).encode() + b"\n" + snapshot
    return hmac.digest(key, _PURPOSE + body, "sha256") + body


def opened(data: bytes, key: bytes) -> Handover:
    """Opens a handover that `sealed` made with the same key.

    Raises:
        NotOurs: it was made with another key, or has another format.
    """
    signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, hmac.digest(key, _PURPOSE + body, "sha256")):
        raise NotOurs("the state was not signed with this server's key. Servers that share streams need the same key.")
    try:
        head, _, snapshot = body.partition(b"\n")
        facts = json.loads(head)
        if facts.pop("format") != FORMAT:
            raise NotOurs("the state is of another version of streamrnn.")
        said = tuple(one if isinstance(one, str) else base64.b64decode(one[0]) for one in facts.pop("said"))
        return Handover(**facts | {"snapshot": Snapshot.from_bytes(snapshot) if snapshot else None, "said": said})
    # Signed, but not readable: made by another version.
    except (KeyError, TypeError, ValueError) as error:
        raise NotOurs(f"the state is of another version of streamrnn ({error!r}).") from None


def _checked(key: bytes, where: str) -> bytes:
    if len(key) < KEY_BYTES:
        raise ValueError(
            f"{where} holds a key of {len(key)} characters; {KEY_BYTES} or more are needed. Make one with: "
            "python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return key


__all__ = [
    "KEY_VARIABLE",
    "Handover",
    "NotOurs",
    "check_kind",
    "check_secret",
    "opened",
    "own_key_file",
    "read_key",
    "sealed",
]
