"""From spelling to phonemes: letters come in one by one, and phonemes come out a few letters later."""

from dataclasses import dataclass

import jax
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Dropout, Embedding, Lookahead, Recurrent
from streamrnn.lines.spelling import FRAMES_PER_LETTER
from streamrnn.models.model import Model, require_counts
from streamrnn.signals import Series


@dataclass(frozen=True)
class SpellerSettings:
    """Settings of a pronunciation model.

    Raises:
        ValueError: a count is below 1, or lookahead_letters is negative.
    """

    letters: tuple[str, ...] = ()
    """The letters, with ids from 1; 0 stands for no letter. Default: those of the training data."""
    phonemes: tuple[str, ...] = ()
    """The phonemes, with ids from 1; 0 is the blank. Default: those of the training data."""
    lookahead_letters: int = 4
    """Look-ahead: later letters that a phoneme depends on."""
    embedding: int = 48
    """Size of a letter's embedding."""
    hidden: int = 192
    """State size of each GRU."""
    layers: int = 2
    """Number of GRU layers."""
    letters_per_s: float = 10.0
    """Letters per second, for stating latency in seconds."""
    dropout: float = 0.2
    """Dropout of the GRUs' outputs in training."""

    def __post_init__(self):
        require_counts(self, "embedding", "hidden", "layers")
        if self.lookahead_letters < 0:
            raise ValueError(f"lookahead_letters is {self.lookahead_letters}; it must be 0 or more.")


class Speller(Model):
    """A letter's vector, over FRAMES_PER_LETTER frames -> GRUs with look-ahead -> posteriors of phonemes and blank.

    Source: Graves et al. 2006, "Connectionist temporal classification", applied to letters as in Rao et al. 2015,
    "Grapheme-to-phoneme conversion using long short-term memory recurrent neural networks", but unidirectional.
    """

    Settings = SpellerSettings
    settings: SpellerSettings
    frames_per_item = FRAMES_PER_LETTER

    def __init__(self, settings: SpellerSettings, decision: None = None, *, rngs: nnx.Rngs):
        s = settings
        if not s.letters or not s.phonemes:
            raise ValueError("Speller got no letters or no phonemes. Pass SpellerSettings(letters=..., phonemes=...).")
        ids, labels = len(s.letters) + 1, ("", *s.phonemes)
        widths = [s.embedding] + [s.hidden] * (s.layers - 1)
        cores = [(Recurrent(GRU(width, s.hidden, rngs=rngs)), Dropout(s.dropout, rngs=rngs)) for width in widths]
        network = Chain(
            Embedding(ids, s.embedding, rngs=rngs),
            Lookahead(s.lookahead_letters * FRAMES_PER_LETTER),
            *(layer for core in cores for layer in core),
            Dense(s.hidden, len(labels), rngs=rngs),
        )
        signal = Series(1, FRAMES_PER_LETTER * s.letters_per_s, "int32", ids=ids)
        super().__init__(s, None, network, len(labels), signal=signal, labels=labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


__all__ = ["Speller", "SpellerSettings"]
