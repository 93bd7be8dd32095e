"""CTC: the loss of a label sequence without times, with at most one symbol per frame."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from streamrnn.losses.frames import with_a_frame
from streamrnn.losses.mean import Mean

# optax's own -1e5 can exceed a true path of very confident logits; the sum of two of these is still a float32.
LOG_ZERO = -1e30


def ctc_loss(
    logits: Float[jax.Array, "batch time symbols"],
    labels: Int[jax.Array, "batch labels"],
    frame_lengths: Int[jax.Array, "batch"],
    label_lengths: Int[jax.Array, "batch"],
    blank: int = 0,
) -> Mean:
    """Connectionist temporal classification: mean over sequences of -log p(labels) per label.

        p(labels) = sum over all paths that reduce to the labels of prod_t softmax(logits[t])[path[t]]

    A path reduces to labels by merging repetitions and dropping blanks. Each sequence's loss is divided by its number
    of labels (by 1 if there are none) before the mean is taken.

    A sequence without frames, or with fewer than it needs (one per label and one more between equal neighbours), has no
    path. It is left out of the mean; if all are, the loss is 0.

    Source: Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent
    neural networks", ICML 2006.

    Args:
        logits: unnormalised log-probabilities of the symbols, per frame.
        labels: symbols other than blank, padded on the right with anything.
        frame_lengths: frames of each sequence, at most `time`, else the loss is NaN.
        label_lengths: labels of each sequence, at most `labels`, else the loss is NaN.
        blank: id of the blank symbol.
    """
    fits = (frame_lengths <= logits.shape[1]) & (label_lengths <= labels.shape[1])
    logits = with_a_frame(logits)
    beyond_frames = jnp.arange(logits.shape[1]) >= frame_lengths[:, None]
    beyond_labels = jnp.arange(labels.shape[1]) >= label_lengths[:, None]
    possible = frame_lengths >= _frames_needed(labels, beyond_labels)
    # optax multiplies by paddings, and the fast default matmuls of GPUs and TPUs would round log-probabilities.
    with jax.default_matmul_precision("highest"):
        losses = optax.ctc_loss(
            jnp.where(beyond_frames[..., None], 0, logits).astype(jnp.float32),
            beyond_frames.astype(jnp.float32),
            jnp.where(beyond_labels, blank, labels),
            beyond_labels.astype(jnp.float32),
            blank_id=blank,
            log_epsilon=LOG_ZERO,
        )
    losses = jnp.where(fits, losses / jnp.maximum(label_lengths, 1), jnp.nan)
    return Mean.of(losses, possible.astype(jnp.float32))


def _frames_needed(
    labels: Int[jax.Array, "batch labels"], beyond: Bool[jax.Array, "batch labels"]
) -> Int[jax.Array, "batch"]:
    """One frame per label and one blank between equal neighbours; at least one frame."""
    repeats = (labels[:, 1:] == labels[:, :-1]) & ~beyond[:, 1:]
    return jnp.maximum(jnp.sum(~beyond, axis=1) + jnp.sum(repeats, axis=1), 1)


__all__ = ["ctc_loss"]
