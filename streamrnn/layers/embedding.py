"""From ids to vectors: the first layer for a series of tokens."""

import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Stateless
from streamrnn.shapes import Frames


class Embedding(Stateless):
    """A learned vector for each id: int32[batch, time, n] -> [batch, time, n features], side by side.

    Ids below 0 count as 0, and ids that are too high count as the highest. A live stream rejects both beforehand if its
    Series has the number of `ids`.

    Args:
        ids: number of ids, 0 to ids - 1.
        features: width of a vector.
        rngs: random streams that draw the vectors.
    """

    def __init__(self, ids: int, features: int, *, rngs: nnx.Rngs):
        self.features = features
        self.vectors = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (ids, features), jnp.float32))

    def __call__(self, x: Frames) -> Frames:
        return jnp.take(self.vectors[...], x, axis=0, mode="clip").reshape(*x.shape[:2], x.shape[2] * self.features)


class EmbeddingBag(Stateless):
    """The mean of the vectors of a frame's ids: int32[batch, time, n] -> [batch, time, features].

    For items with several ids, such as the character n-grams of a word. Id 0 stands for no id and does not count, so a
    frame can have fewer than n; a frame without ids gives zeros. Ids out of range count as in `Embedding`.

    Args:
        ids, features, rngs: see `Embedding`.

    Source: Joulin et al. 2016, "Bag of tricks for efficient text classification".
    """

    def __init__(self, ids: int, features: int, *, rngs: nnx.Rngs):
        self.vectors = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (ids, features), jnp.float32))

    def __call__(self, x: Frames) -> Frames:
        vectors, counted = jnp.take(self.vectors[...], x, axis=0, mode="clip"), (x > 0)[..., None]
        return jnp.sum(jnp.where(counted, vectors, 0), axis=2) / jnp.maximum(jnp.sum(counted, axis=2), 1)


__all__ = ["Embedding", "EmbeddingBag"]
