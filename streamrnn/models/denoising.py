"""Speech without the noise: sound in, sound out, by a mask on its spectrum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Int

from streamrnn.contract import Layer
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.features import STFT, InverseSTFT
from streamrnn.layers import Chain, Delay, Lookahead, Residual, RMSNorm
from streamrnn.layers.bands import AcrossBands, EachBand, EachBandRecurrent, JoinBands, SplitBands, regions
from streamrnn.models.model import Model
from streamrnn.shapes import Block, Frames, OutputFrame, Spectrum, State

# Exponent of magnitudes: about that of loudness. Without it, a model would hear only the loudest parts.
COMPRESSION = 0.3
# Of a bin's relative power: 60 dB below the level, all is silence.
RELATIVE_SILENCE = 1e-6
# Masks begin at about 0.7: an untrained model passes sound.
MASK_START = 1.0


@dataclass(frozen=True)
class DenoisingSettings:
    """The shape of a denoising model."""

    sample_rate: int = 16_000
    """Samples per second of the audio that it hears and gives."""
    hop_samples: int = 200
    """Samples per frame."""
    window_samples: int = 600
    """Samples that one spectrum sees: a multiple of the hop, at least three times as long. It is also the latency."""
    bands: tuple[int, ...] = (12, 6, 4)
    """Bands in equal parts of the spectrum, from low to high."""
    features: int = 32
    """Numbers per band, and state of the GRU that runs over each."""
    across: int = 16
    """State of the GRUs that run up and down the bands."""
    blocks: int = 1
    """How often GRUs across bands and another GRU over time follow the first GRU over time."""
    lookahead_frames: int = 0
    """Later frames that a mask waits for, beside those of the window."""
    memory_s: float = 2.0
    """Seconds over which the running level forgets."""
    silence: float = 1e-8
    """Power of a sample (full scale 1) below which all is silence."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers that the core computes in; weights, state and sound are float32 either way."""


class Denoising(Model):
    """Noise suppression: frames of noisy samples -> the same frames without the noise, out = hop_samples.

    STFT -> magnitudes relative to a running level and to their means -> features per band -> GRUs over time and across
    bands -> mask -> masked STFT -> inverse STFT. The level makes it deaf to how loud the recording is: sound that is
    twice as loud comes out twice as loud. Outputs run behind by window - hop samples (and the look-ahead); with the
    hop that is the algorithmic latency, 37.5 ms by default.

    Sources: bands that share their recurrent layers, Luo and Yu, "Music source separation with band-split RNN", 2023;
    masks, Wang, Narayanan and Wang, "On training targets for supervised speech separation", 2014.
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
        bins, memory_frames = s.window_samples // 2 + 1, round(s.memory_s * s.sample_rate / s.hop_samples)
        features = RelativeSpectrum(bins, memory_frames, s.silence * s.window_samples)
        masked = Masked(features, _mask_estimator(s, bins, rngs), bins)
        super().__init__(s, decision or SoundSettings(), Chain(spectra[0], masked, spectra[1]), s.hop_samples)

    def decoder(self, **overrides: Any) -> NoReturn:
        """Sound has no events.

        Raises:
            TypeError: always; says what to use instead.
        """
        raise TypeError(
            f"{type(self).__name__} gives sound, not events. Use streamrnn.Enhancer for live sound, "
            "streamrnn.enhance_file for recordings, or streamrnn.Stream for frames of samples."
        )


def _mask_estimator(s: DenoisingSettings, bins: int, rngs: nnx.Rngs) -> Chain:
    """Two numbers per bin in and out: see Masked."""
    features, dtype, parts = s.features, jnp.dtype(s.dtype), regions(bins, s.bands)
    return Chain(
        SplitBands(parts, bins, 2, features, dtype=dtype, rngs=rngs),
        Lookahead(s.lookahead_frames),
        _over_time(s, rngs),
        *(layer for _ in range(s.blocks) for layer in (_across_bands(s, rngs), _over_time(s, rngs))),
        _each_normalised(s, rngs),
        JoinBands(parts, bins, 2, features, dtype=dtype, rngs=rngs),
    )


def _over_time(s: DenoisingSettings, rngs: nnx.Rngs) -> Residual:
    recurrent = EachBandRecurrent(sum(s.bands), s.features, dtype=jnp.dtype(s.dtype), rngs=rngs)
    return Residual(Chain(_each_normalised(s, rngs), recurrent), sum(s.bands) * s.features)


def _across_bands(s: DenoisingSettings, rngs: nnx.Rngs) -> Residual:
    across = AcrossBands(sum(s.bands), s.features, s.across, dtype=jnp.dtype(s.dtype), rngs=rngs)
    return Residual(Chain(_each_normalised(s, rngs), across), sum(s.bands) * s.features)


def _each_normalised(s: DenoisingSettings, rngs: nnx.Rngs) -> EachBand:
    return EachBand(RMSNorm(s.features, dtype=jnp.dtype(s.dtype), rngs=rngs), s.features)


class Level(NamedTuple):
    """What `RelativeSpectrum` remembers: frames so far (up to its time constant), their level and their mean bins."""

    frames: Int[jax.Array, " batch"]
    power: Float[jax.Array, " batch"]
    mean: Float[jax.Array, "batch bins"]


class RelativeSpectrum(Layer):
    """How loud each bin is, against the whole and against itself: complex[batch, time, bins] -> [batch, time, 2 bins].

        w     = 1 / min(t, time_constant_frames)               frames t = 1, 2, ...
        level = level + w (mean_k |X_k|^2 - level)
        m     = (|X|^2 / (level + silence) + 1e-6) ^ 0.15
        mean  = mean + w (m - mean)
        y     = [m, m - mean]

    The running mean knows steady noise bin by bin; a recurrent layer would need as many numbers as there are bins.

    State: `Level`.

    Args:
        bins: bins of the spectrum.
        time_constant_frames: length of the memory, at least 1.
        silence: power of a bin, above 0, below which the level never counts.
    """

    def __init__(self, bins: int, time_constant_frames: int, silence: float):
        self.bins, self.time_constant_frames, self.silence = bins, time_constant_frames, silence

    def init_state(self, batch_size: int) -> Level:
        return Level(jnp.zeros(batch_size, jnp.int32), jnp.zeros(batch_size), jnp.zeros((batch_size, self.bins)))

    def step(self, state: Level, x: Spectrum) -> tuple[Level, Frames]:
        return self.scan(state, x)

    def scan(self, state: Level, x: Spectrum) -> tuple[Level, Frames]:
        power = jnp.real(x) ** 2 + jnp.imag(x) ** 2
        state, y = jax.lax.scan(self._follow, state, jnp.moveaxis(power, 1, 0))
        return state, jnp.moveaxis(y, 0, 1)

    def _follow(self, state: Level, power: jax.Array) -> tuple[Level, jax.Array]:
        frames = jnp.minimum(state.frames + 1, self.time_constant_frames)
        level = state.power + (jnp.mean(power, axis=-1) - state.power) / frames
        relative = power / (level + self.silence)[:, None] + RELATIVE_SILENCE
        magnitude = relative ** (COMPRESSION / 2)
        mean = state.mean + (magnitude - state.mean) / frames[:, None]
        return Level(frames, level, mean), jnp.concatenate([magnitude, magnitude - mean], axis=-1)


class Masked(Layer):
    """A spectrum times the mask that is found in it: complex[batch, time, bins], same shape out.

        [m, d] = features(x)
        [a, b] = estimator([m, d])
        y      = x sigmoid(a + b d + 1)

    So the estimator says for each bin how much passes, and how much that depends on the bin standing out of its mean.

    State: those of both layers, and what waits for the estimator's look-ahead.

    Args:
        features: a `RelativeSpectrum`.
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
        mask = jax.nn.sigmoid(offset + slope * prominence + MASK_START)
        return (of_features, of_estimator, of_spectra, of_prominence), spectra * mask


__all__ = ["Denoising", "DenoisingSettings", "Masked", "RelativeSpectrum"]
