"""Loss of wake words: somewhere near its end each word is heard, and nowhere else anything."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from streamrnn.losses.frames import highest
from streamrnn.losses.mean import Mean

# Of each row, the frames that come closest to a false alarm.
HARD_FRAMES = 5


def wake_loss(
    logits: Float[jax.Array, "batch time 2"],
    words: Bool[jax.Array, "batch words time"],
    elsewhere: Bool[jax.Array, "batch time"],
    hardness: float | Float[jax.Array, "batch"] = 1.0,
) -> Mean:
    """Loss of a word per word said, and of false alarms per row, added up.

        z     = logits of the word - logits of all else
        said  = log(1 + exp(-max z)) over the frames in which a word may be detected
        alarm = mean of log(1 + exp z) over the frames elsewhere + hardness x its mean over the five highest

    The highest frame alone counts for a word, as it does in detection (Sun et al., "Max-pooling loss training of long
    short-term memory networks for small-footprint keyword spotting", SLT 2016); and a false alarm is a matter of the
    few frames that come closest to one.

    Args:
        logits: of [silence, word].
        words: for each word of a row, the frames in which it may be detected; all False: there is none.
        elsewhere: frames in which no word is.
        hardness: weight of the highest frames.
    """
    z = logits[..., 1] - logits[..., 0]
    there = jnp.any(words, axis=-1)
    best = highest(jnp.where(words, z[:, None], -jnp.inf), axis=-1)
    said = jnp.where(there, jax.nn.softplus(-jnp.where(there, best, 0.0)), 0.0)
    alarm = jnp.where(elsewhere, jax.nn.softplus(z), 0.0)
    everywhere = jnp.sum(alarm, axis=-1) / jnp.maximum(jnp.sum(elsewhere, axis=-1), 1)
    hardest = jnp.mean(jax.lax.top_k(alarm, min(HARD_FRAMES, alarm.shape[-1]))[0], axis=-1)
    alarms = everywhere + hardness * hardest
    count = jnp.sum(there, dtype=jnp.float32)
    return Mean((jnp.sum(said), jnp.sum(alarms)), (count, jnp.float32(alarms.shape[0])))


__all__ = ["wake_loss"]
