"""Layers that treat each frame independently: Flax's layers under the contract."""

from collections.abc import Callable

import jax
from flax import nnx

from streamrnn.contract import Stateless


class Dense(nnx.Linear, Stateless):
    """y = W x + b for each frame; arguments as flax.nnx.Linear."""


class LayerNorm(nnx.LayerNorm, Stateless):
    """Ba et al. 2016, "Layer normalization", over each frame's features; arguments as flax.nnx.LayerNorm."""


class RMSNorm(nnx.RMSNorm, Stateless):
    """Zhang and Sennrich 2019, "Root mean square layer normalization"; arguments as flax.nnx.RMSNorm."""


class Dropout(nnx.Dropout, Stateless):
    """Srivastava et al. 2014, "Dropout"; arguments as flax.nnx.Dropout. `model.eval()` switches it off."""


class Apply(Stateless):
    """A function of frames as a layer: Apply(jax.nn.relu).

    Args:
        function: maps x[batch, time, in] to y[batch, time, out], each frame independently, without parameters.
    """

    def __init__(self, function: Callable[[jax.Array], jax.Array]):
        self.function = function

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)


__all__ = ["Apply", "Dense", "Dropout", "LayerNorm", "RMSNorm"]
