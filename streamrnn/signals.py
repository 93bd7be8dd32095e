"""The kinds of frames in a stream: hops of sound, or a series of anything else. Needs no JAX."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

from numpy import generic

Dtype = Literal["float32", "int32"]

# The largest number in a frame: models add up squares in float32, and an infinity would stay in their states.
LARGEST = 1e18
_LARGEST: dict[Dtype, float] = {"float32": (2 - 2**-23) * 2.0**127, "int32": 2**31 - 1}


def _normalise(signal: Any, name: str, example: float, is_whole: bool = False) -> None:
    """Gives an attribute a plain number: those of NumPy are no JSON, and 160.0 is no length of an array.

    Raises:
        TypeError: it is no number.
        ValueError: it is to be whole, and is not.
    """
    value = getattr(signal, name)
    if not isinstance(value, Real):
        raise TypeError(f"{type(signal).__name__} got {name}={value!r}; it must be a number, such as {example}.")
    if is_whole and value % 1:
        raise ValueError(f"{type(signal).__name__} got {name}={value}; it must be a whole number.")
    plain: Any = value.item() if isinstance(value, generic) else value
    object.__setattr__(signal, name, int(plain) if is_whole else plain)


@dataclass(frozen=True)
class Sound:
    """Frames of raw audio: frame t is samples [t hop_samples, (t + 1) hop_samples), float32 in [-1, 1].

    Attributes:
        sample_rate: samples per second.
        hop_samples: samples per frame.

    Raises:
        TypeError: one of them is no number.
        ValueError: one of them is below 1, or not whole.
    """

    sample_rate: int
    hop_samples: int

    kind: ClassVar[str] = "sound"
    dtype: ClassVar[Dtype] = "float32"
    padding: ClassVar[float] = 0.0

    def __post_init__(self):
        for name in ("sample_rate", "hop_samples"):
            _normalise(self, name, 16000, is_whole=True)
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"Sound got {name}={value}; it must be at least 1.")

    @property
    def features(self) -> int:
        """Numbers per frame."""
        return self.hop_samples

    def duration_s(self, frames: int) -> float:
        """The duration of this number of frames, in seconds."""
        return frames * self.hop_samples / self.sample_rate


@dataclass(frozen=True)
class Series:
    """Frames of anything that arrives at equal intervals: sensor readings, features, token ids.

    Attributes:
        features: numbers per frame.
        frames_per_s: frames per second.
        dtype: "float32", or "int32" for ids.
        padding: the value of missing frames: after the last one, and in gaps.
        ids: for frames of ids, the number of ids: 0 to ids - 1. None: no bound is checked.

    Raises:
        TypeError: features, frames_per_s, padding or ids is not a number.
        ValueError: one of them is out of range or not whole, dtype is unknown, or padding or ids does not fit it.
    """

    features: int
    frames_per_s: float
    dtype: Dtype = "float32"
    padding: float = 0.0
    ids: int | None = None

    kind: ClassVar[str] = "series"

    def __post_init__(self):
        _normalise(self, "features", 6, is_whole=True)
        _normalise(self, "frames_per_s", 50.0)
        _normalise(self, "padding", 0.0)
        if self.ids is not None:
            _normalise(self, "ids", 256, is_whole=True)
        if self.features < 1 or not 0 < self.frames_per_s < math.inf:
            raise ValueError(
                f"Series got features={self.features}, frames_per_s={self.frames_per_s}; a frame needs at least 1 "
                "number, and frames_per_s must be positive."
            )
        if self.dtype not in ("float32", "int32"):
            raise ValueError(f"Series got dtype={self.dtype!r}; it must be 'float32', or 'int32' for ids.")
        is_whole = self.dtype == "float32" or self.padding == self.padding // 1
        if not abs(self.padding) <= _LARGEST[self.dtype] or not is_whole:
            raise ValueError(f"Series got padding={self.padding}; it must be a finite {self.dtype}.")
        if self.ids is not None and (self.dtype != "int32" or not 0 <= self.padding < self.ids):
            raise ValueError(
                f"Series got ids={self.ids} with dtype={self.dtype!r} and padding={self.padding}; ids must be int32, "
                "and the padding one of them."
            )

    def duration_s(self, frames: int) -> float:
        """The duration of this number of frames, in seconds."""
        return frames / self.frames_per_s


Signal = Sound | Series


def described(signal: Signal) -> dict[str, Any]:
    """The signal as a dict that survives JSON, for `signal_from`."""
    return {"kind": signal.kind, **asdict(signal)}


def signal_from(description: Mapping[str, Any]) -> Signal:
    """Restores a signal from its description by `described`.

    Raises:
        ValueError: it is not such a description.
    """
    fields = dict(description)
    made = {signal.kind: signal for signal in (Sound, Series)}.get(fields.pop("kind", None))
    try:
        if made is None:
            raise TypeError("its kind is neither 'sound' nor 'series'")
        return made(**fields)
    except TypeError as error:
        raise ValueError(f"{description!r} does not describe a signal: {error}.") from None


class Timed:
    """The timing of anything that takes blocks of `stride` frames of a signal and lags behind by `lookahead` frames."""

    signal: Signal
    stride: int
    lookahead: int

    @property
    def frame_s(self) -> float:
        """Seconds of the signal per output frame."""
        return self.signal.duration_s(self.stride)

    @property
    def lookahead_s(self) -> float:
        """Seconds of later signal that an output waits for."""
        return self.signal.duration_s(self.lookahead)

    @property
    def algorithmic_latency_ms(self) -> float:
        """The block being filled plus the look-ahead: the latency that no faster machine can remove."""
        return 1000 * (self.frame_s + self.lookahead_s)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the input. Raises TypeError if the input is not sound."""
        return self._sound.sample_rate

    @property
    def hop_samples(self) -> int:
        """Samples per input frame. Raises TypeError if the input is not sound."""
        return self._sound.hop_samples

    @property
    def block_samples(self) -> int:
        """Samples per step. Raises TypeError if the input is not sound."""
        return self._sound.hop_samples * self.stride

    @property
    def _sound(self) -> Sound:
        if not isinstance(self.signal, Sound):
            raise TypeError(
                f"This model takes {self.signal}, not sound, so it has no samples. Use its signal, frame_s and stride."
            )
        return self.signal


__all__ = ["LARGEST", "Dtype", "Series", "Signal", "Sound", "Timed", "described", "signal_from"]
