"""RNN transducer: the loss of a label sequence without times, with any number of symbols per frame."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from streamrnn.losses.frames import with_a_frame

# Finite, unlike -inf, so that gradients of nodes that no path reaches are 0 and not NaN.
LOG_ZERO = -1e30


def transducer_loss(
    logits: Float[jax.Array, "batch time nodes symbols"],
    labels: Int[jax.Array, "batch labels"],
    frame_lengths: Int[jax.Array, "batch"],
    label_lengths: Int[jax.Array, "batch"],
    blank: int = 0,
) -> Float[jax.Array, "batch"]:
    """RNN transducer: -log p(labels) of each sequence, summed over all alignments, in nats.

    At node (t, u) the model is at frame t after u labels. It outputs the next label and moves to (t, u + 1), or blank
    and moves to (t + 1, u). An alignment is a path from (0, 0) through the last node that ends with the blank there.

        alpha(t, u) = alpha(t - 1, u) p(blank | t - 1, u) + alpha(t, u - 1) p(label[u] | t, u - 1)
        p(labels)   = alpha(T - 1, U) p(blank | T - 1, U)

    Nodes with equal t + u depend only on those one step before, so a scan over these diagonals computes each one in
    parallel, for all sequences: time + labels steps, with sums of two numbers that lose no accuracy.

    A frame can have any number of labels. A sequence without frames has no alignment: its loss and its gradient are 0.

    Source: Graves, "Sequence transduction with recurrent neural networks", 2012, equations 16 to 18.

    Args:
        logits: unnormalised log-probabilities of all symbols at every node; `nodes` is labels + 1.
        labels: symbols other than blank, padded on the right with anything.
        frame_lengths: frames of each sequence, at most `time`, else its loss is NaN.
        label_lengths: labels of each sequence, at most `labels`, else its loss is NaN.
        blank: id of the symbol that moves to the next frame.

    Raises:
        ValueError: nodes is not labels + 1.
    """
    _check_nodes(logits.shape[2], labels.shape[1])
    # Indices beyond an array are clamped, so without this check wrong lengths would train a model on wrong data.
    fits = (frame_lengths <= logits.shape[1]) & (label_lengths <= labels.shape[1])
    logits = with_a_frame(logits)
    blanks, emissions = _log_transitions(logits, labels, frame_lengths, label_lengths, blank)
    log_alpha = _log_forward(blanks, emissions)
    row, last_frame = jnp.arange(len(labels)), jnp.maximum(frame_lengths - 1, 0)
    reached = log_alpha[last_frame + label_lengths, row, label_lengths]
    losses = jnp.where(frame_lengths > 0, -(reached + blanks[row, last_frame, label_lengths]), 0.0)
    return jnp.where(fits, losses, jnp.nan)


def _log_transitions(
    logits: Float[jax.Array, "batch time nodes symbols"],
    labels: Int[jax.Array, "batch labels"],
    frame_lengths: Int[jax.Array, "batch"],
    label_lengths: Int[jax.Array, "batch"],
    blank: int,
) -> tuple[Float[jax.Array, "batch time nodes"], Float[jax.Array, "batch time labels"]]:
    """Log-probabilities of blank at each node, and of the next label at each node but the last."""
    _, time, nodes, _ = logits.shape
    heard = jnp.arange(time) < frame_lengths[:, None]
    said = jnp.arange(nodes) <= label_lengths[:, None]
    inside = heard[:, :, None] & said[:, None, :]
    log_p = jax.nn.log_softmax(jnp.where(inside[..., None], logits, 0).astype(jnp.float32))
    next_label = jnp.where(said[:, 1:], labels, blank)
    emissions = jnp.take_along_axis(log_p[:, :, :-1], next_label[:, None, :, None], axis=-1)
    return log_p[..., blank], emissions[..., 0]


def _log_forward(
    blanks: Float[jax.Array, "batch time nodes"], emissions: Float[jax.Array, "batch time labels"]
) -> Float[jax.Array, "diagonals batch nodes"]:
    """log alpha(d - u, u) at [d, :, u]."""
    batch, time, nodes = blanks.shape
    n_diagonals = time + nodes - 1

    def advance(log_alpha, transitions):
        blank, emission = transitions
        said = jnp.pad(log_alpha[:, :-1] + emission, ((0, 0), (1, 0)), constant_values=LOG_ZERO)
        return jnp.logaddexp(log_alpha + blank, said), log_alpha

    start = jnp.full((batch, nodes), LOG_ZERO).at[:, 0].set(0.0)
    transitions = _diagonals(blanks, n_diagonals), _diagonals(emissions, n_diagonals)
    _, log_alpha = jax.lax.scan(advance, start, transitions)
    return log_alpha


def _diagonals(x: Float[jax.Array, "batch time nodes"], n: int) -> Float[jax.Array, "{n} batch nodes"]:
    """x[b, d - u, u] at [d, b, u], zeros if d - u is not a frame."""
    batch, time, nodes = x.shape
    # Rows are stored one longer than they are read, so each next row starts one place further to the right.
    rows = jnp.pad(jnp.swapaxes(x, 1, 2), ((0, 0), (0, 0), (0, n + 1 - time)))
    skewed = rows.reshape(batch, nodes * (n + 1))[:, : nodes * n].reshape(batch, nodes, n)
    return jnp.moveaxis(skewed, 2, 0)


def _check_nodes(nodes: int, n_labels: int) -> None:
    if nodes != n_labels + 1:
        raise ValueError(
            f"transducer_loss got logits at {nodes} label positions for {n_labels} labels; it needs {n_labels + 1}: "
            "before the first label and after each. Give the predictor a start symbol before the labels."
        )


__all__ = ["transducer_loss"]
