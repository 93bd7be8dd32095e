"""Labels for whole streams, such as queries, strokes and comments: an answer after every item, increasingly
informed."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import Layer
from streamrnn.decisions import LabelSettings
from streamrnn.layers import Chain, Dense, Dropout, EmbeddingBag, Recurrent, RunningMax, RunningMean, Window
from streamrnn.models.model import Model, require_counts
from streamrnn.shapes import Block, Frames, OutputFrame, State
from streamrnn.signals import Series


@dataclass(frozen=True)
class ClassifierSettings:
    """Settings of a classifier of streams.

    Raises:
        ValueError: a count is below 1, or ids is 1, as id 0 stands for none.
    """

    labels: tuple[str, ...] = ()
    """The labels. Default: those of the training data."""
    several: bool = False
    """Whether a stream can have several labels, or none."""
    features: int = 1
    """Numbers per item; for ids, the most that an item can have."""
    ids: int = 0
    """Number of ids, where 0 stands for none; 0: items are readings."""
    embedding: int = 64
    """Size of an id's embedding."""
    window: int = 1
    """Consecutive items that a step sees."""
    hidden: int = 128
    """State size of each GRU."""
    layers: int = 1
    """Number of GRU layers."""
    items_per_s: float = 1.0
    """Items per second, for the times of events."""
    dropout: float = 0.3
    """Dropout before the GRUs and the head in training."""

    def __post_init__(self):
        require_counts(self, "features", "embedding", "window", "hidden", "layers")
        if self.ids < 0 or self.ids == 1:
            raise ValueError(f"ids is {self.ids}; it must be 0, if items are readings, or at least 2.")


class Classifier(Model):
    """Items, or the mean of the vectors of their ids -> GRUs -> state, running mean and running maximum -> posteriors.

    Outputs are in the order of settings.labels; they sum to 1, unless a stream can have several labels.
    """

    Settings = ClassifierSettings
    Decision = LabelSettings
    settings: ClassifierSettings

    def __init__(self, settings: ClassifierSettings, decision: LabelSettings | None = None, *, rngs: nnx.Rngs):
        s = settings
        if not s.labels:
            raise ValueError("Classifier got no labels. Pass ClassifierSettings(labels=('yes', 'no')).")
        kind = {"dtype": "int32", "ids": s.ids} if s.ids else {}
        signal = Series(s.features, s.items_per_s, **kind)
        items = EmbeddingBag(s.ids, s.embedding, rngs=rngs) if s.ids else Chain()
        width = (s.embedding if s.ids else s.features) * s.window
        dropout = [Dropout(s.dropout, rngs=rngs)] if s.ids else []
        window = [Window(s.window, width // s.window)] if s.window > 1 else []
        cores = [Recurrent(GRU(wide, s.hidden, rngs=rngs)) for wide in [width] + [s.hidden] * (s.layers - 1)]
        head = Dense(3 * s.hidden, len(s.labels), rngs=rngs)
        network = Chain(items, *dropout, *window, *cores, Pooled(s.hidden), Dropout(s.dropout, rngs=rngs), head)
        decision = decision or LabelSettings(smoothing_ms=0)
        super().__init__(s, decision, network, len(s.labels), signal=signal, labels=s.labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(logits) if self.settings.several else jax.nn.softmax(logits)


class Pooled(Layer):
    """Frames together with their running mean and maximum: [batch, time, features] -> [batch, time, 3 features].

    Args:
        features: width of a frame.
    """

    def __init__(self, features: int):
        self.mean, self.highest = RunningMean(features), RunningMax(features)

    def init_state(self, batch_size: int) -> State:
        return self.mean.init_state(batch_size), self.highest.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._pooled(self.mean.step, self.highest.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._pooled(self.mean.scan, self.highest.scan, state, x)

    def _pooled(self, mean, highest, state: State, x: Frames) -> tuple[State, Frames]:
        so_far, so_high = state
        so_far, means = mean(so_far, x)
        so_high, highs = highest(so_high, x)
        return (so_far, so_high), jnp.concatenate([x, means, highs], axis=-1)


__all__ = ["Classifier", "ClassifierSettings", "Pooled"]
