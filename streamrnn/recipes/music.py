"""Training of models of music, on stretches of pieces in all keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.music import KEYS, LOWEST_MIDI, read_pieces
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean
from streamrnn.models import Music, MusicSettings
from streamrnn.recipes.padding import padded, within
from streamrnn.recipes.recipe import outputs, require_counts, require_not_negative


@dataclass(frozen=True)
class MusicTraining:
    """Settings of `streamrnn train music`.

    Raises:
        ValueError: a number is out of its range.
    """

    model: MusicSettings = field(default_factory=MusicSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=1500, learning_rate=4e-3, weight_decay=1e-2, ema_decay=0.99, validate_every=100
        )
    )
    pieces: int = 32
    """Excerpts per update."""
    frames: int = 48
    """Frames per excerpt."""
    transposed: int = 6
    """Maximum transposition of an excerpt in semitones, up or down."""

    def __post_init__(self):
        require_counts(self, "pieces", "frames")
        require_not_negative(self, "transposed")


class MusicRecipe:
    """The next frame of music: negative log-likelihood; validated by the log-likelihood, in nats per frame."""

    Settings = MusicTraining

    def __init__(self, data: Sequence[Path], settings: MusicTraining):
        if (settings.model.keys, settings.model.lowest_midi) != (KEYS, LOWEST_MIDI):
            raise ValueError(
                f"keys is {settings.model.keys} and lowest_midi {settings.model.lowest_midi}; pieces are read as "
                f"{KEYS} keys from {LOWEST_MIDI} on. Leave both out."
            )
        found = read_pieces(data)
        self.recordings, self.settings, self.training = found.files, settings, settings.training
        self._pieces, valid = found.part("train"), found.part("valid")
        self._valid = padded(valid, max(map(len, valid)))

    def model(self, rngs: nnx.Rngs) -> Music:
        return Music(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        s = self.settings
        for step in range(start, stop):
            rng = np.random.default_rng([self.training.seed, step])
            drawn = [self._stretch(rng) for _ in range(s.pieces)]
            keys, lengths = padded(drawn, s.frames)
            yield {"keys": keys, "lengths": lengths}

    def _stretch(self, rng: np.random.Generator) -> np.ndarray:
        piece, s = self._pieces[int(rng.integers(len(self._pieces)))], self.settings
        # Many from the first frame on, as pieces are heard.
        begin = int(rng.integers(-s.frames // 2, max(len(piece) - s.frames, 0) + 1))
        stretch = piece[max(begin, 0) :][: s.frames]
        sounding = np.flatnonzero(stretch.any(axis=0))
        if not len(sounding):
            return stretch
        down, up = min(s.transposed, int(sounding[0])), min(s.transposed, piece.shape[1] - 1 - int(sounding[-1]))
        return np.roll(stretch, int(rng.integers(-down, up + 1)), axis=1)

    def loss(self, model: Music, batch: dict[str, Any]) -> Mean:
        return surprise(model, aligned(model, batch["keys"]), batch["keys"], batch["lengths"])

    def validate(self, model: Music) -> float:
        keys, lengths = map(jnp.asarray, self._valid)
        return -float(surprise(model, outputs(model, keys), keys, lengths).value)


def surprise(model: Music, y: Any, keys: Any, lengths: Any) -> Mean:
    """Nats per frame, of all but each row's first."""
    keys = jnp.asarray(keys)
    nats = -model.head.log_probability(y[:, :-1], keys[:, 1:])
    return Mean.of(nats, within(jnp.asarray(lengths) - 1, keys.shape[1] - 1))


__all__ = ["MusicRecipe", "MusicTraining", "surprise"]
