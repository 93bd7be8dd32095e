"""Training on recordings in a folder per label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data import read_clips
from streamrnn.data.recordings import of_split, recordings_to_train_on
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, frame_cross_entropy
from streamrnn.recipes.recipe import outputs
from three_files.model import LABELS, Pitch, PitchSettings

ROW_BLOCKS = 25


@dataclass(frozen=True)
class PitchTraining:
    """Settings of `streamrnn train pitch`."""

    model: PitchSettings = field(default_factory=PitchSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    rows: int = 8
    """Half seconds per update."""


class PitchRecipe:
    """Cross-entropy of every frame; validated by the share of frames that are right."""

    Settings = PitchTraining

    def __init__(self, data: Sequence[Path], settings: PitchTraining):
        self.settings, self.training = settings, settings.training
        self.recordings = recordings_to_train_on(data)
        clips = [clip for of_folder in self.recordings.speech.values() for clip in of_folder]
        self._read = {split: self._sounds(of_split(clips, split)) for split in ("train", "valid")}

    def model(self, rngs: nnx.Rngs) -> Pitch:
        return Pitch(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for step in range(start, stop):
            yield self._drawn("train", np.random.default_rng([self.training.seed, step]))

    def loss(self, model: Pitch, batch: dict[str, Any]) -> Mean:
        logits = aligned(model, batch["samples"])
        labels = jnp.broadcast_to(batch["labels"][:, None], logits.shape[:2])
        return frame_cross_entropy(logits, labels, jnp.ones(logits.shape[:2]))

    def validate(self, model: Pitch) -> float:
        batch = self._drawn("valid", np.random.default_rng(1))
        found = np.argmax(outputs(model, batch["samples"]), axis=-1)
        return float(np.mean(found == batch["labels"][:, None]))

    def _sounds(self, clips: Sequence[Any]) -> list[tuple[int, np.ndarray]]:
        rate = self.settings.model.sample_rate
        return [(LABELS.index(clip.label), samples) for clip, samples in read_clips(clips, rate)]

    def _drawn(self, split: str, rng: np.random.Generator) -> dict[str, Any]:
        hop, sounds = self.settings.model.hop_samples, self._read[split]
        rows = []
        for number in rng.integers(len(sounds), size=self.settings.rows):
            label, samples = sounds[number]
            start = rng.integers(len(samples) - ROW_BLOCKS * hop + 1)
            rows.append((label, samples[start : start + ROW_BLOCKS * hop].reshape(-1, hop)))
        labels, samples = zip(*rows, strict=True)
        return {"samples": np.stack(samples) / np.float32(32768), "labels": np.array(labels, np.int32)}


__all__ = ["PitchRecipe", "PitchTraining"]
