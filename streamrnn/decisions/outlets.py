"""Outlets turn a stream's outputs into events or sound, or pass the numbers on. Each stream has one.

A model's decision settings determine its outlet: their `outlet` makes one, and a stream owns it.
"""

import dataclasses
import difflib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from streamrnn.decisions.checks import check_snapshot
from streamrnn.decisions.events import Event, EventKind

Gives = Literal["events", "sound", "numbers"]
# float32.
Floats = np.ndarray

USES = {
    "events": "Use streamrnn.Listener for a live stream, streamrnn.speech_segments or run_file for recordings.",
    "sound": "Use streamrnn.Enhancer for live sound, streamrnn.enhance_file for recordings, or streamrnn.Stream for "
    "frames of samples.",
    "numbers": "Use streamrnn.Stream for a live stream, streamrnn.run_file for recordings.",
}


class Given(NamedTuple):
    """What an outlet made of some outputs: events, in order, and sound (None from outlets without sound)."""

    events: list[Event]
    sound: Floats | None = None


@runtime_checkable
class Decoder(Protocol):
    """Turns a model's outputs into events; plain Python, one per stream. See streamrnn.decisions."""

    def push(self, outputs: np.ndarray, /) -> list[Event]: ...
    def finish(self, duration_s: float, /) -> list[Event]: ...
    def reset(self) -> None: ...
    def snapshot(self) -> dict[str, Any]: ...
    def restore(self, snapshot: dict[str, Any], /) -> None: ...


@runtime_checkable
class Resampler(Protocol):
    """Converts from a model's sample rate to the stream's."""

    @property
    def delay_s(self) -> float: ...
    def process(self, samples: Floats, /) -> Floats: ...
    def flush(self) -> Floats: ...
    def reset(self) -> None: ...
    def snapshot(self) -> dict[str, Any]: ...
    def restore(self, snapshot: Mapping[str, Any], /) -> None: ...


@runtime_checkable
class Outlet(Protocol):
    """Turns the outputs of one stream into what its caller receives.

    Attributes:
        gives: the kind of result.
        settings: its decision settings, a dataclass, or None.
        kinds, labels: the kinds of its events, and their possible labels if these are a fixed list.
    """

    gives: ClassVar[Gives]
    settings: Any
    kinds: tuple[EventKind, ...]
    labels: tuple[str, ...]

    @property
    def delay_s(self) -> float:
        """Its contribution to the latency, in seconds."""
        ...

    def begin(self, resampler: Resampler | None, /) -> None:
        """Starts a stream; the resampler converts from the model's sample rate to the stream's, if they differ."""

    def hear(self, frames: np.ndarray, /) -> None:
        """Takes the stream's input, before any outputs for it; possibly in another thread than the other calls."""

    def push(self, outputs: Floats, /, end_s: float | None = None) -> Given:
        """Processes the next outputs, [frames, out]. No event reaches past `end_s`, once the stream's end is known."""
        ...

    def finish(self, outputs: Floats, /, end_s: float) -> Given:
        """Processes the last outputs; also returns everything pending."""
        ...

    def conclude(self, end_s: float, /) -> list[Event]:
        """Ends what is open if no more input arrives for now; later outputs begin it anew."""
        ...

    def activity(self, outputs: Floats, /) -> Floats:
        """The level of detection, [frames], for meters and plots."""
        ...

    def reset(self) -> None: ...
    def snapshot(self) -> dict[str, Any]: ...
    def restore(self, snapshot: Mapping[str, Any], /) -> None:
        """Resumes from a snapshot. Raises ValueError if it is not valid."""


def first_output(outputs: Floats) -> Floats:
    """The first number of each frame, [frames]."""
    return outputs[:, 0]


class Events:
    """Turns outputs into events, with a decoder.

    Args:
        decoder: for a fresh stream.
        settings: its decision settings.
        kinds, labels, activity: see `Outlet`.
    """

    gives: ClassVar[Gives] = "events"
    delay_s = 0.0

    def __init__(
        self,
        decoder: Decoder,
        settings: Any = None,
        *,
        kinds: tuple[EventKind, ...] = (),
        labels: tuple[str, ...] = (),
        activity: Callable[[Floats], Floats] = first_output,
    ):
        self.decoder, self.settings, self.kinds, self.labels = decoder, settings, kinds, labels
        self.activity = activity

    def begin(self, resampler: Resampler | None) -> None:
        """Does nothing: events need no resampler."""

    def hear(self, frames: np.ndarray) -> None:
        """Does nothing: events need only the outputs."""

    def push(self, outputs: Floats, end_s: float | None = None) -> Given:
        events = self.decoder.push(outputs)
        return Given(events if end_s is None else [event.clipped(end_s) for event in events])

    @property
    def together(self) -> object | None:
        """Outlets with the same value can be pushed together; None: with no other."""
        return getattr(self.decoder, "together", None)

    @staticmethod
    def push_together(outlets: "Sequence[Events]", outputs: Sequence[Floats]) -> list[Given]:
        """What `push` of each returns, computed at once. All have the same `together` and equally many frames.

        Raises:
            ValueError: as for any `push`; all outlets are then unchanged.
        """
        decoders: Any = [outlet.decoder for outlet in outlets]
        return [Given(events) for events in decoders[0].push_together(decoders, outputs)]

    def finish(self, outputs: Floats, end_s: float) -> Given:
        events = self.decoder.push(outputs) + self.decoder.finish(end_s)
        return Given([event.clipped(end_s) for event in events])

    def conclude(self, end_s: float) -> list[Event]:
        # Decoders of single words have nothing that stays open.
        conclude = getattr(self.decoder, "conclude", None)
        return [] if conclude is None else conclude(end_s)

    def reset(self) -> None:
        self.decoder.reset()

    def snapshot(self) -> dict[str, Any]:
        return self.decoder.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.decoder.restore(dict(snapshot))


class SoundBack:
    """Turns frames of samples into sound at the stream's own rate, aligned with its input: sample n belongs to sample
    n, and as many come out as went in. The output does not depend on how the sound is cut into chunks, bit for bit.

    `hear` may be called by another thread than the other methods.

    Args:
        settings: a dataclass whose `original_share`, 0 to 1, is the share of the input to mix into the output.
    """

    gives: ClassVar[Gives] = "sound"
    kinds: tuple[EventKind, ...] = ()
    labels: tuple[str, ...] = ()

    def __init__(self, settings: Any):
        self.settings = settings
        self._share = settings.original_share
        self._resampler: Resampler | None = None
        self._arrived: deque[Floats] = deque()
        self._waiting = np.zeros(0, np.float32)

    @property
    def delay_s(self) -> float:
        return self._resampler.delay_s if self._resampler is not None else 0.0

    def begin(self, resampler: Resampler | None) -> None:
        self._resampler = resampler

    def hear(self, frames: Floats) -> None:
        # A copy: callers may reuse one buffer, and this is kept until the model has answered.
        self._arrived.append(frames.copy())

    def push(self, outputs: Floats, end_s: float | None = None) -> Given:
        resampler = self._resampler
        return self._given(outputs.ravel() if resampler is None else resampler.process(outputs.ravel()))

    def finish(self, outputs: Floats, end_s: float) -> Given:
        frames, resampler = outputs.ravel(), self._resampler
        if resampler is not None:
            frames = np.concatenate([resampler.process(frames), resampler.flush()])
        return self._given(frames)

    def conclude(self, end_s: float) -> list[Event]:
        return []

    def activity(self, outputs: Floats) -> Floats:
        """The RMS level of each frame."""
        return np.sqrt(np.mean(np.square(outputs), axis=1))

    def reset(self) -> None:
        self._arrived.clear()
        self._waiting = self._waiting[:0]
        if self._resampler is not None:
            self._resampler.reset()

    def snapshot(self) -> dict[str, Any]:
        waiting = np.concatenate([self._waiting, *self._arrived])
        return {"waiting": waiting, "resampler": self._resampler.snapshot() if self._resampler is not None else None}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        check_snapshot("SoundBack", snapshot, ["waiting", "resampler"])
        waiting = snapshot["waiting"]
        good = isinstance(waiting, np.ndarray) and waiting.ndim == 1 and waiting.dtype == np.float32
        if not good or not np.isfinite(waiting).all() or (self._resampler is None) != (snapshot["resampler"] is None):
            raise ValueError("SoundBack.restore got no valid pending sound. Pass what SoundBack.snapshot returned.")
        if self._resampler is not None:
            self._resampler.restore(snapshot["resampler"])
        self._arrived.clear()
        self._waiting = waiting.copy()

    def _given(self, samples: Floats) -> Given:
        # One by one: another thread may be appending.
        arrived = [self._arrived.popleft() for _ in range(len(self._arrived))]
        self._waiting = np.concatenate([self._waiting, *arrived])
        # Never more than the input: the last block was padded.
        samples = samples[: len(self._waiting)]
        original, self._waiting = np.split(self._waiting, [len(samples)])
        return Given([], np.float32(1 - self._share) * samples + np.float32(self._share) * original)


class Numbers:
    """Outputs as they are, and nothing else."""

    gives: ClassVar[Gives] = "numbers"
    settings: Any = None
    kinds: tuple[EventKind, ...] = ()
    labels: tuple[str, ...] = ()
    delay_s = 0.0

    def begin(self, resampler: Resampler | None) -> None:
        """Does nothing: numbers need no resampler."""

    def hear(self, frames: np.ndarray) -> None:
        """Does nothing: numbers need only the outputs."""

    def push(self, outputs: Floats, end_s: float | None = None) -> Given:
        return Given([])

    def finish(self, outputs: Floats, end_s: float) -> Given:
        return Given([])

    def conclude(self, end_s: float) -> list[Event]:
        return []

    def activity(self, outputs: Floats) -> Floats:
        return first_output(outputs)

    def reset(self) -> None:
        """Does nothing: there is no state."""

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        check_snapshot("Numbers", snapshot, [])


def outlet_by(
    decision: Any, overrides: Mapping[str, Any], labels: tuple[str, ...], frame_s: float, lookahead_s: float
) -> Outlet:
    """The outlet of a model with the decision settings `decision`; None: the model outputs numbers.

    Raises:
        TypeError: an override is not one of its settings, or has the wrong type.
        ValueError: one is out of range.
    """
    if decision is None and not overrides:
        return Numbers()
    return decided(decision, overrides).outlet(labels, frame_s, lookahead_s)


def decided(decision: Any, overrides: Mapping[str, Any]) -> Any:
    """The settings `decision`, a dataclass or None, with overrides applied.

    Raises:
        TypeError: an override is not one of its settings, or has the wrong type.
        ValueError: one is out of range.
    """
    if decision is None and overrides:
        raise TypeError(f"The model gives numbers and has no settings; {', '.join(overrides)} came. Leave them out.")
    if decision is None or not overrides:
        return decision
    # NumPy's numbers, such as those of np.linspace, cost several times as much at each frame, and no file holds them.
    plain = {name: _plain(value) for name, value in overrides.items()}
    _check_overrides(decision, plain)
    return dataclasses.replace(decision, **plain)


def _plain(value: Any) -> Any:
    is_number = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
    return value.item() if is_number else value


def _check_overrides(decision: Any, overrides: Mapping[str, Any]) -> None:
    known = {field.name: getattr(decision, field.name) for field in dataclasses.fields(decision)}
    may_be_none = {field.name for field in dataclasses.fields(decision) if "None" in str(field.type)}
    for name, value in overrides.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise TypeError(f"There is no setting {name!r}.{meant} Settings of this model are: {', '.join(known)}.")
        is_number = isinstance(value, float | int) or (value is None and name in may_be_none)
        if isinstance(known[name], float | int) and not is_number:
            of_kind = ", a text" if isinstance(value, str) else ""
            raise TypeError(f"{name} is {value!r}{of_kind}; it must be a number, such as {known[name]}.")


def require_outlet(outlet: Outlet, needed: Gives, owner: str) -> None:
    """Raises TypeError, with advice, if an outlet does not give what is needed; `owner` is the model's name."""
    if outlet.gives != needed:
        advice = getattr(outlet, "advice", USES[outlet.gives])
        raise TypeError(f"{owner} gives {outlet.gives}, not {needed}. {advice}")


def in_effect(settings: Any) -> dict[str, Any]:
    """Decision settings by name, including values derived from others, so that readers need not derive them. {} for
    None.
    """
    found = {} if settings is None else dataclasses.asdict(settings)
    if (off_threshold := getattr(settings, "resolved_off_threshold", None)) is not None:
        found["off_threshold"] = off_threshold
    return found


__all__ = [
    "Decoder",
    "Events",
    "Given",
    "Gives",
    "Numbers",
    "Outlet",
    "Resampler",
    "SoundBack",
    "decided",
    "first_output",
    "in_effect",
    "outlet_by",
    "require_outlet",
]
