"""Voice activity detection: one speech probability per 10 ms."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.decisions import SpeechSettings
from streamrnn.features import RunningNormalise, log_mel
from streamrnn.layers import Apply, CausalConv, Chain, Dense, Lookahead
from streamrnn.models.cores import CoreSettings, core_layers
from streamrnn.models.front_end import levels_above_floor
from streamrnn.models.model import Model


@dataclass(frozen=True)
class VoiceActivitySettings(CoreSettings):
    """Settings of a voice activity model."""

    sample_rate: int = 16_000
    """Samples per second of the input."""
    hop_samples: int = 160
    """Samples per frame; each frame has one probability."""
    window_samples: int = 400
    """Samples per window of the spectrum."""
    mels: int = 40
    """Bands of the log-mel spectrum."""
    silence: float = 1e-8
    """Mel power (full scale 1) below which sound counts as silence: about the noise of 16 bits."""
    memory_s: float = 5.0
    """Time constant of the running normalisation, in seconds, for level and colour of the sound; 0: no normalisation,
    so that the input is the level in decibels. With a normalisation over seconds, the onset of a noise looks like
    speech."""
    floor_fall_s: float = 0.1
    """Time constant, in seconds, at which a band's noise floor follows sound below it."""
    floor_rise_s: float = 3.0
    """Time constant, in seconds, with which a band's noise floor follows sound above it; 0: no noise floor, the input
    is the level alone. Only without normalisation."""
    channels: int = 96
    """Channels of the convolution."""
    kernel_frames: int = 5
    """Kernel size of the convolution, in frames."""
    lookahead_frames: int = 3
    """Look-ahead: future frames that a probability depends on."""


class VoiceActivity(Model):
    """Log-mel, optionally normalised -> convolution -> core (two GRU layers) -> speech probability, out = 1."""

    Settings = VoiceActivitySettings
    Decision = SpeechSettings

    def __init__(
        self,
        settings: VoiceActivitySettings = VoiceActivitySettings(),
        decision: SpeechSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        s, dtype = settings, jnp.dtype(settings.dtype)
        memory_frames = round(s.memory_s * s.sample_rate / s.hop_samples)
        frames_per_s = s.sample_rate / s.hop_samples
        above = s.memory_s == 0 and s.floor_rise_s > 0
        width = 2 * s.mels if above else s.mels
        if s.memory_s:
            levels = (RunningNormalise(s.mels, memory_frames),)
        elif above:
            levels = levels_above_floor(s.mels, frames_per_s, s.floor_fall_s, s.floor_rise_s, s.silence)
        else:
            levels = (Apply(_scaled),)
        front_end = Chain(*log_mel(s.sample_rate, s.window_samples, s.hop_samples, s.mels, amin=s.silence), *levels)
        core = Chain(
            CausalConv(width, s.channels, s.kernel_frames, dtype=dtype, rngs=rngs),
            Apply(jax.nn.relu),
            Lookahead(s.lookahead_frames),
            *core_layers(s, s.channels, rngs),
        )
        head = Dense(s.hidden, 1, dtype=jnp.float32, rngs=rngs)
        super().__init__(settings, decision or SpeechSettings(), Chain(front_end, core, head), 1, labels=("speech",))

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(logits)


def _scaled(decibels: jax.Array) -> jax.Array:
    """Decibels of a mel band, from about -80 (silence) to 20, scaled to mean 0 and deviation 1, roughly."""
    return (decibels + 30) / 25


__all__ = ["VoiceActivity", "VoiceActivitySettings"]
