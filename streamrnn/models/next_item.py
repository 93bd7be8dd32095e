"""Predicts the next symbol of a stream, such as a character of a text: models for completion and generation."""

from dataclasses import dataclass

import jax
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Dropout, Embedding, Recurrent
from streamrnn.models.model import Model, require_counts
from streamrnn.signals import Series


@dataclass(frozen=True)
class NextItemSettings:
    """Settings of a next-item model.

    Raises:
        ValueError: a count is below 1.
    """

    symbols: tuple[str, ...] = ()
    """The symbols, by id. Default: those of the training data."""
    embedding: int = 64
    """Size of a symbol's embedding."""
    hidden: int = 320
    """State size of each GRU."""
    layers: int = 1
    """Number of GRU layers."""
    items_per_s: float = 5.0
    """Items per second, for stating latency in seconds; a fast typist types five characters."""
    dropout: float = 0.1
    """Dropout of the GRUs' outputs in training."""

    def __post_init__(self):
        require_counts(self, "embedding", "hidden", "layers")


class NextItem(Model):
    """A symbol's vector -> GRUs -> the probability of each symbol to come next.

    Source: Mikolov et al. 2010, "Recurrent neural network based language model"; here for any symbols.
    """

    Settings = NextItemSettings
    settings: NextItemSettings

    def __init__(self, settings: NextItemSettings, decision: None = None, *, rngs: nnx.Rngs):
        s = settings
        if not s.symbols:
            raise ValueError("NextItem got no symbols. Pass NextItemSettings(symbols=tuple('abc')).")
        count = len(s.symbols)
        widths = [s.embedding] + [s.hidden] * (s.layers - 1)
        cores = [(Recurrent(GRU(width, s.hidden, rngs=rngs)), Dropout(s.dropout, rngs=rngs)) for width in widths]
        head = Dense(s.hidden, count, rngs=rngs)
        network = Chain(Embedding(count, s.embedding, rngs=rngs), *(layer for core in cores for layer in core), head)
        signal = Series(1, s.items_per_s, "int32", ids=count)
        super().__init__(s, None, network, count, signal=signal, labels=s.symbols)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


__all__ = ["NextItem", "NextItemSettings"]
