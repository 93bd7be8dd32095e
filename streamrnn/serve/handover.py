"""A stream on its way from one server to another: its state as bytes that only servers with the same key can make.

The client carries them, a worker beside this one, or a store. What comes back is not trusted: the key's signature is
checked before anything is read. The bytes are a line of JSON and a snapshot, which hold numbers and text and nothing
that could run.
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
# So that a signature of something else that the same key once signed is none here.
_PURPOSE = b"streamrnn stream state\0"


@dataclass(frozen=True)
class Handover:
    """A stream as another server goes on with it.

    Attributes:
        model, sample_rate, encoding, channels, overrides: as the client asked for them.
        received_samples: or frames, taken since the last reset, per channel; all of them are worked off, or in the
            snapshot.
        seq: number of the last message that was said.
        frames: outputs that were told of.
        snapshot: all that the stream remembers; None: it was flushed, and all of it is answered.
        session, secret: of the stream, where it comes another way than by its client.
        said: the last messages up to `seq`, then.
        sounded_bytes: of binary messages that were sent since the last reset, then.
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
        """Raises ProtocolError, resume_failed, unless the client asks for this stream and heard all that was said."""
        check_kind(hello, self.model, self.sample_rate, self.encoding, self.channels)
        if resume.seq != self.seq:
            raise ProtocolError(
                "resume_failed", f"the state goes on after message {self.seq}, and not after {resume.seq}. Begin anew."
            )

    def check_kept(self, resume: Resume, hello: Hello, gives: str) -> None:
        """The same, of a stream that did not come by its client: who asks for it has to know its secret, may lack some
        of what was said, and may have heard what was said after this state was kept."""
        check_secret(resume, self.secret)
        check_kind(hello, self.model, self.sample_rate, self.encoding, self.channels)
        if resume.seq < self.seq - len(self.said):
            raise ProtocolError("resume_failed", f"what was said after message {resume.seq} is not kept. Begin anew.")
        if resume.seq > self.seq and gives != "events" and resume.sounded_bytes < self.sounded_bytes:
            raise ProtocolError(
                "resume_failed",
                f"sounded_bytes is {resume.sounded_bytes}, and {self.sounded_bytes} were sent. Begin anew.",
            )


def check_secret(resume: Resume, secret: str) -> None:
    """Raises ProtocolError, resume_failed, unless the client knows the stream's secret."""
    # Bytes: strings that are not ASCII are no strings to hmac.
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
    """Bytes that no server with this key made, or of a format that this version cannot read."""


def read_key(path: Path | None) -> bytes:
    """The key of a file; else that of the environment's STREAMRNN_RESUME_KEY; else a new one that nobody else has.

    Raises:
        OSError: the file cannot be read.
        ValueError: the key is too short to keep anybody out.
    """
    if path is not None:
        return _checked(read_setting("resume_key_file", path).strip(), str(path))
    if text := os.environ.get(KEY_VARIABLE):
        return _checked(text.strip().encode(), f"the environment's {KEY_VARIABLE}")
    return secrets.token_bytes(KEY_BYTES)


def own_key_file() -> Path | None:
    """The file with the key of this user's servers on this machine, made when it is missing; None where it can't be."""
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        path = home / "streamrnn" / "resume.key"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # Aside first, and linked: of two servers that start at once, both take the first one's key.
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
    # No home, or one that cannot be written to.
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def sealed(handover: Handover, key: bytes) -> bytes:
    """The handover as bytes, signed."""
    facts = {field.name: getattr(handover, field.name) for field in dataclasses.fields(handover)}
    said = [payload if isinstance(payload, str) else [base64.b64encode(payload).decode()] for payload in handover.said]
    snapshot = b"" if handover.snapshot is None else handover.snapshot.to_bytes()
    body = json.dumps(facts | {"format": FORMAT, "snapshot": None, "said": said}).encode() + b"\n" + snapshot
    return hmac.digest(key, _PURPOSE + body, "sha256") + body


def opened(data: bytes, key: bytes) -> Handover:
    """The handover that `sealed` made of it with the same key.

    Raises:
        NotOurs: it was not, or is of another format.
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
    # Signed, and yet not readable: made by another version.
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
