"""Streams of unequal length side by side, padded on the right."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int


def padded(rows: Sequence[np.ndarray], frames: int, padding: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows [time, features] as one array [rows, frames, features] and their lengths, int32[rows].

    Rows that are longer are cut. Causal layers are not changed by what comes after a row's end, so that the outputs up
    to there are those of the row alone.
    """
    whole = np.full((len(rows), frames, *rows[0].shape[1:]), padding, rows[0].dtype)
    for place, row in zip(whole, rows, strict=True):
        place[: len(row)] = row[:frames]
    return whole, np.array([min(len(row), frames) for row in rows], np.int32)


def within(lengths: Int[jax.Array, "batch"], frames: int) -> Float[jax.Array, "batch frames"]:
    """1 for the frames of a row, 0 for its padding."""
    return (jnp.arange(frames) < lengths[:, None]).astype(jnp.float32)


def last(lengths: Int[jax.Array, "batch"], frames: int) -> Float[jax.Array, "batch frames"]:
    """1 for the last frame of a row, else 0."""
    return (jnp.arange(frames) == lengths[:, None] - 1).astype(jnp.float32)


__all__ = ["last", "padded", "within"]
