"""Normalisation that follows the stream: running mean and variance, and per-channel energy normalisation (PCEN)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from streamrnn.contract import Layer
from streamrnn.shapes import Frames, State


class Statistics(NamedTuple):
    """The state of `RunningNormalise`: frames so far (up to its time constant), mean and variance per feature."""

    frames: Int[Array, " batch"]
    mean: Float[Array, "batch features"]
    variance: Float[Array, "batch features"]


class RunningNormalise(Layer):
    """Subtracts the running mean and divides by the running deviation: float32[batch, time, features], same shape out.

        w        = 1 / min(t, time_constant_frames)                        frames t = 1, 2, ...
        d        = x - mean
        mean     = mean + w d
        variance = (1 - w) (variance + w d^2)
        y        = (x - mean) / sqrt(variance + floor)

    For the first `time_constant_frames` frames these are the plain mean and variance of all frames so far; after that,
    exponential averages. The transition is continuous. A frame updates the statistics before it is normalised, so
    the first frame gives zeros, and |y| < sqrt(time_constant_frames) always, however loud the sound after a silence.

    A NaN stays in its stream and feature until that stream is reset.

    State: `Statistics`: frames int32[batch], mean and variance float32[batch, features].

    Source: Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics, 1962; its
    exponential form: West, "Updating mean and variance estimates", CACM, 1979.

    Args:
        features: width of the frames.
        time_constant_frames: length of the memory, at least 1; for speech, the frames of one to a few seconds.
        floor: added to the variance, > 0, in squared units of the features. It keeps the small fluctuations of a steady
            input small. The default of 1 is for decibels.

    Raises:
        ValueError: time_constant_frames is not from 1 to 2**31 - 1, or floor is not positive.
    """

    def __init__(self, features: int, time_constant_frames: int, floor: float = 1.0):
        _require(time_constant_frames >= 1, "RunningNormalise", "time_constant_frames", time_constant_frames, ">= 1")
        if time_constant_frames >= 2**31:
            raise ValueError(
                f"RunningNormalise got time_constant_frames {time_constant_frames}; frames are counted in int32. "
                f"Pass less than {2**31}, which is 248 days at 100 frames per second."
            )
        _require(floor > 0, "RunningNormalise", "floor", floor, "> 0")
        self.features = features
        self.time_constant_frames = time_constant_frames
        self.floor = floor

    def init_state(self, batch_size: int) -> Statistics:
        mean, variance = (jnp.zeros((batch_size, self.features), jnp.float32) for _ in range(2))
        return Statistics(jnp.zeros(batch_size, jnp.int32), mean, variance)

    def step(self, state: Statistics, x: Frames) -> tuple[Statistics, Frames]:
        frames = jnp.minimum(state.frames + 1, self.time_constant_frames)
        weight = 1.0 / frames[:, None]
        difference = x[:, 0] - state.mean
        mean = state.mean + weight * difference
        variance = (1.0 - weight) * (state.variance + weight * difference**2)
        y = (x[:, 0] - mean) / jnp.sqrt(variance + self.floor)
        return Statistics(frames, mean, variance), y[:, None]


class PCEN(Layer):
    """Per-channel energy normalisation, an automatic gain control: mel[batch, time, features] >= 0, same shape out.

        m = (1 - s) m + s x
        y = (x / (eps + m)^gain + bias)^power - bias^power

    It equals `librosa.pcen` from the first frame: the smoothing s comes from `time_constant_s`, and m starts at 1. The
    result depends on the scale of x: the gain control acts only if m is well above `eps`. librosa recommends
    magnitudes of audio in the range of 32-bit integers.

    State: m, float32[batch, features].

    Source: Wang et al., "Trainable frontend for robust and far-field keyword spotting", ICASSP, 2017, eq. 1 and 2.

    Args:
        features: width of the frames.
        sample_rate: in Hz.
        hop: samples between frames.
        gain: strength of the gain control; 0 is none, 1 removes the level completely.
        bias: keeps small values small, > 0.
        power: exponent of the compression, > 0.
        time_constant_s: memory of the smoothing, > 0.
        eps: keeps the division finite in silence, > 0.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        features: int,
        sample_rate: int,
        hop: int,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        time_constant_s: float = 0.4,
        eps: float = 1e-6,
    ):
        _require(gain >= 0, "PCEN", "gain", gain, ">= 0")
        settings = {"bias": bias, "power": power, "time_constant_s": time_constant_s, "eps": eps}
        for name, value in settings.items():
            _require(value > 0, "PCEN", name, value, "> 0")
        self.features = features
        self.gain = gain
        self.bias = bias
        self.power = power
        self.eps = eps
        self.smoothing = _smoothing(time_constant_s * sample_rate / hop)

    def init_state(self, batch_size: int) -> State:
        return jnp.ones((batch_size, self.features), jnp.float32)

    def step(self, state: State, x: Frames) -> tuple[State, Frames]:
        smooth = self._smoothed(state, x[:, 0])
        return smooth, self._compressed(x, smooth[:, None])

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        def smoothed(carry: Array, frame: Array) -> tuple[Array, Array]:
            carry = self._smoothed(carry, frame)
            return carry, carry

        # Only the recurrence runs frame by frame; the logarithms take all frames at once.
        state, smooth = jax.lax.scan(smoothed, state, jnp.moveaxis(x, 1, 0))
        return state, self._compressed(x, jnp.moveaxis(smooth, 0, 1))

    def _smoothed(self, smooth: Array, frame: Array) -> Array:
        return (1.0 - self.smoothing) * smooth + self.smoothing * frame

    def _compressed(self, x: Array, smooth: Array) -> Array:
        # In float32, eps + m would lose eps, and (r + bias)^power - bias^power would lose the digits of a small r.
        gain = jnp.exp(-self.gain * (math.log(self.eps) + jnp.log1p(smooth / self.eps)))
        return self.bias**self.power * jnp.expm1(self.power * jnp.log1p(x * gain / self.bias))


def _smoothing(time_constant_frames: float) -> float:
    """The s whose low-pass filter s / (1 - (1 - s) / z) halves the power at about 1 / time_constant_frames radians."""
    squared = time_constant_frames**2
    return (math.sqrt(1 + 4 * squared) - 1) / (2 * squared)


def _require(holds: bool, layer: str, name: str, value: float, needed: str) -> None:
    if not holds:
        raise ValueError(f"{layer} got {name} {value}; it needs {name} {needed}. Pass a larger one.")


__all__ = ["PCEN", "RunningNormalise", "Statistics"]
