"""Frequency bins averaged into bands spaced like the ear's, and bands expanded to bins.

Frames with several numbers per bin are flat like all frames, [batch, time, parts * bins]: all bins of the first part,
then all bins of the second.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from streamrnn.contract import Stateless, constant
from streamrnn.shapes import Frames


def band_weights(bins: int, bands: int, sample_rate: int) -> Float[np.ndarray, "bins bands"]:
    """The weight of each bin in each band: overlapping triangles that add up to 1 in every bin.

    Bin k is at k * sample_rate / (2 (bins - 1)) Hz. The peaks are evenly spaced on the scale of equivalent rectangular
    bandwidths, but at least one bin apart: low bands are single bins, high bands are wide.

    Source: Glasberg and Moore, "Derivation of auditory filter shapes from notched-noise data", 1990.

    Raises:
        ValueError: not 2 <= bands <= bins.
    """
    if not 2 <= bands <= bins:
        raise ValueError(f"{bins} bins can't be grouped into {bands} bands; there must be 2 to {bins}.")
    hz = np.linspace(0, sample_rate / 2, bins)
    steps = np.diff(21.4 * np.log10(1 + 0.00437 * hz))
    place = np.concatenate([[0.0], np.cumsum(np.minimum(_scale(steps, bands - 1) * steps, 1.0))])
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(bands))).astype(np.float32)


def _scale(steps: np.ndarray, total: int) -> float:
    """The factor for positive steps, capped at 1, to add up to `total`; by bisection, since the sum is monotonic."""
    low, high = 0.0, 1 / float(steps.min())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * steps, 1.0).sum() < total else (low, middle)
    return high


class GatherBands(Stateless):
    """The mean of each band: x[batch, time, parts * bins] -> y[batch, time, parts * bands].

    Args:
        parts: numbers per bin.
        bins, bands, sample_rate: see `band_weights`.

    Raises:
        ValueError: see `band_weights`.
    """

    def __init__(self, parts: int, bins: int, bands: int, sample_rate: int):
        self.parts = parts
        self.weights = constant(lambda: _means(band_weights(bins, bands, sample_rate)), (bins, bands))

    def __call__(self, x: Frames) -> Frames:
        return _each_part(x, self.parts, self.weights[...])


class SpreadBands(Stateless):
    """Expands bands to bins: x[batch, time, parts * bands] -> y[batch, time, parts * bins].

    Args:
        parts: numbers per band.
        bins, bands, sample_rate: see `band_weights`.

    Raises:
        ValueError: see `band_weights`.
    """

    def __init__(self, parts: int, bins: int, bands: int, sample_rate: int):
        self.parts = parts
        self.weights = constant(lambda: band_weights(bins, bands, sample_rate).T, (bands, bins))

    def __call__(self, x: Frames) -> Frames:
        return _each_part(x, self.parts, self.weights[...])


def _means(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=0)


def _each_part(x: Frames, parts: int, matrix: Float[Array, "from to"]) -> Frames:
    batch, time, _ = x.shape
    before, after = matrix.shape
    return jnp.matmul(x.reshape(batch, time, parts, before), matrix).reshape(batch, time, parts * after)


__all__ = ["GatherBands", "SpreadBands", "band_weights"]
