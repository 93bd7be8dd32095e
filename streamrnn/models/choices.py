"""Predicts a person's next choice from past choices and rewards: models of decisions under uncertainty."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import Apply, Chain, Dense, Dropout, Recurrent
from streamrnn.models.model import Model, require_counts
from streamrnn.shapes import Frames
from streamrnn.signals import Series


@dataclass(frozen=True)
class ChoicesSettings:
    """Settings of a choice model.

    Raises:
        ValueError: there are fewer than two options, highest is not above 0 and finite, or hidden is below 1.
    """

    options: int = 4
    """Options to choose from."""
    highest: float = 100.0
    """The highest reward; the lowest is 0."""
    hidden: int = 32
    """State of the GRU."""
    choices_per_s: float = 1.0
    """Choices per second, for stating latency in seconds."""
    dropout: float = 0.2
    """Dropout of the GRU's outputs in training."""

    def __post_init__(self):
        require_counts(self, "hidden")
        if self.options < 2 or not 0 < self.highest < math.inf:
            raise ValueError(
                f"ChoicesSettings got options={self.options}, highest={self.highest}; it needs at least two options "
                "and a highest reward above 0."
            )


class Choices(Model):
    """A choice and its reward -> a GRU -> the probability that each option is chosen next.

    A frame is [choice, reward]: a choice from 1 to `options`, or 0 for none, and a reward from 0 to `highest`.

    Source: Dezfouli et al. 2019, "Models that learn how humans learn: the case of decision-making and its disorders".
    """

    Settings = ChoicesSettings
    settings: ChoicesSettings

    def __init__(self, settings: ChoicesSettings, decision: None = None, *, rngs: nnx.Rngs):
        s = settings
        options = np.arange(1, s.options + 1, dtype=np.float32)

        def told(x: Frames) -> Frames:
            # One input per option, so that what is learned from a reward may depend on the option that gave it.
            chosen = (jnp.abs(x[..., :1] - options) < 0.5).astype(jnp.float32)
            return jnp.concatenate([chosen, chosen * (4 * x[..., 1:] / s.highest - 2)], axis=-1)

        core = Recurrent(GRU(2 * s.options, s.hidden, rngs=rngs))
        head = Dense(s.hidden, s.options, rngs=rngs)
        network = Chain(Apply(told), core, Dropout(s.dropout, rngs=rngs), head)
        labels = tuple(str(number) for number in range(1, s.options + 1))
        super().__init__(s, None, network, s.options, signal=Series(2, s.choices_per_s), labels=labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


__all__ = ["Choices", "ChoicesSettings"]
