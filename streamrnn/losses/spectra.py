"""Common parts of the losses of sound: recordings cut to their lengths, and their short-time spectra."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float, Int

Waveforms = Float[jax.Array, "batch samples"]
Lengths = Int[jax.Array, "batch"]
Spectra = Complex[jax.Array, "batch frames bins"]
Magnitudes = Float[jax.Array, "batch frames bins"]

# Energy in samples squared; one step of 16 bits has 1e-9.
SILENT_ENERGY = 1e-12


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


def without_padding(
    estimate: Waveforms, reference: Waveforms, lengths_samples: Lengths | None
) -> tuple[Waveforms, Waveforms, Lengths]:
    """Both with zeros in place of the padding, and the lengths (default: those of the arrays)."""
    batch, samples = reference.shape
    lengths = jnp.full(batch, samples) if lengths_samples is None else lengths_samples
    within = jnp.arange(samples) < lengths[:, None]
    estimate, reference = (jnp.where(within, x, 0).astype(jnp.float32) for x in (estimate, reference))
    return estimate, reference, lengths


def energy_of(x: Waveforms) -> Float[jax.Array, "batch"]:
    return jnp.sum(x**2, axis=1)


def power_of(spectra: Spectra) -> Magnitudes:
    return jnp.real(spectra) ** 2 + jnp.imag(spectra) ** 2


def spectra_of(x: Waveforms, resolution: Resolution) -> Spectra:
    """Spectra of windows centred at 0, hop, 2 hop, ...; the recording is surrounded by zeros."""
    window, hop = resolution.window, resolution.hop
    frames, overlap = -(-x.shape[1] // hop), -(-window // hop)
    before = window // 2
    after = (frames + overlap - 1) * hop - x.shape[1] - before
    hops = jnp.pad(x, ((0, 0), (before, after))).reshape(len(x), -1, hop)
    segments = jnp.concatenate([hops[:, k : k + frames] for k in range(overlap)], axis=-1)[..., :window]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return jnp.fft.rfft(segments * hann.astype(np.float32), n=resolution.n_fft)


def counted_frames(frames: Magnitudes, lengths: Lengths, resolution: Resolution) -> Float[jax.Array, "batch frames"]:
    """1 for windows whose middle is within the recording, else 0."""
    middles = resolution.hop * jnp.arange(frames.shape[1])
    return (middles < lengths[:, None]).astype(jnp.float32)


__all__ = [
    "SILENT_ENERGY",
    "Lengths",
    "Magnitudes",
    "Resolution",
    "Spectra",
    "Waveforms",
    "counted_frames",
    "energy_of",
    "power_of",
    "spectra_of",
    "without_padding",
]
