"""Levels above the noise floor of each band."""

import math

import jax
import jax.numpy as jnp

from streamrnn.contract import Layer
from streamrnn.shapes import Frames, State

# Level of a mel band in a quiet room.
QUIET_DB = -55.0


class AboveFloor(Layer):
    """Appends how far each band stands above its own noise floor: decibels[batch, time, bands] -> [.., 2 bands].

        d     = x - floor
        floor = floor + (1 - exp(-1 / T)) d,   T = fall_frames where d < 0, else rise_frames
        y     = [x, d]

    The floor falls fast and rises slowly, so it follows the noise between and below the words; a noise that begins
    stands above it for some seconds. Digital silence, a frame without a band above `silence_db`, leaves the floor as
    it is: a muted microphone says nothing about the room.

    State: the floor, float32[batch, bands].

    Source: continuous tracking of minima as in Doblinger, "Computationally efficient speech enhancement by spectral
    minima tracking in subbands", Eurospeech 1995, but in decibels.

    Args:
        bands: width of the frames.
        fall_frames, rise_frames: time constants of the floor, above 0.
        start_db: the floor of a fresh stream: that of a quiet room.
        silence_db: level of a band in digital silence.

    Raises:
        ValueError: a time constant is not positive.
    """

    def __init__(self, bands: int, fall_frames: float, rise_frames: float, start_db: float, silence_db: float):
        for name, frames in (("fall_frames", fall_frames), ("rise_frames", rise_frames)):
            if not frames > 0:
                raise ValueError(f"AboveFloor got {name} {frames}; a time constant is above 0. Pass for instance 10.")
        self.bands, self.start_db, self.silence_db = bands, start_db, silence_db
        self.fall, self.rise = (-math.expm1(-1 / frames) for frames in (fall_frames, rise_frames))

    def init_state(self, batch_size: int) -> State:
        return jnp.full((batch_size, self.bands), self.start_db, jnp.float32)

    def step(self, state: State, x: Frames) -> tuple[State, Frames]:
        state, above = self._follow(state, x[:, 0])
        return state, jnp.concatenate([x, above[:, None]], axis=-1)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        state, above = jax.lax.scan(self._follow, state, jnp.moveaxis(x, 1, 0))
        return state, jnp.concatenate([x, jnp.moveaxis(above, 0, 1)], axis=-1)

    def _follow(self, floor: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        above = x - floor
        speed = jnp.where(above < 0, self.fall, self.rise)
        heard = jnp.max(x, axis=-1, keepdims=True) > self.silence_db
        return floor + jnp.where(heard, speed * above, 0), above


def scaled_levels(x: jax.Array) -> jax.Array:
    """Decibels of mel bands, then decibels above their floors, each around 0 to 1 with a deviation of about 1."""
    decibels, above = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([(decibels + 30) / 25, above / 15], axis=-1)


__all__ = ["QUIET_DB", "AboveFloor", "scaled_levels"]
