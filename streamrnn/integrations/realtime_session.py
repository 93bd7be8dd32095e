"""The session configuration of OpenAI's Realtime API, and its meaning for the streams of this server."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from streamrnn.audio import Encoding
from streamrnn.serve.catalogue import check_rate, checked
from streamrnn.serve.engine import Engine
from streamrnn.serve.protocol import HIGHEST_RATE, LOWEST_RATE, ProtocolError

# Prefixes of OpenAI's model names, which existing clients send: any model of utterances answers.
OPENAIS = ("gpt-", "whisper-")
# Utterances end sooner than speech does, so that all words are known by then.
SOONER_MS, SOONEST_MS = 200.0, 100.0
DETECTION = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
_SETTINGS = {
    "threshold": "threshold",
    "prefix_padding_ms": "padding_ms",
    "silence_duration_ms": "min_silence_ms",
}
_FORMATS: dict[str, tuple[Encoding, int]] = {
    "audio/pcm": ("s16le", 24_000),
    "audio/pcmu": ("mulaw", 8000),
    "audio/pcma": ("alaw", 8000),
}


class Refused(Exception):
    """A request that cannot be met; the session continues.

    Args:
        code: for programs.
        message: what came, what is needed.
        param: the field of the session.
    """

    def __init__(self, code: str, message: str, param: str | None = None):
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(frozen=True)
class Setup:
    """A transcription session.

    Attributes:
        id: the session's.
        format: of the sound, as the client sent it.
        transcription: model, language and prompt; None: nothing is transcribed.
        detection: of turns, as the client sent it; None: the client commits its sound.
    """

    id: str = field(default_factory=lambda: f"sess_{secrets.token_hex(12)}")
    format: dict[str, Any] = field(default_factory=lambda: {"type": "audio/pcm", "rate": 24_000})
    transcription: dict[str, Any] | None = field(default_factory=lambda: {"model": None})
    detection: dict[str, Any] | None = field(default_factory=lambda: dict(DETECTION))

    def updated(self, session: Any) -> Self:
        """The session after an update. Raises Refused."""
        if not isinstance(session, dict) or session.get("type") != "transcription":
            kind = session.get("type") if isinstance(session, dict) else session
            raise Refused("invalid_value", f"session.type is {kind!r}; here it is 'transcription'.", "session.type")
        audio = _objects(session, "audio") or {}
        given = _objects(audio, "input") or {}
        setup = self
        if (form := _objects(given, "format")) is not None:
            setup = replace(setup, format=_format(form))
        if "transcription" in given:
            setup = replace(setup, transcription=_objects(given, "transcription"))
        if "turn_detection" in given:
            found = _objects(given, "turn_detection")
            setup = replace(setup, detection=None if found is None else _detection(found, self.detection or DETECTION))
        return setup

    @property
    def encoding(self) -> Encoding:
        """Encoding of the sound."""
        return _FORMATS[self.format["type"]][0]

    @property
    def sample_rate(self) -> int:
        """Sample rate of the sound."""
        return self.format.get("rate") or _FORMATS[self.format["type"]][1]

    def as_dict(self) -> dict[str, Any]:
        """The session as the server reports it."""
        given = {
            "format": self.format,
            "noise_reduction": None,
            "transcription": self.transcription,
            "turn_detection": self.detection,
        }
        return {
            "id": self.id,
            "object": "realtime.transcription_session",
            "type": "transcription",
            "audio": {"input": given},
            "include": None,
        }

    def writer(self, engines: Mapping[str, Engine]) -> tuple[str, dict[str, float]] | None:
        """The model that transcribes, and its decision settings; None if transcription is off. Raises Refused."""
        if self.transcription is None:
            return None
        writing = [name for name, engine in engines.items() if "endpoint" in engine.model.outlet().kinds]
        asked = self.transcription.get("model")
        if asked not in writing and asked is not None and not (isinstance(asked, str) and asked.startswith(OPENAIS)):
            there = ", ".join(writing) or "none"
            raise Refused("model_not_found", f"there is no model {str(asked)[:60]!r} here; there are: {there}.")
        name = asked if asked in writing else next(iter(writing), None)
        if name is None:
            return None
        settings = {}
        if self.detection is not None and hasattr(engines[name].model.decision, "endpoint_ms"):
            settings["endpoint_ms"] = max(SOONEST_MS, self.detection["silence_duration_ms"] - SOONER_MS)
        return name, self._checked(engines[name], settings)

    def detector(self, engines: Mapping[str, Engine]) -> tuple[str, dict[str, float]] | None:
        """The model that detects speech, and its decision settings; None if turn detection is off or there is no model.

        Raises:
            Refused: a setting is out of range.
        """
        if self.detection is None:
            return None
        for name, engine in engines.items():
            if "speech_start" in engine.model.outlet().kinds:
                settings = {ours: self.detection[theirs] for theirs, ours in _SETTINGS.items()}
                return name, self._checked(engine, settings)
        return None

    def _checked(self, engine: Engine, settings: dict[str, Any]) -> dict[str, float]:
        try:
            check_rate(engine.model, self.sample_rate)
            return checked(engine.model, settings)
        except ProtocolError as error:
            raise Refused("invalid_value", error.message) from None


def _objects(holder: dict[str, Any], name: str) -> dict[str, Any] | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        raise Refused("invalid_type", f"{name} is a {type(value).__name__}; it must be an object.", name)
    return value


def _format(form: dict[str, Any]) -> dict[str, Any]:
    kind = form.get("type", "audio/pcm")
    if not isinstance(kind, str) or kind not in _FORMATS:
        raise Refused("invalid_value", f"format.type is {str(kind)[:40]!r}; it must be {', '.join(_FORMATS)}.")
    rate = form.get("rate") or _FORMATS[kind][1]
    if type(rate) is not int or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        limits = f"{LOWEST_RATE} to {HIGHEST_RATE}"
        raise Refused("invalid_value", f"format.rate is {str(rate)[:40]!r}; it must be {limits}.")
    return {"type": kind, "rate": rate}


def _detection(found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    if found.get("type", "server_vad") != "server_vad":
        kind = str(found["type"])[:40]
        raise Refused("invalid_value", f"turn_detection.type is {kind!r}; here it is 'server_vad', or null.")
    given = {name: found[name] for name in _SETTINGS if found.get(name) is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused("invalid_type", f"{name} is a {type(value).__name__}; it must be a number.", name)
    return {**before, **given}


__all__ = ["Refused", "Setup"]
