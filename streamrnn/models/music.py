"""Music as frames of simultaneous keys: models that predict all keys of the next frame jointly."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import MADE, Chain, Dropout, Recurrent
from streamrnn.models.model import Model, require_counts
from streamrnn.signals import Series

# The expected frame is the likeliest of this many draws.
DRAWS = 64


@dataclass(frozen=True)
class MusicSettings:
    """Settings of a music model.

    Raises:
        ValueError: a count is below 1.
    """

    keys: int = 88
    """Number of keys; a piano has 88."""
    lowest_midi: int = 21
    """MIDI number of the first key; 21 is a piano's A0."""
    frames_per_s: float = 2.0
    """Frames per second: quarter notes at 120 per minute."""
    hidden: int = 160
    """State size of each GRU."""
    layers: int = 2
    """Number of GRU layers."""
    head: int = 160
    """Hidden units of the head."""
    dropout: float = 0.3
    """Dropout of the GRUs' outputs in training."""

    def __post_init__(self):
        require_counts(self, "keys", "hidden", "layers", "head")


class Music(Model):
    """Keys, 1 if sounding -> GRUs -> a state, from which `head` predicts the keys of the next frame from the lowest up,
    each given those below it.

    Outputs are the states of the last GRU; `log_probability` and `draw` interpret them.

    Source: Boulanger-Lewandowski et al. 2012, "Modeling temporal dependencies in high-dimensional sequences": its
    RNN-NADE, with GRUs and a MADE.
    """

    Settings = MusicSettings
    settings: MusicSettings

    def __init__(self, settings: MusicSettings, decision: None = None, *, rngs: nnx.Rngs):
        s = settings
        widths = [s.keys] + [s.hidden] * (s.layers - 1)
        cores = [(Recurrent(GRU(width, s.hidden, rngs=rngs)), Dropout(s.dropout, rngs=rngs)) for width in widths]
        network = Chain(*(layer for core in cores for layer in core))
        super().__init__(s, None, network, s.hidden, signal=Series(s.keys, s.frames_per_s))
        self.head = MADE(s.hidden, s.keys, s.head, rngs=rngs)

    def log_probability(self, outputs: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """The log-probability, in nats, of the frames that followed these outputs: [time, out], [time, keys] ->
        [time]."""
        return np.asarray(_log_probability(self.head, jnp.asarray(outputs), jnp.asarray(frames)))

    def draw(self, output: np.ndarray, rng: np.random.Generator, temperature: float = 1.0) -> np.ndarray:
        """Draws the next frame, float32[keys], given one output. Temperature 0 takes the likeliest of many draws."""
        rows = 1 if temperature else DRAWS
        uniforms = rng.random((rows, self.settings.keys), np.float32)
        told = jnp.broadcast_to(jnp.asarray(output), (rows, len(output)))
        drawn = np.asarray(_drawn(self.head, told, jnp.asarray(uniforms), temperature or 1.0))
        return drawn[0] if rows == 1 else drawn[int(self.log_probability(np.asarray(told), drawn).argmax())]


# At module level, because new wrappers for each call would recompile.
_log_probability = nnx.jit(lambda head, outputs, frames: head.log_probability(outputs, frames))
_drawn = nnx.jit(lambda head, outputs, uniforms, temperature: head.draw(outputs, uniforms, temperature))


__all__ = ["DRAWS", "Music", "MusicSettings"]
