"""What training makes small."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float


def frame_binary_cross_entropy(
    logits: Float[jax.Array, "batch time"],
    targets: Float[jax.Array, "batch time"],
    weights: Float[jax.Array, "batch time"],
) -> jax.Array:
    """Mean over frames of -[t log p + (1 - t) log(1 - p)], p = sigmoid(logits), each frame counted by its weight.

    Targets are in [0, 1], weights 0 or above. A weight of 0 leaves a frame out (padding, unknown truth); where all are
    0, so is the loss.
    """
    losses = optax.sigmoid_binary_cross_entropy(logits, targets)
    total = jnp.sum(weights)
    return jnp.sum(losses * weights) / jnp.where(total > 0, total, 1.0)


__all__ = ["frame_binary_cross_entropy"]
