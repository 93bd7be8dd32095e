"""Is somebody speaking? One probability per 10 ms."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.decisions import SpeechDecoder, SpeechSettings
from streamrnn.features import RunningNormalise, log_mel
from streamrnn.layers import Apply, CausalConv, Chain, Dense, Lookahead
from streamrnn.models.cores import CoreSettings, core_layers
from streamrnn.models.model import Model


@dataclass(frozen=True)
class VoiceActivitySettings(CoreSettings):
    """The shape of a voice activity model."""

    sample_rate: int = 16_000
    """Samples per second of the audio that it hears."""
    hop_samples: int = 160
    """Samples per frame: one probability each."""
    window_samples: int = 400
    """Samples that one spectrum sees."""
    mels: int = 40
    """Bands of the log-mel spectrum."""
    silence: float = 1e-8
    """Mel power (of full scale 1) below which all is silence: about the noise of 16 bits."""
    memory_s: float = 5.0
    """Seconds over which the running normalisation forgets level and colour of the sound."""
    channels: int = 96
    """Channels of the convolution over five frames."""
    lookahead_frames: int = 3
    """Later frames that a probability waits for."""


class VoiceActivity(Model):
    """Log-mel -> running normalisation -> convolution -> core (two GRU layers) -> probability of speech, out = 1."""

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
        front_end = Chain(
            *log_mel(s.sample_rate, s.window_samples, s.hop_samples, s.mels, amin=s.silence),
            RunningNormalise(s.mels, round(s.memory_s * s.sample_rate / s.hop_samples)),
        )
        core = Chain(
            CausalConv(s.mels, s.channels, 5, dtype=dtype, rngs=rngs),
            Apply(jax.nn.relu),
            Lookahead(s.lookahead_frames),
            *core_layers(s, s.channels, rngs),
        )
        head = Dense(s.hidden, 1, dtype=jnp.float32, rngs=rngs)
        super().__init__(settings, decision or SpeechSettings(), Chain(front_end, core, head), 1)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(logits)

    def decoder(self, **overrides) -> SpeechDecoder:
        return SpeechDecoder(dataclasses.replace(self.decision, **overrides), self.frame_s, self.lookahead_s)


__all__ = ["VoiceActivity", "VoiceActivitySettings"]
