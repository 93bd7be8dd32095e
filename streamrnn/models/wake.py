"""Wake words: a small recurrent head that listens through the encoder of a model of phonemes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.decisions import KeywordSettings
from streamrnn.decisions.keywords import SILENCE
from streamrnn.layers import Chain, Dense, Dropout, Recurrent
from streamrnn.models.model import Model
from streamrnn.models.phonemes import Phonemes, PhonemesSettings, speech_encoder


@dataclass(frozen=True)
class WakeSettings(PhonemesSettings):
    """Settings of a wake word model: those of its encoder, and of the head.

    Raises:
        ValueError: there is no word, or one is there twice or is "silence", which is the class of all else.
    """

    words: tuple[str, ...] = ("hey computer",)
    """The phrases that wake."""
    head: int = 64
    """State of the head's recurrent layer."""
    head_dropout: float = 0.2
    """Dropout of the head's inputs in training."""

    def __post_init__(self):
        if not self.words or len({*self.words, SILENCE}) != len(self.words) + 1:
            raise ValueError(f"words are {self.words}; one or more are needed, all different and none {SILENCE!r}.")


class Wake(Model):
    """The encoder of a model of phonemes -> one GRU -> probabilities of [silence, *words], which sum to 1.

    "silence" is everything else. After Lin et al. 2020, "Training keyword spotters with limited and synthesized
    speech data": an encoder that knows speech, and a small head for the words.
    """

    Settings = WakeSettings
    Decision = KeywordSettings
    settings: WakeSettings

    def __init__(self, settings: WakeSettings, decision: KeywordSettings | None = None, *, rngs: nnx.Rngs):
        network = Chain(speech_encoder(settings, rngs), wake_head(settings, rngs))
        labels = (SILENCE, *settings.words)
        decision = decision or KeywordSettings(smoothing_ms=0.0)
        super().__init__(settings, decision, network, len(labels), labels=labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)

    def assemble(self, listener: Phonemes, head: Chain) -> None:
        """Takes the weights of a model of phonemes, and of a head for its frames."""
        encoder, own = self.network.layers  # pyright: ignore[reportAttributeAccessIssue]
        nnx.update(encoder, nnx.state(listener.network.layers[0], nnx.Param))  # pyright: ignore[reportAttributeAccessIssue]
        nnx.update(own, nnx.state(head, nnx.Param))


def wake_head(s: WakeSettings, rngs: nnx.Rngs) -> Chain:
    """Frames of the encoder -> logits of silence and of the words."""
    return Chain(
        Dropout(s.head_dropout, rngs=rngs),
        Recurrent(GRU(s.hidden, s.head, rngs=rngs)),
        Dense(s.head, 1 + len(s.words), dtype=jnp.float32, rngs=rngs),
    )


__all__ = ["Wake", "WakeSettings", "wake_head"]
