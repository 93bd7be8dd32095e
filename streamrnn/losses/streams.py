"""Cross-entropies with one target for all frames of a stream, so that each frame learns to answer for the whole."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from streamrnn.losses.mean import Mean


def stream_cross_entropy(
    logits: Float[jax.Array, "batch time classes"],
    targets: Float[jax.Array, "batch classes"],
    weights: Float[jax.Array, "batch time"],
    label_smoothing: float = 0.0,
) -> Mean:
    """Mean over frames of -sum_c t[c] log softmax(logits)[c], weighted by frame.

    Targets are 1 for a stream's label. A stream without one is a stranger, whose target is every class alike
    (Hendrycks et al. 2019, "Deep anomaly detection with outlier exposure"). Smoothing s gives each class s / classes of
    a label's share. A weight of 0 excludes a frame, whatever stands there.
    """
    alike = 1 / logits.shape[-1]
    known = jnp.sum(targets, axis=-1, keepdims=True)
    smooth = (1 - label_smoothing) * targets + (known * label_smoothing + 1 - known) * alike
    logits = _counted(logits, weights)
    return Mean.of(optax.softmax_cross_entropy(logits, jnp.broadcast_to(smooth[:, None], logits.shape)), weights)


def stream_binary_cross_entropy(
    logits: Float[jax.Array, "batch time classes"],
    targets: Float[jax.Array, "batch classes"],
    weights: Float[jax.Array, "batch time"],
) -> Mean:
    """Mean over frames of the sum of each class's binary cross-entropy, for streams with any number of labels.

    Targets are 1 for each of a stream's labels, else 0; weights as of `stream_cross_entropy`.
    """
    logits = _counted(logits, weights)
    losses = optax.sigmoid_binary_cross_entropy(logits, jnp.broadcast_to(targets[:, None], logits.shape))
    return Mean.of(jnp.sum(losses, axis=-1), weights)


def _counted(logits: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.where(weights[..., None] > 0, logits, 0).astype(jnp.float32)


__all__ = ["stream_binary_cross_entropy", "stream_cross_entropy"]
