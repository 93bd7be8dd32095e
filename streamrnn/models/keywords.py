"""Keyword detection: one probability per word, every 20 ms."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.decisions import KeywordSettings
from streamrnn.decisions.keywords import SILENCE, UNKNOWN
from streamrnn.features import RunningNormalise, log_mel
from streamrnn.layers import Apply, CausalConv, Chain, Dense, Dropout, Lookahead, SpecAugment
from streamrnn.models.cores import CELLS, CoreSettings, core_layers
from streamrnn.models.encoder import speech_encoder
from streamrnn.models.front_end import levels_above_floor
from streamrnn.models.guard import chain_of, check_guard
from streamrnn.models.model import Model
from streamrnn.models.phonemes import PhonemesSettings


@dataclass(frozen=True)
class KeywordsSettings(CoreSettings):
    """Settings of a keyword model.

    Raises:
        ValueError: a word is repeated, or is "silence" or "unknown", which are always classes; the look-ahead is not a
            whole number of frames; `encoder` is combined with a core that is not recurrent or with normalisation; or
            the guard is out of range or does not fit the sound.
    """

    words: tuple[str, ...] = ()
    """The words to detect. Two classes, "silence" and "unknown", are always added. Default: the labels of the first
    training folder."""
    encoder: bool = False
    """Use the layers of a phoneme model as encoder. `--start phonemes-en` provides their weights if the sizes are its
    own: --hidden 256 --layers 3 --lookahead-frames 20. A frame of probabilities is then 40 ms."""
    sample_rate: int = 16_000
    """Samples per second of the input."""
    hop_samples: int = 160
    """Samples per spectrum; two of them make one frame of probabilities, four with `encoder`."""
    window_samples: int = 400
    """Samples per window of the spectrum."""
    mels: int = 40
    """Bands of the log-mel spectrum."""
    silence: float = 1e-8
    """Mel power (full scale 1) below which sound counts as silence: about the noise of 16 bits."""
    memory_s: float = 0.0
    """Time constant of the running normalisation, in seconds, for level and colour of the sound; 0: none, but each
    band's height above its noise floor. With a normalisation over seconds, a model is deaf after a loud noise and
    raises false alarms where one begins."""
    floor_fall_s: float = 0.1
    """Time constant, in seconds, at which a band's noise floor follows sound below it."""
    floor_rise_s: float = 3.0
    """Time constant, in seconds, at which a band's noise floor follows sound above it."""
    floor: float = 25.0
    """Variance, in squared decibels, below which the running normalisation no longer amplifies."""
    channels: tuple[int, int] = (96, 112)
    """Channels of the two convolutions, over five spectra and then, with stride 2, over five of their outputs. With
    `encoder`, the second has as many as `hidden`."""
    lookahead_frames: int = 10
    """Look-ahead: future spectra that a probability depends on; even, and with `encoder` a multiple of 4."""
    dropout: float = 0.2
    """Dropout on the outputs of each core layer in training; with `encoder`, on its inputs."""
    guard: float = 0.0
    """Probability of speech by the layers of `vad`, run alongside, below which words are suppressed; 0: no guard.
    `streamrnn guard` adds one to a trained model, and --start keeps it."""

    def __post_init__(self):
        super().__post_init__()
        check_guard(self)
        if wrong := [word for word in self.words if word in (SILENCE, UNKNOWN) or self.words.count(word) > 1]:
            raise ValueError(f"words are {', '.join(self.words)}; {wrong[0]!r} is repeated or built in. Leave it out.")
        if self.encoder and self.core not in CELLS:
            raise ValueError(f"core is {self.core}; with the encoder it must be one of {', '.join(CELLS)}.")
        if self.encoder and self.memory_s:
            raise ValueError(f"memory_s is {self.memory_s}; the encoder uses levels above the noise floor. Pass 0.")
        if self.lookahead_frames % self.hops_per_frame:
            raise ValueError(
                f"lookahead_frames is {self.lookahead_frames}; it must be a multiple of {self.hops_per_frame}, the "
                "spectra per frame of probabilities (phonemes-en has 20)."
            )

    @property
    def hops_per_frame(self) -> int:
        """Spectra per frame of probabilities."""
        return 4 if self.encoder else 2

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the outputs: silence, unknown, then the words."""
        return SILENCE, UNKNOWN, *self.words


class Keywords(Model):
    """Log-mel and its height above the noise floor -> two convolutions, down to 20 ms -> core (two GRU layers) ->
    probabilities of labels; or the encoder of a phoneme model, at 40 ms, in place of all but the last step.

    Outputs are in the order of settings.labels and sum to 1. After Arik et al. 2017, "Convolutional recurrent neural
    networks for small-footprint keyword spotting", but causal.
    """

    Settings = KeywordsSettings
    Decision = KeywordSettings
    settings: KeywordsSettings

    def __init__(
        self,
        settings: KeywordsSettings,
        decision: KeywordSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        if not settings.words:
            raise ValueError("Keywords got no words to listen for. Pass KeywordsSettings(words=('yes', 'no')).")
        out = len(settings.labels)
        head = Dense(settings.hidden, out, dtype=jnp.float32, rngs=rngs)
        heard = [_encoder(settings, rngs)] if settings.encoder else [_front_end(settings, rngs), _core(settings, rngs)]
        network = chain_of(settings, *heard, head, rngs=rngs)
        super().__init__(settings, decision or KeywordSettings(), network, out, labels=settings.labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


def _encoder(s: KeywordsSettings, rngs: nnx.Rngs) -> Chain:
    same = ("sample_rate", "hop_samples", "window_samples", "mels", "silence", "floor_fall_s", "floor_rise_s")
    same += ("core", "hidden", "layers", "dropout")
    settings = PhonemesSettings(
        channels=s.channels[0],
        lookahead_frames=s.lookahead_frames // s.hops_per_frame,
        **{name: getattr(s, name) for name in same},
    )
    return speech_encoder(settings, rngs, s.dtype)


def _front_end(s: KeywordsSettings, rngs: nnx.Rngs) -> Chain:
    mel, frames_per_s = log_mel(s.sample_rate, s.window_samples, s.hop_samples, s.mels, amin=s.silence), _per_s(s)
    if s.memory_s:
        levels = (RunningNormalise(s.mels, round(s.memory_s * frames_per_s), s.floor),)
    else:
        levels = levels_above_floor(s.mels, frames_per_s, s.floor_fall_s, s.floor_rise_s, s.silence)
    return Chain(*mel, *levels, SpecAugment(_width(s), 2, s.mels // 6, 2, 12, rngs=rngs))


def _per_s(s: KeywordsSettings) -> float:
    return s.sample_rate / s.hop_samples


def _width(s: KeywordsSettings) -> int:
    return s.mels if s.memory_s else 2 * s.mels


def _core(s: KeywordsSettings, rngs: nnx.Rngs) -> Chain:
    dtype, (first, second) = jnp.dtype(s.dtype), s.channels
    return Chain(
        CausalConv(_width(s), first, 5, dtype=dtype, rngs=rngs),
        Apply(jax.nn.relu),
        CausalConv(first, second, 5, stride=2, dtype=dtype, rngs=rngs),
        Apply(jax.nn.relu),
        Lookahead(s.lookahead_frames // 2),
        *(part for layer in core_layers(s, second, rngs) for part in (layer, Dropout(s.dropout, rngs=rngs))),
    )


__all__ = ["Keywords", "KeywordsSettings"]
