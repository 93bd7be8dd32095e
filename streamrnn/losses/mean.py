"""A loss before it is divided, so that the parts of a batch add up to the whole."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Num

Scalars = tuple[Float[jax.Array, ""], ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mean:
    """Weighted means, added up: sum_k sums[k] / weights[k], where a mean of weight 0 counts as 0.

    Parts of a batch rarely weigh the same: their frames, symbols or audible recordings differ in number, so that the
    mean of their means is not that of the whole batch. Kept apart, sums and weights add up: see `over`. Means can be
    added, and multiplied by numbers; `value` is the loss.

    Attributes:
        sums, weights: float32 scalars. Weights are 0 or above, and do not depend on what is learned.
    """

    sums: Scalars
    weights: Scalars

    @classmethod
    def of(cls, x: Float[jax.Array, "*axes"], weights: Num[jax.Array, "*axes"]) -> "Mean":
        """The mean of x, each number counted by its weight; what has no weight does not count, NaN included."""
        return cls((jnp.sum(jnp.where(weights > 0, x, 0) * weights),), (jnp.sum(weights).astype(jnp.float32),))

    @property
    def value(self) -> Float[jax.Array, ""]:
        """The loss, a scalar."""
        return self.over(self.weights)

    def over(self, weights: Scalars) -> Float[jax.Array, ""]:
        """What these sums contribute to the loss of a batch whose weights are those."""
        parts = (part / jnp.where(weight > 0, weight, 1.0) for part, weight in zip(self.sums, weights, strict=True))
        return jax.tree.reduce(jnp.add, list(parts))

    def __add__(self, other: "Mean") -> "Mean":
        return Mean(self.sums + other.sums, self.weights + other.weights)

    def __mul__(self, factor: Any) -> "Mean":
        return Mean(tuple(factor * part for part in self.sums), self.weights)

    __rmul__ = __mul__

    def __neg__(self) -> "Mean":
        return -1.0 * self


__all__ = ["Mean"]
