"""Phonemes: the probability of each sound of English, every 40 ms; also the encoder of other models."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.decisions import PhraseSettings
from streamrnn.layers import Chain, Dense
from streamrnn.models.cores import CellName
from streamrnn.models.encoder import speech_encoder
from streamrnn.models.model import Model
from streamrnn.phonetics import PHONEMES


@dataclass(frozen=True)
class PhonemesSettings:
    """Settings of a phoneme model."""

    symbols: tuple[str, ...] = PHONEMES
    """The phonemes."""
    sample_rate: int = 16_000
    """Samples per second of the input."""
    hop_samples: int = 160
    """Samples per spectrum; four of them make one frame of outputs."""
    window_samples: int = 400
    """Samples per window of the spectrum."""
    mels: int = 40
    """Bands of the log-mel spectrum."""
    silence: float = 1e-8
    """Mel power (full scale 1) below which sound counts as silence: about the noise of 16 bits."""
    floor_fall_s: float = 0.1
    """Time constant, in seconds, at which a band's noise floor follows sound below it."""
    floor_rise_s: float = 3.0
    """Time constant, in seconds, at which a band's noise floor follows sound above it."""
    channels: int = 96
    """Channels of the first convolution; the second has as many as `hidden`."""
    core: CellName = "gru"
    """The recurrence: elman, gru or lstm; or mingru, minlstm or rglru, which compute all frames of a recording in
    parallel."""
    hidden: int = 256
    """State size of each recurrent layer."""
    layers: int = 3
    """Number of recurrent layers."""
    lookahead_frames: int = 5
    """Look-ahead: future frames of four hops that an output depends on."""
    dropout: float = 0.1
    """Dropout on each recurrent layer's inputs in training."""
    masked_frames: int = 15
    """Longest time mask in training, two per row (SpecAugment)."""


class Phonemes(Model):
    """Log-mel and its height above the noise floor -> two convolutions of stride 2 -> recurrent layers -> phonemes.

    Outputs are log probabilities of [blank, *symbols], as in CTC (Graves et al. 2006, "Connectionist temporal
    classification"): a sound has a peak of a frame or two, and the blank is likeliest between peaks.
    """

    Settings = PhonemesSettings
    Decision = PhraseSettings
    settings: PhonemesSettings

    def __init__(
        self,
        settings: PhonemesSettings = PhonemesSettings(),
        decision: PhraseSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        out = len(settings.symbols) + 1
        head = Dense(settings.hidden, out, dtype=jnp.float32, rngs=rngs)
        network = Chain(speech_encoder(settings, rngs), head)
        super().__init__(settings, decision or PhraseSettings(), network, out, labels=("", *settings.symbols))

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.log_softmax(logits)


__all__ = ["Phonemes", "PhonemesSettings"]
