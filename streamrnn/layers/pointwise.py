"""Layers that process each frame independently: Flax's layers under the contract."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from streamrnn.contract import Stateless


class Dense(nnx.Linear, Stateless):
    """y = W x + b for each frame; arguments as for flax.nnx.Linear."""


class LayerNorm(nnx.LayerNorm, Stateless):
    """Ba et al. 2016, "Layer normalization", over each frame's features; arguments as for flax.nnx.LayerNorm."""


class RMSNorm(nnx.RMSNorm, Stateless):
    """Zhang and Sennrich 2019, "Root mean square layer normalization"; arguments as for flax.nnx.RMSNorm."""


class Dropout(nnx.Dropout, Stateless):
    """Srivastava et al. 2014, "Dropout"; arguments as for flax.nnx.Dropout. `model.eval()` switches it off.

    Raises:
        ValueError: the rate is not in [0, 1): at 1 there is nothing left to learn from.
    """

    def __init__(self, rate: float, **options: Any):
        if not 0 <= rate < 1:
            raise ValueError(f"dropout is {rate}; it must be the share of inputs to drop, from 0 to below 1.")
        super().__init__(rate, **options)


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
