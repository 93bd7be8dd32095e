"""Cross-entropies with one label per frame."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int, Num

from streamrnn.losses.mean import Mean


def frame_binary_cross_entropy(
    logits: Float[jax.Array, "batch time"],
    targets: Float[jax.Array, "batch time"],
    weights: Float[jax.Array, "batch time"],
    label_smoothing: float = 0.0,
) -> Mean:
    """Mean over frames of -[t log p + (1 - t) log(1 - p)], p = sigmoid(logits), weighted by frame.

    Targets are in [0, 1], weights 0 or above. A weight of 0 excludes a frame (padding, unknown truth); if all are 0,
    the loss is 0. Smoothing s moves targets towards 1/2: t becomes (1 - s) t + s / 2.
    """
    logits = jnp.where(weights > 0, logits, 0).astype(jnp.float32)
    targets = (1 - label_smoothing) * targets + label_smoothing / 2
    return Mean.of(optax.sigmoid_binary_cross_entropy(logits, targets), weights)


def frame_cross_entropy(
    logits: Float[jax.Array, "batch time classes"],
    labels: Int[jax.Array, "batch time"],
    weights: Float[jax.Array, "batch time"],
    label_smoothing: float = 0.0,
) -> Mean:
    """Mean over frames of -log p[label], p = softmax(logits), weighted by frame.

    Labels are in [0, classes), weights 0 or above. A weight of 0 excludes a frame; if all are 0, the loss is 0.
    Smoothing s gives each class s / classes of the label's share (Szegedy et al., "Rethinking the Inception
    architecture", 2016).
    """
    logits = jnp.where(weights[..., None] > 0, logits, 0)
    return Mean.of(cross_entropy(logits, labels, label_smoothing), weights)


def cross_entropy(
    logits: Float[jax.Array, "*axes classes"], labels: Int[jax.Array, "*axes"], label_smoothing: float
) -> Float[jax.Array, "*axes"]:
    """-log softmax(logits)[label] with label smoothing, without a mean."""
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
    return optax.softmax_cross_entropy(logits.astype(jnp.float32), targets)


def weighted_mean(
    x: Float[jax.Array, "*axes"], weights: Num[jax.Array, "*axes"], axis: int | None = None
) -> Float[jax.Array, "*rest"]:
    """sum(weights x) / sum(weights) along an axis or over all; 0 if all weights are 0."""
    total = jnp.sum(weights, axis)
    weighted = jnp.where(weights > 0, x, 0) * weights
    return jnp.sum(weighted, axis) / jnp.where(total > 0, total, 1.0)


def with_a_frame(x: jax.Array, axis: int = 1) -> jax.Array:
    """x, or one frame of zeros where there is none: what has no frame has no weight, and yet a loss of 0."""
    if x.shape[axis]:
        return x
    return jnp.zeros((*x.shape[:axis], 1, *x.shape[axis + 1 :]), x.dtype)


def highest(x: Float[jax.Array, "..."], axis: int) -> Float[jax.Array, "..."]:
    """The highest number along an axis, whose gradient goes to the first such number.

    That of jnp.max looks for the numbers that equal the highest one and divides by their count. A compiler may compute
    them anew and round in another way; then there are none, and the gradient is NaN.
    """
    where = jnp.expand_dims(jnp.argmax(x, axis=axis), axis)
    return jnp.squeeze(jnp.take_along_axis(x, where, axis=axis), axis)


__all__ = [
    "cross_entropy",
    "frame_binary_cross_entropy",
    "frame_cross_entropy",
    "highest",
    "weighted_mean",
    "with_a_frame",
]
