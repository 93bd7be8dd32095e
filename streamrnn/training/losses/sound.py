"""A recording against the one that it should be. All take float32[batch, samples] in [-1, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float, Int

from streamrnn.training.losses.frames import weighted_mean

Recordings = Float[jax.Array, "batch samples"]
Lengths = Int[jax.Array, "batch"]
Spectra = Complex[jax.Array, "batch frames bins"]
Magnitudes = Float[jax.Array, "batch frames bins"]

# Energy in samples squared; one step of 16 bits has 1e-9.
SILENT_ENERGY = 1e-12
# Of the estimate's energy: SI-SDR ends at 100 dB, which float32 still resolves.
RELATIVE_ENERGY_FLOOR = 1e-10
MAGNITUDE_FLOOR = 10**-3.5
# -60 dB: recordings that are quieter are compared as if they were that loud.
QUIETEST_LEVEL = 1e-3


@dataclass(frozen=True)
class Resolution:
    """Sizes of one short-time Fourier transform, in samples: a Hann window, the hop between windows, the FFT.

    Raises:
        ValueError: not 1 <= hop < window <= n_fft.
    """

    window: int
    hop: int
    n_fft: int

    def __post_init__(self):
        if not 1 <= self.hop < self.window <= self.n_fft:
            raise ValueError(
                f"Resolution got window {self.window}, hop {self.hop} and n_fft {self.n_fft}; windows must overlap and "
                "fit into the FFT: 1 <= hop < window <= n_fft. Usual: hop = window / 4 and n_fft = window."
            )


RESOLUTIONS = (Resolution(600, 120, 1024), Resolution(1200, 240, 2048), Resolution(240, 50, 512))


def si_sdr_db(
    estimate: Recordings, reference: Recordings, lengths_samples: Lengths | None = None
) -> Float[jax.Array, "batch"]:
    """Scale-invariant signal-to-distortion ratio of each recording, in dB, from -100 to 100.

        10 log10(|a s|^2 / |a s - e|^2),   a = <e, s> / |s|^2,   e: estimate, s: reference

    An estimate of the wrong loudness is as good as one of the right loudness; the mean is not subtracted. A silent
    reference gives -100 dB, or 0 dB where the estimate is silent too. Gradients are finite everywhere.

    Source: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        estimate: what the model says.
        reference: what it should say.
        lengths_samples: samples of each recording that count (default: all); what follows is padding.
    """
    estimate, reference, _ = _cut(estimate, reference, lengths_samples)
    reference_energy = _energy(reference)
    audible = reference_energy > SILENT_ENERGY
    scale = jnp.sum(estimate * reference, axis=1) / jnp.where(audible, reference_energy, 1.0)
    target = jnp.where(audible, scale, 0.0)[:, None] * reference
    floor = RELATIVE_ENERGY_FLOOR * _energy(estimate) + SILENT_ENERGY
    return 10 * jnp.log10((_energy(target) + floor) / (_energy(target - estimate) + floor))


def si_sdr_loss(
    estimate: Recordings, reference: Recordings, lengths_samples: Lengths | None = None
) -> Float[jax.Array, ""]:
    """Minus the mean of `si_sdr_db`, over the recordings whose reference is not silent; 0 where all are."""
    estimate, reference, _ = _cut(estimate, reference, lengths_samples)
    audible = _energy(reference) > SILENT_ENERGY
    return -weighted_mean(si_sdr_db(estimate, reference), audible.astype(jnp.float32))


def multi_resolution_stft_loss(
    estimate: Recordings,
    reference: Recordings,
    lengths_samples: Lengths | None = None,
    resolutions: Sequence[Resolution] = RESOLUTIONS,
) -> Float[jax.Array, ""]:
    """Mean over resolutions of spectral convergence + log-magnitude distance. Blind to phase, not to loudness.

        | |S| - |E| |_F / | |S| |_F  +  mean |log |S| - log |E||,   E, S: spectra of estimate and reference

    Norms and means are over the whole batch, so that a silent reference among others is no division by 0.
    Magnitudes below 10^-3.5 count as that.

    Source: Yamamoto et al., "Parallel WaveGAN: a fast waveform generation model based on generative adversarial
    networks with multi-resolution spectrogram", ICASSP 2020; its three resolutions are the default.

    Args:
        estimate, reference, lengths_samples: see `si_sdr_db`.
        resolutions: of the spectra, one or more.
    """
    cut = _cut(estimate, reference, lengths_samples)
    return jnp.mean(jnp.stack([_stft_loss(*cut, resolution) for resolution in resolutions]))


def _stft_loss(
    estimate: Recordings, reference: Recordings, lengths: Lengths, resolution: Resolution
) -> Float[jax.Array, ""]:
    found, wanted = _magnitudes(estimate, resolution), _magnitudes(reference, resolution)
    counted = _counted_frames(wanted, lengths, resolution)
    distance = weighted_mean(jnp.mean((wanted - found) ** 2, axis=-1), counted)
    size = weighted_mean(jnp.mean(wanted**2, axis=-1), counted)
    # The root of a plain 0 has no finite slope, and a perfect estimate is one.
    convergence = jnp.sqrt(distance / jnp.maximum(size, MAGNITUDE_FLOOR**2) + 1e-12)
    return convergence + weighted_mean(jnp.mean(jnp.abs(jnp.log(wanted / found)), axis=-1), counted)


def compressed_spectrum_loss(
    estimate: Recordings,
    reference: Recordings,
    lengths_samples: Lengths | None = None,
    resolution: Resolution = Resolution(512, 128, 512),
    compression: float = 0.3,
    complex_share: float = 0.3,
) -> Float[jax.Array, ""]:
    """Mean square distance of compressed spectra, with their phases and without.

        r mean |S |S|^(c-1) - E |E|^(c-1)|^2  +  (1 - r) mean (|S|^c - |E|^c)^2,   c: compression, r: complex_share

    E and S are the spectra of estimate and reference, both divided by the reference's root mean square level (1e-3 at
    least), so that quiet recordings count as loud ones do. Compression lets the soft parts of speech count.

    Sources: Ephrat et al., "Looking to listen at the cocktail party", 2018 (compression); Braun and Tashev, "Data
    augmentation and loss normalization for deep noise suppression", 2020 (level, both terms, their shares).

    Args:
        estimate, reference, lengths_samples: see `si_sdr_db`.
        resolution: of the spectra.
        compression: exponent of magnitudes, in (0, 1].
        complex_share: share of the term that sees phases, in [0, 1].
    """
    estimate, reference, lengths = _cut(estimate, reference, lengths_samples)
    level = _level(reference, lengths)[:, None]
    found, found_size = _compressed(_spectra(estimate / level, resolution), compression)
    wanted, wanted_size = _compressed(_spectra(reference / level, resolution), compression)
    distances = complex_share * _power(wanted - found) + (1 - complex_share) * (wanted_size - found_size) ** 2
    return weighted_mean(jnp.mean(distances, axis=-1), _counted_frames(distances, lengths, resolution))


def _compressed(spectra: Spectra, compression: float) -> tuple[Spectra, Magnitudes]:
    # Without the small constant the slope at silence is infinite.
    power = _power(spectra) + 1e-8
    return spectra * power ** ((compression - 1) / 2), power ** (compression / 2)


def _level(x: Recordings, lengths: Lengths) -> Float[jax.Array, "batch"]:
    return jnp.sqrt(jnp.maximum(_energy(x) / jnp.maximum(lengths, 1), QUIETEST_LEVEL**2))


def _spectra(x: Recordings, resolution: Resolution) -> Spectra:
    """Spectra of windows centred at 0, hop, 2 hop, ...; around the recording there are zeros."""
    window, hop = resolution.window, resolution.hop
    frames, overlap = -(-x.shape[1] // hop), -(-window // hop)
    before = window // 2
    after = (frames + overlap - 1) * hop - x.shape[1] - before
    hops = jnp.pad(x, ((0, 0), (before, after))).reshape(len(x), -1, hop)
    segments = jnp.concatenate([hops[:, k : k + frames] for k in range(overlap)], axis=-1)[..., :window]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return jnp.fft.rfft(segments * hann.astype(np.float32), n=resolution.n_fft)


def _magnitudes(x: Recordings, resolution: Resolution) -> Magnitudes:
    return jnp.sqrt(jnp.maximum(_power(_spectra(x, resolution)), MAGNITUDE_FLOOR**2))


def _counted_frames(frames: Magnitudes, lengths: Lengths, resolution: Resolution) -> Float[jax.Array, "batch frames"]:
    """1 where the middle of a window lies within the recording, else 0."""
    middles = resolution.hop * jnp.arange(frames.shape[1])
    return (middles < lengths[:, None]).astype(jnp.float32)


def _cut(
    estimate: Recordings, reference: Recordings, lengths_samples: Lengths | None
) -> tuple[Recordings, Recordings, Lengths]:
    """Both with zeros instead of padding, and the lengths, which are those of the arrays where none are given."""
    batch, samples = reference.shape
    lengths = jnp.full(batch, samples) if lengths_samples is None else lengths_samples
    within = jnp.arange(samples) < lengths[:, None]
    estimate, reference = (jnp.where(within, x, 0).astype(jnp.float32) for x in (estimate, reference))
    return estimate, reference, lengths


def _energy(x: Recordings) -> Float[jax.Array, "batch"]:
    return jnp.sum(x**2, axis=1)


def _power(spectra: Spectra) -> Magnitudes:
    return jnp.real(spectra) ** 2 + jnp.imag(spectra) ** 2


__all__ = [
    "Resolution",
    "compressed_spectrum_loss",
    "multi_resolution_stft_loss",
    "si_sdr_db",
    "si_sdr_loss",
]
