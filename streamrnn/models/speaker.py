"""Who speaks: what a voice is like as a vector, over the last second of speech, and which enrolled voice that is."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import LSTM
from streamrnn.contract import Layer, Stateless
from streamrnn.decisions import LabelSettings
from streamrnn.features import STFT, MelFilterbank, PowerSpectrum
from streamrnn.layers import Chain, Dense, Lookahead, Recurrent
from streamrnn.models.model import Model
from streamrnn.shapes import Block, Frames, OutputFrame, State

# Power of digital silence and of a quiet room, full scale 1; and of speech as the encoder was trained on it: -30 dB.
SILENCE, SPEECH = 1e-6, 1e-3
# What is quieter than speech by 20 dB is a pause; one that is shorter than 0.2 s is heard with the words around it.
PAUSE, HANGOVER_FRAMES = 0.01, 20
# The level is the mean of some five seconds of speech.
LEVEL_FRAMES = 500


@dataclass(frozen=True)
class SpeakerSettings:
    """Settings of a speaker model; the default is the encoder of Resemblyzer.

    Raises:
        ValueError: a name is empty or there twice, or the frames of a window do not divide by those that hear it.
    """

    speakers: tuple[str, ...] = ()
    """Names of enrolled speakers. Without any, the model outputs vectors."""
    sample_rate: int = 16_000
    """Samples per second of the input."""
    hop_samples: int = 160
    """Samples per spectrum."""
    window_samples: int = 400
    """Samples per window of the spectrum."""
    mels: int = 40
    """Bands of the mel spectrum, of power."""
    hidden: int = 256
    """State size of each LSTM."""
    layers: int = 3
    """Number of LSTM layers."""
    vector: int = 256
    """Size of a speaker vector."""
    heard_frames: int = 160
    """Frames of speech that a vector is made of at most; with `listeners` states, always almost as many."""
    listeners: int = 4
    """States that begin anew one after the other."""
    least_frames: int = 60
    """Frames of speech before which nobody is told."""
    lookahead_frames: int = 60
    """Frames that vectors lag behind what they describe: some half of what they are made of."""
    similarity: float = 0.66
    """Cosine of a vector and a voice at which it is as probably somebody else's."""
    sharpness: float = 30.0
    """How fast probabilities change with the cosine."""

    def __post_init__(self):
        if len(set(self.speakers)) < len(self.speakers) or not all(self.speakers):
            raise ValueError(f"SpeakerSettings got the speakers {self.speakers}; names differ, and are not empty.")
        if self.listeners < 1 or self.heard_frames % self.listeners:
            raise ValueError(
                f"SpeakerSettings got heard_frames={self.heard_frames} and listeners={self.listeners}; the first is a "
                "multiple of the second. Pass 160 and 4."
            )


class Speaker(Model):
    """Level -> mel spectrum -> LSTMs that begin anew every 1.6 s of speech, in turns -> a vector of length 1 -> names.

    Without speakers, outputs are vectors, [.., vector], zeros where nobody has spoken for long enough. With speakers,
    outputs are probabilities of nobody known and of each, in the order of `labels`, which begins with "".

    Source: Wan, Wang, Papir and Moreno, "Generalized end-to-end loss for speaker verification", 2018.
    """

    Settings = SpeakerSettings
    Decision = LabelSettings
    settings: SpeakerSettings

    def __init__(self, settings: SpeakerSettings, decision: LabelSettings | None = None, *, rngs: nnx.Rngs):
        network: list[Layer] = [Voiceprint(settings, rngs=rngs), Lookahead(settings.lookahead_frames)]
        if not settings.speakers:
            super().__init__(settings, None, Chain(*network), settings.vector)
            return
        network.append(Voices(settings.vector, len(settings.speakers), settings.similarity, settings.sharpness, rngs))
        labels = ("", *settings.speakers)
        super().__init__(settings, decision or LabelSettings(), Chain(*network), len(labels), labels=labels)

    @property
    def voiceprint(self) -> "Voiceprint":
        """The encoder."""
        found = self._parts[0]
        assert isinstance(found, Voiceprint)
        return found

    @property
    def voices(self) -> nnx.Param:
        """Those of the speakers, float32[speakers, vector], of length 1."""
        found = self._parts[-1]
        assert isinstance(found, Voices), "nobody is enrolled"
        return found.voices

    @property
    def _parts(self) -> list[Layer]:
        assert isinstance(self.network, Chain)
        return list(self.network.layers)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits) if self.settings.speakers else logits


class Voices(Stateless):
    """Vectors -> logits of nobody known, which is 0, and of each voice: sharpness (cosine - similarity). No state.

    Args:
        vector: numbers of a voice.
        voices: how many there are; `voices` holds them, float32[voices, vector], of length 1.
        similarity, sharpness: of SpeakerSettings.
        rngs: draws voices that nobody has.
    """

    def __init__(self, vector: int, voices: int, similarity: float, sharpness: float, rngs: nnx.Rngs):
        drawn = jnp.abs(jax.random.normal(rngs.params(), (voices, vector), jnp.float32))
        self.voices = nnx.Param(drawn / jnp.linalg.norm(drawn, axis=-1, keepdims=True))
        self.similarity, self.sharpness = similarity, sharpness

    def __call__(self, x: Frames) -> Frames:
        known = self.sharpness * (x @ self.voices[...].T - self.similarity)
        return jnp.concatenate([jnp.zeros_like(known[..., :1]), known], axis=-1)


class Voiceprint(Layer):
    """Sound -> what the voice of the last seconds is like: [batch, time, hop] -> [batch, time, vector], of length 1.

    The encoder was trained on 1.6 s of speech at -30 dB. So quiet sound is amplified by its running level, pauses leave
    all states as they are, and a state begins anew after `heard_frames` of speech: `listeners` states do so in turns,
    and the oldest answers. Vectors are zeros in pauses and before `least_frames` of speech.

    State: (float32[batch], the level, and int32[batch], the frames that it is a mean of), the spectrum's, int32[batch]
    frames since speech, int32[batch] frames of speech, and the LSTMs', [batch, listeners, hidden].

    Args:
        settings: of the model.
        rngs: random streams that draw the parameters.
    """

    def __init__(self, settings: SpeakerSettings, *, rngs: nnx.Rngs):
        s = self.settings = settings
        filters = MelFilterbank(s.sample_rate, s.window_samples, s.mels)
        self.mel = Chain(STFT(s.window_samples, s.hop_samples), PowerSpectrum(), filters)
        widths = [s.mels] + [s.hidden] * (s.layers - 1)
        self.core = Chain(*(Recurrent(LSTM(width, s.hidden, rngs=rngs)) for width in widths))
        self.head = Dense(s.hidden, s.vector, rngs=rngs)

    def init_state(self, batch_size: int) -> State:
        count = lambda: jnp.zeros(batch_size, jnp.int32)  # noqa: E731
        several = self.core.init_state(batch_size * self.settings.listeners)
        core = jax.tree.map(lambda leaf: leaf.reshape(batch_size, self.settings.listeners, leaf.shape[-1]), several)
        quiet = jnp.full(batch_size, HANGOVER_FRAMES, jnp.int32)
        return (jnp.zeros(batch_size, jnp.float32), count()), self.mel.init_state(batch_size), quiet, (count(), core)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        level, mel, quiet, core = state
        level, (gain, loud) = self._follow(level, jnp.mean(x[:, 0] ** 2, axis=-1))
        mel, bands = self.mel.step(mel, x * gain[:, None, None])
        quiet, speaks = self._pause(quiet, loud)
        core, y = self._advance(core, (bands[:, 0], speaks))
        return (level, mel, quiet, core), y[:, None]

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        level, mel, quiet, core = state
        level, (gains, loud) = jax.lax.scan(self._follow, level, jnp.mean(x**2, axis=-1).T)
        mel, bands = self.mel.scan(mel, x * gains.T[:, :, None])
        quiet, speaks = jax.lax.scan(self._pause, quiet, loud)
        core, y = jax.lax.scan(self._advance, core, (jnp.moveaxis(bands, 1, 0), speaks))
        return (level, mel, quiet, core), jnp.moveaxis(y, 0, 1)

    def _follow(self, state: State, power: jax.Array) -> tuple[State, tuple[jax.Array, jax.Array]]:
        """The level of speech, what to multiply sound by, and whether this frame is no pause."""
        level, frames = state
        counts = (power > SILENCE) & (power > PAUSE * level)
        frames = jnp.minimum(frames + counts, LEVEL_FRAMES)
        level = level + jnp.where(counts, (power - level) / jnp.maximum(frames, 1), 0)
        return (level, frames), (jnp.sqrt(jnp.maximum(1.0, SPEECH / jnp.maximum(level, SILENCE))), counts)

    def _pause(self, quiet: jax.Array, loud: jax.Array) -> tuple[jax.Array, jax.Array]:
        quiet = jnp.where(loud, 0, jnp.minimum(quiet + 1, HANGOVER_FRAMES))
        return quiet, quiet < HANGOVER_FRAMES

    def _advance(self, state: State, heard: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        """One frame of bands[batch, mels] for all listeners; a pause changes nothing."""
        (frames, before), (bands, speaks) = state, heard
        s, batch = self.settings, bands.shape[0]
        # In frames that each listener has heard, if it began before the stream did.
        turns = jnp.arange(s.listeners) * (s.heard_frames // s.listeners)
        age = (frames[:, None] + turns) % s.heard_frames
        begun = jax.tree.map(lambda leaf: leaf * (age > 0)[:, :, None], before)
        flat = jax.tree.map(lambda leaf: leaf.reshape(batch * s.listeners, leaf.shape[-1]), begun)
        flat, y = self.core.step(flat, jnp.repeat(bands, s.listeners, axis=0)[:, None])
        after = jax.tree.map(lambda leaf: leaf.reshape(batch, s.listeners, leaf.shape[-1]), flat)
        core = jax.tree.map(lambda new, old: jnp.where(speaks[:, None, None], new, old), after, before)
        oldest = (age == age.max(axis=1, keepdims=True))[:, :, None]
        raw = jax.nn.relu(
            self.head(jnp.sum(y.reshape(batch, s.listeners, y.shape[-1]) * oldest, axis=1)[:, None])[:, 0]
        )
        vector = raw / jnp.maximum(jnp.linalg.norm(raw, axis=-1, keepdims=True), 1e-6)
        frames = frames + speaks
        told = speaks & (frames >= s.least_frames)
        # Large numbers of frames are as good as smaller ones with the same remainder.
        frames = jnp.where(frames >= 4 * s.heard_frames, frames - 2 * s.heard_frames, frames)
        return (frames, core), vector * told[:, None]


__all__ = ["Speaker", "SpeakerSettings", "Voiceprint", "Voices"]
