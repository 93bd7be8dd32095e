"""Masks features in training, so that a model does not depend on any one of them."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Bool

from streamrnn.contract import Stateless
from streamrnn.shapes import Frames


class SpecAugment(Stateless):
    """Masks stretches of bands and of frames with zeros in training; changes nothing in eval mode.

    Each row of a batch has its own masks. Widths are drawn uniformly from 0 to the maximum, positions uniformly where
    they fit; masks may overlap. Put it after the features' normalisation, where zero is the value of an average frame.
    `model.eval()` switches it off and `model.train()` back on, as with Dropout.

    Args:
        bands: width of a frame, such as the number of mel bands.
        band_masks, band_width: number of masks over neighbouring bands in all frames, and their maximum width.
        time_masks, time_width_frames: number of masks over consecutive frames in all bands, and their maximum length,
            at most that of the recording.
        rngs: provides the stream "dropout".

    Raises:
        ValueError: a number is negative, or band_width is above bands.

    Source: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech recognition",
    without its time warping, which helps little according to the paper.
    """

    def __init__(
        self, bands: int, band_masks: int, band_width: int, time_masks: int, time_width_frames: int, *, rngs: nnx.Rngs
    ):
        if min(bands, band_masks, band_width, time_masks, time_width_frames) < 0 or band_width > bands:
            raise ValueError(
                f"SpecAugment got {band_masks} masks of {band_width} of {bands} bands and {time_masks} of "
                f"{time_width_frames} frames; no number may be negative, and band_width must be at most {bands}."
            )
        self.bands, self.band_masks, self.band_width = bands, band_masks, band_width
        self.time_masks, self.time_width_frames = time_masks, time_width_frames
        self.deterministic = False
        self.rngs = rngs.dropout.fork()

    def __call__(self, x: Frames) -> Frames:
        if self.deterministic:
            return x
        batch, time, bands = x.shape
        if bands != self.bands:
            raise ValueError(f"SpecAugment got frames of {bands} bands; it was built for {self.bands}.")
        band_key, time_key = jax.random.split(self.rngs())
        in_bands = _stretches(band_key, batch, self.band_masks, self.band_width, bands)
        in_time = _stretches(time_key, batch, self.time_masks, min(self.time_width_frames, time), time)
        return jnp.where(in_time[:, :, None] | in_bands[:, None, :], 0, x)


def _stretches(key: jax.Array, batch: int, count: int, greatest: int, length: int) -> Bool[jax.Array, "batch length"]:
    """A mask with `count` stretches per row, each 0 to `greatest` long, in rows of `length`."""
    width_key, place_key = jax.random.split(key)
    width = jax.random.randint(width_key, (batch, count, 1), 0, greatest + 1)
    start = jax.random.randint(place_key, (batch, count, 1), 0, length - width + 1)
    position = jnp.arange(length)
    return jnp.any((start <= position) & (position < start + width), axis=1)


__all__ = ["SpecAugment"]
