"""How a server describes its models, and which of their decision settings clients may override."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from streamrnn.audio import StreamingResampler
from streamrnn.comparing import as_kept
from streamrnn.decisions.outlets import in_effect
from streamrnn.models import Model
from streamrnn.serve.items import described, takes_items
from streamrnn.serve.protocol import Hello, ProtocolError

# A decoder's memory grows with its durations, its work with the width of its search.
LONGEST_MS = 60_000.0
WIDEST_BEAM = 16
LARGEST = 1e9
# Phrases that one client may listen for.
MOST_TEXTS = 200
# Each pair of rates has a filter per phase: 44,101 Hz would take seconds and tens of megabytes.
MOST_PHASES = 1000


def describe(name: str, model: Model, sample_rate: int | None = None, **overrides: Any) -> dict[str, Any]:
    """Describes the model for JSON, as a stream at `sample_rate` (default: its own) with these decision settings."""
    items = described(model)
    if not items and sample_rate is None:
        sample_rate = model.sample_rate
    outlet = model.outlet(**overrides)
    resampling_ms = 0.0 if sample_rate is None else _resampling_ms(model, outlet.gives, sample_rate)
    return {
        "name": name,
        "sample_rate": sample_rate,
        "takes": "items" if items else "sound",
        "gives": "answers" if items else outlet.gives,
        "kinds": [] if items else list(outlet.kinds),
        "labels": list(outlet.labels),
        "frame_s": model.frame_s,
        "out_features": model.out_features,
        "latency_ms": round(model.algorithmic_latency_ms + resampling_ms, 6),
        "settings": as_kept(in_effect(outlet.settings)),
        **items,
    }


def checked(model: Model, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A client's decision settings, validated for Pool.open.

    Raises:
        ProtocolError: bad_hello; there is no such setting, or its value has the wrong type or is out of range.
    """
    decision = model.decision
    # A model that outputs numbers has no decision settings.
    known = {} if decision is None else {f.name: getattr(decision, f.name) for f in dataclasses.fields(decision)}
    for name in overrides:
        if name not in known:
            raise ProtocolError("bad_hello", f"there is no setting {name!r}; there are: {', '.join(known)}.")
    found = {name: _setting(name, value, known[name]) for name, value in overrides.items()}
    try:
        model.outlet(**found)
    except (ImportError, ValueError) as error:
        raise ProtocolError("bad_hello", str(error)) from None
    return found


def from_texts(model: Model, parameters: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Decision settings from a query string, for `checked`; a list is repeated, once per entry.

    Raises:
        ProtocolError: bad_hello; a value that must be a number is not one.
    """
    decision, found = model.decision, {}
    for name, value in parameters:
        present = getattr(decision, name, 0.0)
        if isinstance(present, tuple):
            found.setdefault(name, []).append(value)
            continue
        try:
            found[name] = value if isinstance(present, str) else float(value)
        except ValueError:
            raise ProtocolError("bad_hello", f"{name} is {value[:40]!r}; it must be a number.") from None
    return found


def check_kind(model: Model, hello: Hello) -> None:
    """Raises ProtocolError, bad_hello, if hello announces sound to a model of items, or items to a model of sound."""
    if takes_items(model) and hello.encoding != "json":
        raise ProtocolError("bad_hello", f"encoding is {hello.encoding!r}; this model takes items. Pass json.")
    if not takes_items(model) and hello.encoding == "json":
        raise ProtocolError("bad_hello", "encoding is 'json'; this model takes sound. Pass s16le, for example.")


def check_rate(model: Model, sample_rate: int | None) -> None:
    """Raises ProtocolError, bad_hello, for a rate that no sound card has and that is too expensive to resample."""
    if sample_rate is None:
        return
    phases = max(sample_rate, model.sample_rate) // math.gcd(sample_rate, model.sample_rate)
    if phases > MOST_PHASES:
        raise ProtocolError(
            "bad_hello", f"sample_rate is {sample_rate}; it must be a common one, such as 16000, 44100 or 48000."
        )


def _setting(name: str, value: Any, present: Any) -> Any:
    """Validates a client's value of a setting whose current value is `present`."""
    if isinstance(present, str):
        if not isinstance(value, str):
            raise ProtocolError("bad_hello", f"{name} is {str(value)[:40]!r}; it must be a string.")
        return value
    if isinstance(present, tuple):
        texts = isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)
        if not texts or len(value) > MOST_TEXTS:
            raise ProtocolError("bad_hello", f"{name} is {str(value)[:40]!r}; it must be up to {MOST_TEXTS} strings.")
        return tuple(value)
    return _number(name, value, present)


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


def _resampling_ms(model: Model, gives: str, sample_rate: int) -> float:
    if sample_rate == model.sample_rate:
        return 0.0
    delay_s = StreamingResampler(sample_rate, model.sample_rate).delay_s
    if gives == "sound":
        delay_s += StreamingResampler(model.sample_rate, sample_rate).delay_s
    return 1000 * delay_s


__all__ = ["check_kind", "check_rate", "checked", "describe", "from_texts"]
