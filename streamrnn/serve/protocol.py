"""The streaming protocol, version 1: its messages and its errors. docs/protocol.md describes it.

There is no I/O here, and neither JAX nor the server's packages are needed: clients use it too.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Self, cast, get_args

from streamrnn.audio.encodings import ENCODINGS, Encoding

VERSION = 1
VERSIONS = (1,)

Command = Literal["flush", "reset", "close", "items"]
# For models that take no sound: items and answers are JSON.
InJson = Literal["json"]
ErrorCode = Literal[
    "bad_message",
    "bad_audio",
    "bad_items",
    "finished",
    "bad_hello",
    "unsupported_version",
    "unknown_model",
    "unauthorized",
    "hello_timeout",
    "resume_failed",
    "taken_over",
    "too_many_messages",
    "idle",
    "slow_reader",
    "too_large",
    "busy",
    "shutting_down",
    "internal",
]

LOWEST_RATE, HIGHEST_RATE = 8000, 96000
MOST_CHANNELS = 8
# Long enough for every text message; sound is binary.
MOST_TEXT = 16_384
# No message nests deeper; an answer that quotes part of a message adds a level of its own.
DEEPEST = 32
# Limits of a stream's state on its way between servers, and of the messages that carry it, which come from a client
# that is not known yet.
MOST_STATE_BYTES, STATE_MESSAGE_BYTES = 1 << 18, 1 << 13

NORMAL, PROTOCOL_ERROR = 1000, 1002
# Errors that end the connection, and its close code. Other errors leave it open.
CLOSE_CODES: dict[str, int] = {
    "bad_hello": 1008,
    "unsupported_version": 1008,
    "unknown_model": 1008,
    "unauthorized": 1008,
    "hello_timeout": 1008,
    "resume_failed": 1008,
    "taken_over": 1008,
    "too_many_messages": 1008,
    "slow_reader": 1008,
    "idle": 1001,
    "too_large": 1009,
    "internal": 1011,
    "shutting_down": 1012,
    "busy": 1013,
}


class ProtocolError(Exception):
    """An error that one side reports to the other.

    Args:
        code: one of the protocol's.
        message: what came, what is needed, what to do.
        close_code: closes the WebSocket; default: as in CLOSE_CODES, where None keeps it open.
        details: more fields of the message, for programs.
    """

    def __init__(self, code: ErrorCode, message: str, close_code: int | None = None, **details: Any):
        super().__init__(message)
        self.details = details
        self.code: ErrorCode = code
        self.message = message
        self.close_code = CLOSE_CODES.get(code) if close_code is None else close_code

    @property
    def fatal(self) -> bool:
        """Whether it ends the connection."""
        return self.close_code is not None

    def as_text(self) -> str:
        """The message `error`."""
        return as_text("error", code=self.code, message=self.message, fatal=self.fatal, **self.details)


@dataclass(frozen=True)
class Resume:
    """The stream that a client resumes.

    Attributes:
        session, secret: from `ready`.
        seq: number of the last numbered message received, 0 before the first.
        state_bytes: length of the stream's state, from `going` of a server that shut down; it follows in binary
            messages. 0: none follows.
        sounded_bytes: bytes of binary messages received since the stream began.
    """

    session: str
    secret: str
    seq: int
    state_bytes: int = 0
    sounded_bytes: int = 0


@dataclass(frozen=True)
class Hello:
    """The first message of a client; docs/protocol.md explains the fields."""

    model: str | None = None
    sample_rate: int | None = None
    encoding: Encoding | InJson = "s16le"
    channels: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    levels: bool = False
    token: str | None = field(default=None, repr=False)
    resume: Resume | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses a text message as hello.

        Raises:
            ProtocolError: bad_message, unsupported_version or bad_hello; all of them end the connection.
        """
        try:
            return cls._from_fields(_object(text))
        except ProtocolError as error:
            if error.fatal:
                raise
            raise ProtocolError(error.code, error.message, PROTOCOL_ERROR) from None

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        if fields.get("type") != "hello":
            _refuse(f"the first message has the type {fields.get('type')!r}; it must be hello. Say hello first")
        _check_version(_typed(fields, "version", int, VERSION))
        hello = cls(
            model=_typed(fields, "model", str, None),
            sample_rate=_typed(fields, "sample_rate", int, None),
            encoding=_typed(fields, "encoding", str, "s16le"),
            channels=_typed(fields, "channels", int, 1),
            settings=_typed(fields, "settings", dict, {}),
            levels=_typed(fields, "levels", bool, False),
            token=_typed(fields, "token", str, None),
            resume=_resume(fields),
        )
        hello._check()
        return hello

    def _check(self) -> None:
        if self.sample_rate is not None and not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            raise ProtocolError(
                "bad_hello", f"sample_rate is {self.sample_rate}; it must be {LOWEST_RATE} to {HIGHEST_RATE}."
            )
        if self.encoding not in (*ENCODINGS, *get_args(InJson)):
            known = " or ".join(ENCODINGS)
            raise ProtocolError("bad_hello", f"encoding is {self.encoding!r}; it must be {known}, or json for items.")
        if self.encoding in get_args(InJson) and (self.sample_rate, self.channels) != (None, 1):
            raise ProtocolError("bad_hello", "items have no sample_rate and no channels. Leave them out.")
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise ProtocolError("bad_hello", f"channels is {self.channels}; it must be 1 to {MOST_CHANNELS}.")

    def as_text(self) -> str:
        """The message, with the fields that were set; 0 counts as set, though it equals False."""
        fields = {name: value for name, value in vars(self).items() if value is not None and value is not False}
        if not self.settings:
            del fields["settings"]
        if self.resume is not None:
            fields["resume"] = {
                name: value for name, value in vars(self.resume).items() if not name.endswith("_bytes") or value
            }
        return as_text("hello", version=VERSION, **fields)


def parse_command(text: str) -> tuple[Command, list[Any]]:
    """Parses a client's text message after hello; returns the command and its items.

    Raises:
        ProtocolError: bad_message; the stream continues.
    """
    fields = _object(text)
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in get_args(Command):
        _refuse(f"the message has the type {kind!r}; after hello it must be one of {', '.join(get_args(Command))}")
    items = _typed(fields, "items", list, None) if kind == "items" else []
    if items is None:
        _refuse("a message of the type items has none. Send them as a list, items")
    return cast(Command, kind), items


def as_text(kind: str, /, **fields: Any) -> str:
    """A JSON message of the type `kind`."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), allow_nan=False)


def _object(text: str) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        _refuse(
            f"a text message has {len(text)} characters; at most {MOST_TEXT} are read. Send sound as binary, "
            "and many items in several messages"
        )
    try:
        found = read_json(text)
    except _NoNumber as error:
        _refuse(f"a text message has {error}, which is no JSON. Leave out what is no number")
    except _TooDeep:
        _refuse(f"a text message has brackets in brackets, more than {DEEPEST} deep. Write it flatter")
    except ValueError:
        _refuse("a text message is no JSON. Send a JSON object with a type, and sound as binary")
    if not isinstance(found, dict):
        _refuse(f"a text message is a {type(found).__name__}; it must be an object with a type")
    return found


def read_json(text: str | bytes) -> Any:
    """Parses JSON from a peer. Raises ValueError if it is not valid, has a number that is not finite, or is nested
    deeper than DEEPEST."""
    try:
        found = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    # Raised by the parser on endless nesting.
    except RecursionError:
        raise _TooDeep from None
    level = [found]
    for _ in range(DEEPEST):
        level = [value for one in level for value in _within(one)]
    if level:
        raise _TooDeep
    return found


def _within(found: Any) -> Iterable[Any]:
    if isinstance(found, dict):
        return found.values()
    return found if isinstance(found, list) else ()


class _TooDeep(ValueError):
    """JSON nested too deep."""


class _NoNumber(ValueError):
    """NaN or Infinity, which several languages write into JSON, or a number that overflows."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NoNumber(name)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise _NoNumber(text[:40])
    return number


def _typed(fields: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    # In Python, a bool is an int.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        _refuse(f"{name} is a {type(value).__name__}; it must be a {kind.__name__}")
    return value


def _check_version(version: int) -> None:
    if version not in VERSIONS:
        spoken = ", ".join(map(str, VERSIONS))
        raise ProtocolError("unsupported_version", f"version is {version}; this server speaks {spoken}.")


def _resume(fields: dict[str, Any]) -> Resume | None:
    found = _typed(fields, "resume", dict, None)
    if found is None:
        return None
    resume = {name: _typed(found, name, kind, None) for name, kind in (("session", str), ("secret", str), ("seq", int))}
    if missing := [name for name, value in resume.items() if value is None]:
        _refuse(f"resume lacks {', '.join(missing)}; it needs what ready gave, and the number last received")
    sizes = {name: _typed(found, name, int, 0) for name in ("state_bytes", "sounded_bytes")}
    return Resume(**resume, **sizes)


def _refuse(what: str) -> NoReturn:
    raise ProtocolError("bad_message", f"{what}.")


__all__ = [
    "CLOSE_CODES",
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "MOST_CHANNELS",
    "MOST_STATE_BYTES",
    "MOST_TEXT",
    "NORMAL",
    "PROTOCOL_ERROR",
    "STATE_MESSAGE_BYTES",
    "VERSION",
    "VERSIONS",
    "Command",
    "ErrorCode",
    "Hello",
    "InJson",
    "ProtocolError",
    "Resume",
    "as_text",
    "parse_command",
    "read_json",
]
