"""What a server says of its models, and which of their decision settings clients may choose."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from streamrnn.audio import StreamingResampler
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.models import Keywords, Model, VoiceActivity
from streamrnn.serve.protocol import ProtocolError

# A decoder's memory grows with its durations, its work with the width of its search.
LONGEST_MS = 60_000.0
WIDEST_BEAM = 16
LARGEST = 1e9
# Each pair of rates has a filter per phase: 44,101 Hz would take seconds and tens of megabytes.
MOST_PHASES = 1000


def gives_sound(model: Model) -> bool:
    """Whether the model gives sound, and not events."""
    return isinstance(model.decision, SoundSettings)


def describe(name: str, model: Model, sample_rate: int | None = None, **overrides: float) -> dict[str, Any]:
    """The model as a stream at `sample_rate` (default: its own) with these decision settings has it, for JSON."""
    sample_rate = model.sample_rate if sample_rate is None else sample_rate
    return {
        "name": name,
        "sample_rate": sample_rate,
        "gives": "sound" if gives_sound(model) else "events",
        "labels": labels(model),
        "frame_s": model.frame_s,
        "latency_ms": round(model.algorithmic_latency_ms + _resampling_ms(model, sample_rate), 6),
        "settings": dataclasses.asdict(dataclasses.replace(model.decision, **overrides)),
    }


def labels(model: Model) -> list[str]:
    """What its events can be labelled with, if that is a fixed list."""
    if isinstance(model, Keywords):
        return list(model.settings.words)
    return ["speech"] if isinstance(model, VoiceActivity) else []


def checked(model: Model, overrides: Mapping[str, Any]) -> dict[str, float]:
    """A client's decision settings, ready for Pool.open.

    Raises:
        ProtocolError: bad_hello; there is no such setting, or its value is of a wrong kind or out of range.
    """
    known = {field.name: getattr(model.decision, field.name) for field in dataclasses.fields(model.decision)}
    for name in overrides:
        if name not in known:
            raise ProtocolError("bad_hello", f"there is no setting {name!r}; there are: {', '.join(known)}.")
    found = {name: _number(name, value, known[name]) for name, value in overrides.items()}
    try:
        dataclasses.replace(model.decision, **found)
    except ValueError as error:
        raise ProtocolError("bad_hello", str(error)) from None
    return found


def check_rate(model: Model, sample_rate: int | None) -> None:
    """Raises ProtocolError, bad_hello, for a rate that no sound card has and whose conversion costs too much."""
    if sample_rate is None:
        return
    phases = max(sample_rate, model.sample_rate) // math.gcd(sample_rate, model.sample_rate)
    if phases > MOST_PHASES:
        raise ProtocolError(
            "bad_hello", f"sample_rate is {sample_rate}; it must be a usual one, such as 16000, 44100 or 48000."
        )


def _number(name: str, value: Any, present: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ProtocolError("bad_hello", f"{name} is {str(value)[:40]!r}; it must be a finite number.")
    if name.endswith("_ms") and value > LONGEST_MS:
        raise ProtocolError("bad_hello", f"{name} is {value}; it must be at most {LONGEST_MS:.0f} here.")
    if not isinstance(present, int):
        return float(value)
    if value != int(value) or value > WIDEST_BEAM:
        raise ProtocolError("bad_hello", f"{name} is {value}; it must be a whole number, at most {WIDEST_BEAM} here.")
    return int(value)


def _resampling_ms(model: Model, sample_rate: int) -> float:
    if sample_rate == model.sample_rate:
        return 0.0
    delay_s = StreamingResampler(sample_rate, model.sample_rate).delay_s
    if gives_sound(model):
        delay_s += StreamingResampler(model.sample_rate, sample_rate).delay_s
    return 1000 * delay_s


__all__ = ["check_rate", "checked", "describe", "gives_sound", "labels"]
