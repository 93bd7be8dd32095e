"""Noise suppression: sound in, sound out, with a mask on the spectrum."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Int

from streamrnn.contract import Layer
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.features import STFT, InverseSTFT
from streamrnn.layers import Apply, CausalConv, Chain, Delay, Dense, Lookahead, Residual
from streamrnn.layers.bands import GatherBands, SpreadBands
from streamrnn.models.cores import CellName, recurrent_layer
from streamrnn.models.model import Model
from streamrnn.shapes import Block, Frames, OutputFrame, Spectrum, State

# Relative power of a bin: 60 dB below the level counts as silence.
RELATIVE_SILENCE = 1e-6
# An untrained mask opens 10 dB above the floor, which speech usually exceeds and noise rarely.
OPENING = 1.0


@dataclass(frozen=True)
class DenoisingSettings:
    """Settings of a denoising model."""

    sample_rate: int = 16_000
    """Samples per second of input and output."""
    hop_samples: int = 200
    """Samples per frame."""
    window_samples: int = 600
    """Samples per window of the spectrum: a multiple of the hop, at least three hops. It is also the latency."""
    bands: int = 64
    """Bands of the network's input and output, spaced like the ear's."""
    core: CellName = "gru"
    """The recurrence: elman, gru or lstm; or mingru, minlstm or rglru, which compute all frames of a recording in
    parallel."""
    hidden: int = 192
    """State size of each of the two recurrent layers."""
    lookahead_frames: int = 0
    """Look-ahead: future frames that a mask depends on, in addition to those of the window."""
    memory_s: float = 2.0
    """Time constant of the running level, in seconds."""
    floor_fall_s: float = 0.08
    """Time constant, in seconds, at which a bin's noise floor follows sound below it."""
    floor_rise_s: float = 2.0
    """Time constant, in seconds, at which a bin's noise floor follows sound above it."""
    silence: float = 1e-10
    """Power of a sample (full scale 1) below which sound counts as silence."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute dtype of the core; weights, state and sound are float32 either way."""


class Denoising(Model):
    """Noise suppression: frames of noisy samples -> the same frames without the noise, out = hop_samples.

    STFT -> decibels relative to a running level, and above each bin's floor -> bands -> two recurrent layers -> bands
    -> mask per bin -> masked STFT -> inverse STFT. The running level makes the network independent of loudness: an
    input twice as loud gives an output twice as loud. Outputs lag by window - hop samples (plus the look-ahead);
    together with the hop, that is the algorithmic latency, 37.5 ms by default.

    Sources: bands and recurrent layers, Valin, "A hybrid DSP/deep learning approach to real-time full-band speech
    enhancement", 2018; masks, Wang, Narayanan and Wang, "On training targets for supervised speech separation", 2014.
    """

    Settings = DenoisingSettings
    Decision = SoundSettings

    def __init__(
        self,
        settings: DenoisingSettings = DenoisingSettings(),
        decision: SoundSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        s = settings
        spectra = STFT(s.window_samples, s.hop_samples), InverseSTFT(s.window_samples, s.hop_samples)
        bins = s.window_samples // 2 + 1
        frames_per_s = s.sample_rate / s.hop_samples
        memory_frames, fall_frames = round(s.memory_s * frames_per_s), s.floor_fall_s * frames_per_s
        rise_frames, silence = s.floor_rise_s * frames_per_s, s.silence * s.window_samples
        features = Prominence(bins, memory_frames, fall_frames, rise_frames, silence)
        masked = Masked(features, _mask_estimator(s, bins, rngs), bins)
        super().__init__(s, decision or SoundSettings(), Chain(spectra[0], masked, spectra[1]), s.hop_samples)


def _mask_estimator(s: DenoisingSettings, bins: int, rngs: nnx.Rngs) -> Chain:
    """Two numbers per bin in and out: see Masked."""
    dtype, banded = jnp.dtype(s.dtype), (2, bins, s.bands, s.sample_rate)
    return Chain(
        GatherBands(*banded),
        CausalConv(2 * s.bands, 2 * s.bands, 3, dtype=dtype, rngs=rngs),
        Apply(jax.nn.relu),
        Lookahead(s.lookahead_frames),
        recurrent_layer(s.core, 2 * s.bands, s.hidden, s.dtype, rngs),
        Residual(recurrent_layer(s.core, s.hidden, s.hidden, s.dtype, rngs), s.hidden),
        Dense(s.hidden, 2 * s.bands, dtype=jnp.float32, rngs=rngs),
        SpreadBands(*banded),
    )


class NoiseFloorState(NamedTuple):
    """The state of `Prominence`: frames so far (up to its memory), their level, and the floor of each bin in dB."""

    frames: Int[jax.Array, " batch"]
    power: Float[jax.Array, " batch"]
    floor_db: Float[jax.Array, "batch bins"]


class Prominence(Layer):
    """The level of each bin relative to the total and to its own floor: complex[batch, time, bins] -> [.., 2 bins].

        w     = 1 / min(t, memory_frames)                          frames t = 1, 2, ...
        level = level + w (mean_k |X_k|^2 - level)
        d     = 10 log10(|X|^2 / (level + silence) + 1e-6)         decibels
        floor = d  at t = 1, then  floor + (1 - exp(-1 / T)) (d - floor),   T: fall_frames where d < floor, else rise
        y     = [d / 15 + 1, (d - floor) / 10]

    The floor falls fast and rises slowly, so it follows the noise between and below the words.

    State: `NoiseFloorState`.

    Source: continuous tracking of minima as in Doblinger, "Computationally efficient speech enhancement by spectral
    minima tracking in subbands", Eurospeech 1995, but in decibels.

    Args:
        bins: bins of the spectrum.
        memory_frames: length of the level's memory, at least 1.
        fall_frames, rise_frames: time constants of the floor, above 0.
        silence: lower bound of the level, as power of a bin, above 0.
    """

    def __init__(self, bins: int, memory_frames: int, fall_frames: float, rise_frames: float, silence: float):
        self.bins, self.memory_frames, self.silence = bins, memory_frames, silence
        self.fall, self.rise = (-math.expm1(-1 / frames) for frames in (fall_frames, rise_frames))

    def init_state(self, batch_size: int) -> NoiseFloorState:
        power, floor_db = (jnp.zeros(shape, jnp.float32) for shape in (batch_size, (batch_size, self.bins)))
        return NoiseFloorState(jnp.zeros(batch_size, jnp.int32), power, floor_db)

    def step(self, state: NoiseFloorState, x: Spectrum) -> tuple[NoiseFloorState, Frames]:
        return self.scan(state, x)

    def scan(self, state: NoiseFloorState, x: Spectrum) -> tuple[NoiseFloorState, Frames]:
        power = jnp.real(x) ** 2 + jnp.imag(x) ** 2
        state, y = jax.lax.scan(self._follow, state, jnp.moveaxis(power, 1, 0))
        return state, jnp.moveaxis(y, 0, 1)

    def _follow(self, state: NoiseFloorState, power: jax.Array) -> tuple[NoiseFloorState, jax.Array]:
        frames = jnp.minimum(state.frames + 1, self.memory_frames)
        level = state.power + (jnp.mean(power, axis=-1) - state.power) / frames
        loudness = 10 * jnp.log10(power / (level + self.silence)[:, None] + RELATIVE_SILENCE)
        above = loudness - state.floor_db
        floor = state.floor_db + jnp.where(above < 0, self.fall, self.rise) * above
        floor = jnp.where((state.frames == 0)[:, None], loudness, floor)
        y = jnp.concatenate([loudness / 15 + 1, (loudness - floor) / 10], axis=-1)
        return NoiseFloorState(frames, level, floor), y


class Masked(Layer):
    """A spectrum times a mask estimated from it: complex[batch, time, bins], same shape out.

        [d, p] = features(x)
        [a, b] = estimator([d, p])
        y      = x sigmoid(a + 2 (1 + b) (p - 1))

    So for each bin the estimator outputs an offset of the mask and its slope over the bin's height above the floor. If
    both are 0, the mask is a gate that opens 10 dB above the floor.

    State: the states of both layers, and the frames delayed by the estimator's look-ahead.

    Args:
        features: a `Prominence`.
        estimator: [batch, time, 2 bins], same shape out; stride 1.
        bins: bins of the spectrum.
    """

    def __init__(self, features: Layer, estimator: Layer, bins: int):
        self.features, self.estimator, self.lookahead = features, estimator, estimator.lookahead
        self.spectra = Delay(estimator.lookahead, bins, dtype=jnp.complex64)
        self.prominence = Delay(estimator.lookahead, bins)

    def init_state(self, batch_size: int) -> State:
        layers = self.features, self.estimator, self.spectra, self.prominence
        return tuple(layer.init_state(batch_size) for layer in layers)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._run(self.estimator.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._run(self.estimator.scan, state, x)

    def _run(self, estimate: Callable, state: State, x: Frames) -> tuple[State, Frames]:
        of_features, of_estimator, of_spectra, of_prominence = state
        of_features, features = self.features.scan(of_features, x)
        of_estimator, found = estimate(of_estimator, features)
        of_spectra, spectra = self.spectra.scan(of_spectra, x)
        of_prominence, prominence = self.prominence.scan(of_prominence, jnp.split(features, 2, axis=-1)[1])
        offset, slope = jnp.split(found.astype(jnp.float32), 2, axis=-1)
        mask = jax.nn.sigmoid(offset + 2 * (1 + slope) * (prominence - OPENING))
        return (of_features, of_estimator, of_spectra, of_prominence), spectra * mask


__all__ = ["Denoising", "DenoisingSettings", "Masked", "Prominence"]
