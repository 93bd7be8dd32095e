"""Speaker identification: a vector that describes the voice of the last seconds, and the enrolled speaker it
matches."""

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

# Power (full scale 1) of digital silence and of a quiet room; and of speech as in the encoder's training: -30 dB.
SILENCE, SPEECH = 1e-6, 1e-3
# Sound 20 dB below speech is a pause; pauses shorter than 0.2 s count as part of the speech around them.
PAUSE, HANGOVER_FRAMES = 0.01, 20
# The level is averaged over about five seconds of speech.
LEVEL_FRAMES = 500


@dataclass(frozen=True)
class SpeakerSettings:
    """Settings of a speaker model; the default is the encoder of Resemblyzer.

    Raises:
        ValueError: a name is empty or repeated, or heard_frames is not a multiple of listeners.
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
    """Most frames of speech that a vector describes; with `listeners` states, it is always almost as many."""
    listeners: int = 4
    """States that are reset in turn."""
    least_frames: int = 60
    """Frames of speech before the first answer."""
    lookahead_frames: int = 60
    """Frames by which outputs lag behind what they describe: about half the frames of a vector."""
    similarity: float = 0.66
    """Cosine similarity of a vector and a voice at which another speaker is equally probable."""
    sharpness: float = 30.0
    """How fast probabilities change with the cosine."""

    def __post_init__(self):
        if len(set(self.speakers)) < len(self.speakers) or not all(self.speakers):
            raise ValueError(f"SpeakerSettings got the speakers {self.speakers}; names must differ and not be empty.")
        if self.listeners < 1 or self.heard_frames % self.listeners:
            raise ValueError(
                f"SpeakerSettings got heard_frames={self.heard_frames} and listeners={self.listeners}; the first must "
                "be a multiple of the second. Pass 160 and 4."
            )


class Speaker(Model):
    """Level -> mel spectrum -> LSTMs that are reset every 1.6 s of speech, in turn -> a unit vector -> names.

    Without speakers, outputs are vectors, [.., vector], zeros if nobody has spoken for long enough. With speakers,
    outputs are probabilities of an unknown speaker and of each enrolled one, in the order of `labels`, which begins
    with "".

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
        """The enrolled voices, float32[speakers, vector], of length 1."""
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
    """Vectors -> logits of an unknown speaker, which is 0, and of each voice: sharpness (cosine - similarity). No
    state.

    Args:
        vector: length of a voice's vector.
        voices: number of voices; the attribute `voices` holds them, float32[voices, vector], of length 1.
        similarity, sharpness: see SpeakerSettings.
        rngs: draws random voices to start with.
    """

    def __init__(self, vector: int, voices: int, similarity: float, sharpness: float, rngs: nnx.Rngs):
        drawn = jnp.abs(jax.random.normal(rngs.params(), (voices, vector), jnp.float32))
        self.voices = nnx.Param(drawn / jnp.linalg.norm(drawn, axis=-1, keepdims=True))
        self.similarity, self.sharpness = similarity, sharpness

    def __call__(self, x: Frames) -> Frames:
        known = self.sharpness * (x @ self.voices[...].T - self.similarity)
        return jnp.concatenate([jnp.zeros_like(known[..., :1]), known], axis=-1)


class Voiceprint(Layer):
    """Sound -> a vector that describes the voice of the last seconds: [batch, time, hop] -> [batch, time, vector], of
    length 1.

    The encoder was trained on 1.6 s of speech at -30 dB. So quiet sound is amplified according to its running level,
    pauses leave all states unchanged, and a state is reset after `heard_frames` of speech: `listeners` states take
    turns, and the oldest one provides the output. Vectors are zeros in pauses and before `least_frames` of speech.

    State: (float32[batch], the level, and int32[batch], the number of frames averaged), the spectrum's, int32[batch]
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
        """The speech level, the gain for the sound, and whether this frame is not a pause."""
        level, frames = state
        counts = (power > SILENCE) & (power > PAUSE * level)
        frames = jnp.minimum(frames + counts, LEVEL_FRAMES)
        level = level + jnp.where(counts, (power - level) / jnp.maximum(frames, 1), 0)
        return (level, frames), (jnp.sqrt(jnp.maximum(1.0, SPEECH / jnp.maximum(level, SILENCE))), counts)

    def _pause(self, quiet: jax.Array, loud: jax.Array) -> tuple[jax.Array, jax.Array]:
        quiet = jnp.where(loud, 0, jnp.minimum(quiet + 1, HANGOVER_FRAMES))
        return quiet, quiet < HANGOVER_FRAMES

    def _advance(self, state: State, heard: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        """One frame of bands[batch, mels] for all states; a pause changes nothing."""
        (frames, before), (bands, speaks) = state, heard
        s, batch = self.settings, bands.shape[0]
        # The age of each state in frames, as if the first ones had been reset before the stream began.
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
        # Frame counts wrap, so that they never overflow; only their remainder matters.
        frames = jnp.where(frames >= 4 * s.heard_frames, frames - 2 * s.heard_frames, frames)
        return (frames, core), vector * told[:, None]


__all__ = ["Speaker", "SpeakerSettings", "Voiceprint", "Voices"]
