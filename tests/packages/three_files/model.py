"""Low or high: the log-mel spectrum, a GRU, and a posterior for each label every 20 ms."""

from dataclasses import dataclass

import jax
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.decisions import LabelSettings
from streamrnn.features import log_mel
from streamrnn.layers import Apply, Chain, Dense, Recurrent
from streamrnn.models import Model

LABELS = ("low", "high")
MELS = 12


@dataclass(frozen=True)
class PitchSettings:
    """The shape of the model."""

    hidden: int = 4
    """State of the GRU."""
    sample_rate: int = 8000
    hop_samples: int = 160


class Pitch(Model):
    """Posteriors of LABELS."""

    Settings, Decision = PitchSettings, LabelSettings

    def __init__(self, settings: PitchSettings, decision: LabelSettings | None = None, *, rngs: nnx.Rngs):
        spectrum = log_mel(settings.sample_rate, 320, settings.hop_samples, MELS)
        core, head = Recurrent(GRU(MELS, settings.hidden, rngs=rngs)), Dense(settings.hidden, len(LABELS), rngs=rngs)
        network = Chain(*spectrum, Apply(lambda x: x / 50 + 1), core, head)
        super().__init__(settings, decision or LabelSettings(), network, len(LABELS), labels=LABELS)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


__all__ = ["LABELS", "Pitch", "PitchSettings"]
