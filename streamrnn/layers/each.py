"""One layer shared by all features."""

from typing import Any

import jax
import jax.numpy as jnp

from streamrnn.contract import Layer
from streamrnn.shapes import Block, Frames, OutputFrame, State


class PerFeature(Layer):
    """Runs a layer of one input on each feature separately, with shared weights: [batch, time, features] ->
    [batch, time/stride, features out], the outputs of the first feature first.

    The state's leaves are the layer's, [batch, features, ...].

    Args:
        layer: takes frames of one number.
        features: width of a frame.

    Source: Nie et al. 2023, "A time series is worth 64 words", section 3.1 (channel independence).
    """

    def __init__(self, layer: Layer, features: int):
        self.layer, self.features = layer, features
        self.stride, self.lookahead = layer.stride, layer.lookahead

    def init_state(self, batch_size: int) -> State:
        return self._apart(self.layer.init_state(batch_size * self.features), batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._each(self.layer.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._each(self.layer.scan, state, x)

    def _each(self, run, state: State, x: Frames) -> tuple[State, Frames]:
        batch, time, features = x.shape
        rows = jnp.swapaxes(x, 1, 2).reshape(batch * features, time, 1)
        joined = jax.tree.map(lambda leaf: leaf.reshape(batch * features, *leaf.shape[2:]), state)
        joined, y = run(joined, rows)
        y = jnp.swapaxes(y.reshape(batch, features, *y.shape[1:]), 1, 2)
        return self._apart(joined, batch), y.reshape(batch, y.shape[1], features * y.shape[3])

    def _apart(self, state: State, batch: Any) -> State:
        # `batch` is not an int when an export traces it for any batch.
        return jax.tree.map(lambda leaf: leaf.reshape(batch, self.features, *leaf.shape[1:]), state)


__all__ = ["PerFeature"]
