"""Delays of frames, and look-ahead through delayed targets."""

import jax.numpy as jnp

from streamrnn.contract import Layer, Stateless, remembered
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Delay(Layer):
    """Delays each frame by `frames` steps, starting with zeros. The look-ahead is that delay: aligned() undoes it.

    Args:
        frames: the delay, 0 or more.
        features: width of a frame.
        dtype: dtype of the frames, such as complex64 for spectra.

    The state is the delayed frames, [batch, frames, features], of that dtype.

    Raises:
        ValueError: frames is negative; in step and scan, frames are complex but dtype is not.
    """

    def __init__(self, frames: int, features: int, *, dtype=jnp.float32):
        if frames < 0:
            raise ValueError(f"Delay got frames={frames}; it must be 0 or more: the future is not available.")
        self.lookahead, self.features, self.dtype = frames, features, dtype

    def init_state(self, batch_size: int) -> State:
        return jnp.zeros((batch_size, self.lookahead, self.features), self.dtype)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.scan(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        if jnp.iscomplexobj(x) and not jnp.iscomplexobj(state):
            raise ValueError(
                f"Delay got {x.dtype} frames; it was made for {state.dtype}. Make it with dtype={x.dtype}."
            )
        line = jnp.concatenate([state, x.astype(state.dtype)], axis=1)
        time = x.shape[1]
        return remembered(state, x), line[:, :time].astype(x.dtype)


class Lookahead(Stateless):
    """Lets the following layers see `frames` more frames before their output: training with delayed targets.

    Frames pass unchanged; only the declared look-ahead changes, and with it which output belongs to which input
    (Graves and Schmidhuber 2005, "Framewise phoneme classification").

    Raises:
        ValueError: frames is negative.
    """

    def __init__(self, frames: int):
        if frames < 0:
            raise ValueError(f"Lookahead got frames={frames}; it must be 0 or more.")
        self.lookahead = frames

    def __call__(self, x: Frames) -> Frames:
        return x


__all__ = ["Delay", "Lookahead"]
