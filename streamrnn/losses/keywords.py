"""Max-pooling losses: one label per clip, or per place in running sound, taken from its most confident frame."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from streamrnn.losses.frames import cross_entropy, highest, weighted_mean, with_a_frame
from streamrnn.losses.mean import Mean

# Finite, unlike -inf, so that the difference of two is not NaN.
LOG_ZERO = -1e30
# Of each row, the frames that come closest to a false alarm.
HARD_FRAMES = 5


def max_pooling_loss(
    logits: Float[jax.Array, "batch time classes"],
    labels: Int[jax.Array, "batch"],
    weights: Float[jax.Array, "batch time"],
    smoothing_frames: int,
    label_smoothing: float = 0.0,
    detection_share: float = 0.0,
) -> Mean:
    """Mean over clips of -log(s[label] / sum_c s[c]), with s[c] the highest smoothed posterior of word c.

        p[t] = softmax(logits[t])
        s[c] = max over weighted t of mean(p[t - smoothing_frames + 1], ..., p[t])[c],   c = 1, 2, ...

    So training scores a clip as it is classified later: by its highest smoothed posterior, wherever the word is. Class
    0, silence, is part of the softmax but does not compete. Before the clip all posteriors are 0. The loss of a clip
    with label 0 is the mean of -log p[t, 0] over its weighted frames.

    Source: Sun et al., "Max-pooling loss training of long short-term memory networks for small-footprint keyword
    spotting", SLT 2016, with smoothed posteriors in place of single frames.

    Args:
        logits: class 0 is silence, the others are words; at least two words.
        labels: the clip's class, in [0, classes).
        weights: above 0 in frames in which the word may be detected, else 0; the values matter only in clips of
            silence. Frames of weight 0 are never chosen, but smoothing includes those before a chosen frame. Frames
            after the last weighted one don't count at all. A clip without any weighted frame is left out of the mean.
        smoothing_frames: frames averaged, at least 1.
        label_smoothing: share of the label that is spread evenly over all competing classes.
        detection_share: share of -log s[label] in the loss of a word, in [0, 1]. This is the loss of the source. It
            includes silence, so scores reach a threshold; the competition alone only decides between words.

    Raises:
        ValueError: there are fewer than two words, or smoothing_frames is below 1.
    """
    _check(logits.shape[-1], smoothing_frames)
    logits, weights = with_a_frame(logits), with_a_frame(weights)
    log_p = _log_posteriors(logits, heard=jax.lax.cummax(weights, axis=1, reverse=True) > 0)
    scores = _log_pooled(log_p, weights > 0, smoothing_frames)
    compared = cross_entropy(scores[:, 1:], labels - 1, label_smoothing)
    own = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0] - math.log(smoothing_frames)
    word_losses = (1 - detection_share) * compared - detection_share * own
    silence = jnp.zeros(weights.shape, labels.dtype)
    silence_losses = weighted_mean(cross_entropy(log_p, silence, label_smoothing), weights, axis=1)
    losses = jnp.where(labels == 0, silence_losses, word_losses)
    return Mean.of(losses, jnp.any(weights > 0, axis=1).astype(losses.dtype))


def spotting_loss(
    logits: Float[jax.Array, "batch time classes"],
    labels: Int[jax.Array, "batch words"],
    places: Bool[jax.Array, "batch words time"],
    weights: Float[jax.Array, "batch time"],
    quiet: Bool[jax.Array, "batch time"],
    smoothing_frames: int,
    label_smoothing: float = 0.0,
    detection_share: float = 0.0,
    hardness: float = 1.0,
) -> Mean:
    """Loss of a word per word said in running sound, and of all that is none per row, added up.

        said  = max_pooling_loss of each word over the frames of its place
        alarm = -log(p[silence] + p[unknown]), times the weight of the frame
        none  = mean of alarm, -log p[silence] in its place where nobody speaks, + hardness x mean of the five highest

    So the frames between words have a gradient, too, above all the few that come closest to a false alarm.

    Source: see max_pooling_loss and wake_loss.

    Args:
        logits: class 0 is silence, class 1 unknown words.
        labels: class of each word, from 1 on.
        places: the frames in which each word may be decided; all False: there is none. Smoothing includes the
            frames before a place; before the row all posteriors are 0.
        weights: how sure it is that a frame decides no word, 0 where a word may be.
        quiet: frames in which nobody speaks.
        smoothing_frames, label_smoothing, detection_share: see max_pooling_loss; words of class 1 have no share of
            detection.
        hardness: weight of the highest frames.

    Raises:
        ValueError: there are fewer than two words, or smoothing_frames is below 1.
    """
    _check(logits.shape[-1], smoothing_frames)
    logits, weights, quiet = with_a_frame(logits), with_a_frame(weights), with_a_frame(quiet)
    places = with_a_frame(places, axis=2)
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    there = jnp.any(places, axis=-1)
    scores = _log_pooled_in(log_p, places, smoothing_frames)
    classes = jnp.where(there, labels, 1)
    compared = cross_entropy(scores[..., 1:], classes - 1, label_smoothing)
    own = jnp.take_along_axis(scores, classes[..., None], axis=-1)[..., 0] - math.log(smoothing_frames)
    share = jnp.where(classes > 1, detection_share, 0.0)
    said = jnp.where(there, (1 - share) * compared - share * own, 0.0)
    alarm = -jnp.logaddexp(log_p[..., 0], log_p[..., 1]) * weights
    everywhere = weighted_mean(jnp.where(quiet, -log_p[..., 0] * weights, alarm), jnp.ones_like(weights), axis=1)
    hardest = jnp.mean(jax.lax.top_k(alarm, min(HARD_FRAMES, alarm.shape[-1]))[0], axis=-1)
    none = everywhere + hardness * hardest
    return Mean((jnp.sum(said), jnp.sum(none)), (jnp.sum(there, dtype=jnp.float32), jnp.float32(none.shape[0])))


def _log_pooled_in(
    log_p: Float[jax.Array, "batch time classes"], places: Bool[jax.Array, "batch words time"], smoothing_frames: int
) -> Float[jax.Array, "batch words classes"]:
    """log s[c] in each place, without the constant log(smoothing_frames)."""
    smoothed, peak = _smoothed(log_p, smoothing_frames)
    smoothed = jnp.log(jnp.maximum(smoothed, jnp.finfo(smoothed.dtype).tiny)) + peak
    best = highest(jnp.where(places[..., None], smoothed[:, None], LOG_ZERO), axis=2)
    return jnp.where(jnp.any(places, axis=-1)[..., None], best, 0.0)


def _log_posteriors(
    logits: Float[jax.Array, "batch time classes"], heard: Bool[jax.Array, "batch time"]
) -> Float[jax.Array, "batch time classes"]:
    """Log-softmax; zero posteriors in frames outside of `heard`."""
    # The first `where` keeps NaN out of the gradient; the second one alone would not.
    logits = jnp.where(heard[..., None], logits, 0).astype(jnp.float32)
    return jnp.where(heard[..., None], jax.nn.log_softmax(logits), LOG_ZERO)


def _log_pooled(
    log_p: Float[jax.Array, "batch time classes"], weighted: Bool[jax.Array, "batch time"], smoothing_frames: int
) -> Float[jax.Array, "batch classes"]:
    """log s[c], without the constant log(smoothing_frames)."""
    smoothed, peak = _smoothed(log_p, smoothing_frames)
    best = highest(jnp.where(weighted[..., None], smoothed, 0), axis=1)
    return peak[:, 0] + jnp.log(jnp.maximum(best, jnp.finfo(best.dtype).tiny))


def _smoothed(
    log_p: Float[jax.Array, "batch time classes"], smoothing_frames: int
) -> tuple[Float[jax.Array, "batch time classes"], Float[jax.Array, "batch 1 classes"]]:
    """Sums of posteriors over the last frames, relative to each class's highest posterior, and the log of that one."""
    # Its own peak, so that a very improbable word keeps its gradient, where e^-100 would be 0.
    peak = jax.lax.stop_gradient(jnp.max(log_p, axis=1, keepdims=True))
    window, before = (1, smoothing_frames, 1), ((0, 0), (smoothing_frames - 1, 0), (0, 0))
    return jax.lax.reduce_window(jnp.exp(log_p - peak), 0.0, jax.lax.add, window, (1, 1, 1), before), peak


def _check(classes: int, smoothing_frames: int) -> None:
    if classes < 3:
        raise ValueError(
            f"max_pooling_loss got {classes} classes; words compete, so it needs silence and two words or more. "
            "Add a class for unknown words."
        )
    if smoothing_frames < 1:
        raise ValueError(f"max_pooling_loss got smoothing_frames {smoothing_frames}; pass 1 (no smoothing) or more.")


__all__ = ["max_pooling_loss", "spotting_loss"]
