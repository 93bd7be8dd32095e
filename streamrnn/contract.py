"""The contract that every layer, core and model fulfils.

A layer maps frames to frames. It runs in two ways that give the same outputs: `step` takes one block and the state,
`scan` takes many blocks at once. A layer's memory is its state, which it receives and returns; the layer itself never
changes. laws.py has the laws; tests/test_contract.py applies them to every layer and model.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.shapes import Block, Frames, OutputFrame, State


class Constant(nnx.Variable):
    """A fixed array (filterbank, window): stored with the weights, never trained."""


class Frozen(Constant):
    """A weight that another training found: stored with the weights, never trained here, and taken over by a model that
    starts from this one."""


def constant(design, shape: tuple[int, ...], dtype=jnp.float32) -> Constant:
    """A `Constant` of `shape`, computed with NumPy by `design()` only when a layer is actually built.

    Building a model abstractly (`nnx.eval_shape`, as for loading weights) never calls `design`. So running a model
    starts sooner and does not need the packages used in its design (scipy for deltas).
    """
    return Constant(jax.pure_callback(design, jax.ShapeDtypeStruct(shape, dtype)))


class Layer(nnx.Module):
    """Frames in, frames out, with an explicit state.

    Attributes:
        stride: input frames consumed per output frame.
        lookahead: lag of outputs behind inputs, in input frames; the first `lookahead / stride` outputs are warm-up.
        padding: value of the input frames that are appended to the end of a recording.

    Subclasses define `init_state` and `step`. They inherit `scan` and override it only for speed.
    """

    stride: int = 1
    lookahead: int = 0
    padding: float = 0.0

    def init_state(self, batch_size: int) -> State:
        """The state of `batch_size` fresh streams. Every leaf has the stream as axis 0. Stateless layers have ()."""
        return ()

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        """One block: x[batch, stride, in] -> (state, y[batch, 1, out])."""
        raise NotImplementedError(f"{type(self).__name__} defines no step")

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        """Many blocks: x[batch, time, in] -> (state, y[batch, time/stride, out]).

        Raises:
            ValueError: time is not a multiple of stride.
        """
        blocks = split_blocks(self, x)
        state, y = jax.lax.scan(self.step, state, jnp.moveaxis(blocks, 1, 0))
        return state, jnp.moveaxis(y[:, :, 0], 0, 1)


class Stateless(Layer):
    """A layer that maps each frame independently: define `__call__`, inherit `step` and `scan`."""

    def __call__(self, x: Frames) -> Frames:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__")

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return state, self(x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return state, self(x)


def split_blocks(layer: Layer, x: Frames) -> jax.Array:
    """x[batch, time, in] -> [batch, time/stride, stride, in].

    Raises:
        ValueError: time is not a multiple of the layer's stride.
    """
    batch, time, features = x.shape
    if time % layer.stride:
        raise ValueError(
            f"{type(layer).__name__}.scan got {time} frames; it consumes {layer.stride} per step. "
            f"Pass a multiple of {layer.stride}, or let streamrnn.Stream do the chunking."
        )
    return x.reshape(batch, time // layer.stride, layer.stride, features)


def remembered(past: State, x: Frames) -> State:
    """The latest frames of past[batch, frames, features] and x[batch, time, features], as many as past has, in its
    dtype.

    Equals a slice of their concatenation, for which XLA on CPUs would emit a loop that checks for every number where it
    comes from.
    """
    frames, time = past.shape[1], x.shape[1]
    newest = x[:, max(0, time - frames) :].astype(past.dtype)
    return jnp.concatenate([past[:, time:], newest], axis=1)


def aligned(layer: Layer, x: Frames) -> Frames:
    """The layer's outputs for whole recordings, each output frame aligned with its input frames.

    This is the one offline call: training, whole files and tests use it. It appends `lookahead` input frames of the
    layer's `padding`, scans, and drops the warm-up: x[batch, time, in] -> y[batch, time/stride, out].

    Raises:
        ValueError: time is not a multiple of the layer's stride.
    """
    x = jnp.asarray(x)
    padding = jnp.asarray(layer.padding, x.dtype)
    padded = jnp.pad(x, ((0, 0), (0, layer.lookahead), (0, 0)), constant_values=padding)
    _, y = layer.scan(layer.init_state(x.shape[0]), padded)
    return y[:, layer.lookahead // layer.stride :]


__all__ = ["Constant", "Frozen", "Layer", "Stateless", "aligned", "constant", "remembered", "split_blocks"]
