"""Losses of a recording against its reference. All take float32[batch, samples] in [-1, 1]."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float

from streamrnn.losses.frames import weighted_mean
from streamrnn.losses.mean import Mean
from streamrnn.losses.spectra import (
    SILENT_ENERGY,
    Lengths,
    Magnitudes,
    Resolution,
    Spectra,
    Waveforms,
    counted_frames,
    energy_of,
    power_of,
    spectra_of,
    without_padding,
)

# Share of the estimate's energy: SI-SDR is limited to 100 dB, which float32 still resolves.
RELATIVE_ENERGY_FLOOR = 1e-10
MAGNITUDE_FLOOR = 10**-3.5
# -60 dB: quieter recordings are compared as if they had this level.
QUIETEST_LEVEL = 1e-3

RESOLUTIONS = (Resolution(600, 120, 1024), Resolution(1200, 240, 2048), Resolution(240, 50, 512))
COMPRESSED_RESOLUTION = Resolution(512, 128, 512)


def batch_si_sdr_db(
    estimate: Waveforms, reference: Waveforms, lengths_samples: Lengths | None = None
) -> Float[jax.Array, "batch"]:
    """Scale-invariant signal-to-distortion ratio of each recording, in dB, from -100 to 100.

        10 log10(|a s|^2 / |a s - e|^2),   a = <e, s> / |s|^2,   e: estimate, s: reference

    The scale of the estimate does not matter; the mean is not subtracted. A silent reference gives -100 dB, or 0 dB if
    the estimate is silent, too. Gradients are finite everywhere.

    Source: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        estimate: output of the model.
        reference: the clean recording.
        lengths_samples: length of each recording without padding (default: all samples).
    """
    estimate, reference, _ = without_padding(estimate, reference, lengths_samples)
    reference_energy = energy_of(reference)
    audible = reference_energy > SILENT_ENERGY
    scale = jnp.sum(estimate * reference, axis=1) / jnp.where(audible, reference_energy, 1.0)
    target = jnp.where(audible, scale, 0.0)[:, None] * reference
    floor = RELATIVE_ENERGY_FLOOR * energy_of(estimate) + SILENT_ENERGY
    return 10 * jnp.log10((energy_of(target) + floor) / (energy_of(target - estimate) + floor))


def si_sdr_loss(estimate: Waveforms, reference: Waveforms, lengths_samples: Lengths | None = None) -> Mean:
    """Minus the mean of `batch_si_sdr_db`, over the recordings without a silent reference; 0 if there are none."""
    estimate, reference, _ = without_padding(estimate, reference, lengths_samples)
    audible = energy_of(reference) > SILENT_ENERGY
    return -Mean.of(batch_si_sdr_db(estimate, reference), audible.astype(jnp.float32))


def multi_resolution_stft_loss(
    estimate: Waveforms,
    reference: Waveforms,
    lengths_samples: Lengths | None = None,
    resolutions: Sequence[Resolution] = RESOLUTIONS,
) -> Float[jax.Array, ""]:
    """Mean over resolutions of spectral convergence + log-magnitude distance. Blind to phase, not to loudness.

        | |S| - |E| |_F / | |S| |_F  +  mean |log |S| - log |E||,   E, S: spectra of estimate and reference

    Norms and means are over the whole batch, so that a silent reference among others causes no division by 0.
    Norms are no means, so this loss is a plain scalar: with accumulation it is the mean of the parts' losses.
    Magnitudes below 10^-3.5 count as that.

    Source: Yamamoto et al., "Parallel WaveGAN: a fast waveform generation model based on generative adversarial
    networks with multi-resolution spectrogram", ICASSP 2020; its three resolutions are the default.

    Args:
        estimate, reference, lengths_samples: see `batch_si_sdr_db`.
        resolutions: of the spectra, one or more.
    """
    both = without_padding(estimate, reference, lengths_samples)
    return jnp.mean(jnp.stack([_stft_loss(*both, resolution) for resolution in resolutions]))


def _stft_loss(
    estimate: Waveforms, reference: Waveforms, lengths: Lengths, resolution: Resolution
) -> Float[jax.Array, ""]:
    found, wanted = _magnitudes(estimate, resolution), _magnitudes(reference, resolution)
    counted = counted_frames(wanted, lengths, resolution)
    distance = weighted_mean(jnp.mean((wanted - found) ** 2, axis=-1), counted)
    size = weighted_mean(jnp.mean(wanted**2, axis=-1), counted)
    # The root has no finite slope at 0, the distance of a perfect estimate.
    convergence = jnp.sqrt(distance / jnp.maximum(size, MAGNITUDE_FLOOR**2) + 1e-12)
    return convergence + weighted_mean(jnp.mean(jnp.abs(jnp.log(wanted / found)), axis=-1), counted)


def compressed_spectrum_loss(
    estimate: Waveforms,
    reference: Waveforms,
    lengths_samples: Lengths | None = None,
    resolution: Resolution = COMPRESSED_RESOLUTION,
    compression: float = 0.3,
    complex_share: float = 0.3,
) -> Mean:
    """Mean square distance of compressed spectra, with their phases and without.

        r mean |S |S|^(c-1) - E |E|^(c-1)|^2  +  (1 - r) mean (|S|^c - |E|^c)^2,   c: compression, r: complex_share

    E and S are the spectra of estimate and reference, both divided by the reference's root mean square level (1e-3 at
    least), so that quiet recordings count like loud ones. Compression gives the soft parts of speech more weight.

    Sources: Ephrat et al., "Looking to listen at the cocktail party", 2018 (compression); Braun and Tashev, "Data
    augmentation and loss normalization for deep noise suppression", 2020 (level, both terms, their shares).

    Args:
        estimate, reference, lengths_samples: see `batch_si_sdr_db`.
        resolution: of the spectra.
        compression: exponent of magnitudes, in (0, 1].
        complex_share: share of the term that depends on phases, in [0, 1].
    """
    estimate, reference, lengths = without_padding(estimate, reference, lengths_samples)
    level = _level(reference, lengths)[:, None]
    found, found_size = _compressed(spectra_of(estimate / level, resolution), compression)
    wanted, wanted_size = _compressed(spectra_of(reference / level, resolution), compression)
    distances = complex_share * power_of(wanted - found) + (1 - complex_share) * (wanted_size - found_size) ** 2
    return Mean.of(jnp.mean(distances, axis=-1), counted_frames(distances, lengths, resolution))


def _compressed(spectra: Spectra, compression: float) -> tuple[Spectra, Magnitudes]:
    # Without the small constant the slope at silence is infinite.
    power = power_of(spectra) + 1e-8
    return spectra * power ** ((compression - 1) / 2), power ** (compression / 2)


def _level(x: Waveforms, lengths: Lengths) -> Float[jax.Array, "batch"]:
    return jnp.sqrt(jnp.maximum(energy_of(x) / jnp.maximum(lengths, 1), QUIETEST_LEVEL**2))


def _magnitudes(x: Waveforms, resolution: Resolution) -> Magnitudes:
    return jnp.sqrt(jnp.maximum(power_of(spectra_of(x, resolution)), MAGNITUDE_FLOOR**2))


__all__ = [
    "batch_si_sdr_db",
    "compressed_spectrum_loss",
    "multi_resolution_stft_loss",
    "si_sdr_loss",
]
