"""Phonemes: how likely each sound of English is, every 40 ms; and the encoder that other models listen through."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.decisions import PhraseSettings
from streamrnn.features import log_mel
from streamrnn.layers import Apply, CausalConv, Chain, Dense, Dropout, LayerNorm, Lookahead, SpecAugment
from streamrnn.models.cores import CellName, recurrent_layer
from streamrnn.models.front_end import levels_above_floor
from streamrnn.models.model import Model
from streamrnn.phonetics import PHONEMES


@dataclass(frozen=True)
class PhonemesSettings:
    """Settings of a model of phonemes."""

    symbols: tuple[str, ...] = PHONEMES
    """The sounds."""
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
    """Time constant, in seconds, with which a band's noise floor follows sound below it."""
    floor_rise_s: float = 3.0
    """Time constant, in seconds, with which a band's noise floor follows sound above it."""
    channels: int = 96
    """Channels of the first convolution; the second has as many as `hidden`."""
    core: CellName = "gru"
    """The recurrence: elman, gru or lstm; or mingru, minlstm or rglru, which compute all frames of a recording in
    parallel."""
    hidden: int = 256
    """State of each recurrent layer."""
    layers: int = 3
    """Recurrent layers."""
    lookahead_frames: int = 5
    """Later frames of four hops that an output depends on."""
    dropout: float = 0.1
    """Dropout of each recurrent layer's inputs in training."""
    masked_frames: int = 15
    """Longest mask over spectra in training, twice per row (see SpecAugment)."""


class Phonemes(Model):
    """Log-mel and its height above the noise floor -> two convolutions of stride 2 -> recurrent layers -> phonemes.

    Outputs are log probabilities of [blank, *symbols], as CTC has them (Graves et al. 2006, "Connectionist temporal
    classification"): a sound has a peak of a frame or two, and between peaks the blank is likeliest.
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


def speech_encoder(s: PhonemesSettings, rngs: nnx.Rngs) -> Chain:
    """Raw audio -> a frame of `hidden` numbers per four hops."""
    front_end = Chain(
        *log_mel(s.sample_rate, s.window_samples, s.hop_samples, s.mels, amin=s.silence),
        *levels_above_floor(s.mels, s.sample_rate / s.hop_samples, s.floor_fall_s, s.floor_rise_s, s.silence),
        SpecAugment(2 * s.mels, 2, s.mels // 4, 2, s.masked_frames, rngs=rngs),
    )
    convolutions = Chain(
        CausalConv(2 * s.mels, s.channels, 5, stride=2, rngs=rngs),
        LayerNorm(s.channels, rngs=rngs),
        Apply(jax.nn.relu),
        CausalConv(s.channels, s.hidden, 5, stride=2, rngs=rngs),
        LayerNorm(s.hidden, rngs=rngs),
        Apply(jax.nn.relu),
    )
    recurrent = [
        layer
        for _ in range(s.layers)
        for layer in (Dropout(s.dropout, rngs=rngs), recurrent_layer(s.core, s.hidden, s.hidden, "float32", rngs))
    ]
    # The look-ahead is counted after the strides, in spectra of four hops, so it is always a whole number of frames.
    return Chain(front_end, convolutions, Lookahead(s.lookahead_frames), *recurrent)


__all__ = ["Phonemes", "PhonemesSettings", "speech_encoder"]
