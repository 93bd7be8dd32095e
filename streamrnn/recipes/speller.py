"""Training of models of spelling: CTC from letters to phonemes."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.clips import named
from streamrnn.data.pronunciations import read_pronunciations
from streamrnn.learning import TrainingSettings
from streamrnn.lines import SpellingLines, searched
from streamrnn.lines.spelling import FRAMES_PER_LETTER
from streamrnn.losses import Mean, ctc_loss
from streamrnn.models import Speller, SpellerSettings
from streamrnn.recipes.padding import padded
from streamrnn.recipes.recipe import outputs, require_counts

VALIDATED_WORDS = 512


@dataclass(frozen=True)
class SayTraining:
    """Settings of `streamrnn train say`.

    Raises:
        ValueError: a number is out of its range.
    """

    model: SpellerSettings = field(default_factory=SpellerSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=6000, learning_rate=3e-3, weight_decay=1e-3, ema_decay=0.995, validate_every=500
        )
    )
    words: int = 64
    """Words per update."""
    longest_letters: int = 14
    """Maximum letters per word; longer words are left out."""

    def __post_init__(self):
        require_counts(self, "words", "longest_letters")


class SayRecipe:
    """Pronunciations of words: CTC loss on one of a word's pronunciations at a time; validated by word accuracy."""

    Settings = SayTraining

    def __init__(self, data: Sequence[Path], settings: SayTraining):
        found = read_pronunciations(data)
        self.recordings, self.training = found.files, settings.training
        train, model = found.parts["train"], settings.model
        if not train or not found.parts["valid"]:
            raise ValueError("there are no words to train on, or none to validate. Pass a dictionary with both parts.")
        letters = model.letters or tuple(sorted({letter for word in train for letter in word}))
        said = {phoneme for ways in train.values() for way in ways for phoneme in way}
        if model.phonemes and (others := sorted(said - {*model.phonemes})):
            raise ValueError(
                f"words are said with {named(others)}, which --phonemes lacks. Add all of them, or "
                "leave --phonemes out: they are taken from the words."
            )
        model = dataclasses.replace(model, letters=letters, phonemes=model.phonemes or tuple(sorted(said)))
        self.settings = dataclasses.replace(settings, model=model)
        ids = {phoneme: number for number, phoneme in enumerate(model.phonemes, start=1)}
        lines = SpellingLines(SimpleNamespace(settings=model))
        self._pairs = [
            (lines.frames(word), np.array([ids[phoneme] for phoneme in way], np.int32))
            for word, ways in train.items()
            for way in ways
            if len(word) <= settings.longest_letters
        ]
        self._pairs = [pair for pair in self._pairs if len(pair[1]) <= len(pair[0])]
        if not self._pairs:
            raise ValueError(f"no word has {settings.longest_letters} letters or fewer. Raise --longest-letters.")
        valid = list(found.parts["valid"].items())[:VALIDATED_WORDS]
        self._valid = [lines.frames(word) for word, _ in valid]
        self._said = [ways for _, ways in valid]

    def model(self, rngs: nnx.Rngs) -> Speller:
        return Speller(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        frames = self.settings.longest_letters * FRAMES_PER_LETTER
        for step in range(start, stop):
            rng = np.random.default_rng([self.training.seed, step])
            drawn = [self._pairs[n] for n in rng.integers(len(self._pairs), size=self.settings.words)]
            letters, lengths = padded([pair[0] for pair in drawn], frames)
            labels, label_lengths = padded([pair[1] for pair in drawn], frames)
            yield {"letters": letters, "lengths": lengths, "labels": labels, "label_lengths": label_lengths}

    def loss(self, model: Speller, batch: dict[str, Any]) -> Mean:
        logits = aligned(model, batch["letters"])
        return ctc_loss(logits, batch["labels"], batch["lengths"], batch["label_lengths"])

    def validate(self, model: Speller) -> float:
        longest = max(map(len, self._valid))
        letters, lengths = padded(self._valid, longest)
        posteriors = np.asarray(model.readout(outputs(model, jnp.asarray(letters))))
        right = [
            tuple(model.settings.phonemes[number - 1] for number in searched(row[:length], 2)) in ways
            for row, length, ways in zip(posteriors, lengths, self._said, strict=True)
        ]
        return float(np.mean(right))


__all__ = ["SayRecipe", "SayTraining"]
