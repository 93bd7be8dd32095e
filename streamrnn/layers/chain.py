"""Compositions of layers: in series, and with a skip connection."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import Cell
from streamrnn.contract import Layer
from streamrnn.layers.delay import Delay
from streamrnn.shapes import Block, Frames, OutputFrame, State


def require_layer(owner: str, layer: object) -> None:
    """Raises TypeError, with advice, if `layer` is not a Layer; `owner` is who received it."""
    if isinstance(layer, Layer):
        return
    if isinstance(layer, Cell):
        name = type(layer).__name__
        advice = f"a cell, which has no time axis. Run it in a layer: Recurrent({name}(...))."
    elif isinstance(layer, list | tuple):
        advice = "not a Layer. Pass layers one by one: Chain(*layers)."
    elif isinstance(layer, type):
        advice = "a class. Pass an instance, with its arguments."
    else:
        advice = "not a Layer. Apply(function) makes a layer of a function of frames."
    got = layer.__name__ if isinstance(layer, type) else f"a {type(layer).__name__}"
    raise TypeError(f"{owner} got {got}, {advice}")


class Chain(Layer):
    """Layers in series. Strides multiply; look-aheads add up, each times the stride before it.

    The state is the tuple of the layers' states. `scan` runs layer by layer, so each layer uses its own fast scan.

    Raises:
        TypeError: an argument is not a Layer, such as a cell.
        ValueError: the look-ahead is not a multiple of the stride, so outputs could not be aligned with inputs.
    """

    def __init__(self, *layers: Layer):
        for layer in layers:
            require_layer("Chain", layer)
        self.layers = nnx.List(layers)
        stride, lookahead = 1, 0
        for layer in layers:
            lookahead += layer.lookahead * stride
            stride *= layer.stride
        if lookahead % stride:
            raise ValueError(
                f"Chain has a look-ahead of {lookahead} input frames and a stride of {stride}; outputs can be "
                f"aligned with inputs only if it is a multiple of the stride. "
                f"Put Lookahead({-lookahead % stride}) in front."
            )
        self.stride, self.lookahead = stride, lookahead

    def init_state(self, batch_size: int) -> State:
        return tuple(layer.init_state(batch_size) for layer in self.layers)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        """One block of `stride` frames. A layer after a subsampling one gets fewer frames accordingly."""
        states = []
        for layer, layer_state in zip(self.layers, state, strict=True):
            run = layer.step if x.shape[1] == layer.stride else layer.scan
            layer_state, x = run(layer_state, x)
            states.append(layer_state)
        return tuple(states), x

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        states = []
        for layer, layer_state in zip(self.layers, state, strict=True):
            layer_state, x = layer.scan(layer_state, x)
            states.append(layer_state)
        return tuple(states), x


class Residual(Layer):
    """x + inner(x), with the skip delayed by the inner layer's look-ahead (He et al. 2016).

    Args:
        inner: a layer of stride 1 whose outputs are as wide as its inputs.
        features: that width; needed for the delay line if the inner layer has look-ahead.
        dtype: dtype of the frames, such as complex64 for spectra.

    Raises:
        TypeError: inner is not a Layer.
        ValueError: the inner layer's stride is not 1.
    """

    def __init__(self, inner: Layer, features: int, *, dtype=jnp.float32):
        require_layer("Residual", inner)
        if inner.stride != 1:
            raise ValueError(
                f"Residual got a {type(inner).__name__} of stride {inner.stride}; a skip connection needs one output "
                "frame per input frame. Put the subsampling before or after the Residual."
            )
        self.inner = inner
        self.skip = Delay(inner.lookahead, features, dtype=dtype)
        self.lookahead = inner.lookahead

    def init_state(self, batch_size: int) -> State:
        return self.skip.init_state(batch_size), self.inner.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return _add(self.skip.step, self.inner.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return _add(self.skip.scan, self.inner.scan, state, x)


def _add(skip: Callable, inner: Callable, state: State, x: Frames) -> tuple[State, Frames]:
    skip_state, inner_state = state
    skip_state, skipped = skip(skip_state, x)
    inner_state, y = inner(inner_state, x)
    return (skip_state, inner_state), skipped + y


__all__ = ["Chain", "Residual", "require_layer"]
