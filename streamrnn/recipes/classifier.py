"""Training of classifiers of streams: one recipe, and per task how its lines are read, varied and cut."""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.clips import named
from streamrnn.data.examples import items_of, read_examples, wanted_of
from streamrnn.decisions.metrics import best_f1
from streamrnn.learning import TrainingSettings
from streamrnn.lines import LabelLines, PenLines, QueryLines, WordLines, labels_of
from streamrnn.losses import Mean, stream_binary_cross_entropy, stream_cross_entropy
from streamrnn.models import Classifier, ClassifierSettings
from streamrnn.recipes.padding import last, padded, within
from streamrnn.recipes.recipe import OfLastWeights, outputs, require_counts, require_not_negative, require_shares

VALIDATED_ROWS = 256


@dataclass(frozen=True)
class ClassifierTraining:
    """Settings of training a classifier of streams.

    Raises:
        ValueError: a number is out of its range.
    """

    model: ClassifierSettings = field(default_factory=ClassifierSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    examples: int = 64
    """Examples per update."""
    longest_items: int = 24
    """Items per example; longer examples are truncated."""
    early_share: float = 0.5
    """Weight of all earlier answers together, relative to 1 for the last one."""
    label_smoothing: float = 0.1
    """Label smoothing: share of each target that is spread over all labels."""
    item_dropout: float = 0.1
    """Share of items that are masked in training, where items are ids."""
    left_open: float = field(default=0.02, metadata={"identity": False})
    """Share of right answers on validation that the threshold may reject. It sets the threshold, and trades missing
    labels against labels for out-of-scope examples."""

    def __post_init__(self):
        require_counts(self, "examples", "longest_items")
        require_shares(self, "label_smoothing", "item_dropout", "left_open")
        require_not_negative(self, "early_share")


class ClassifierRecipe:
    """Cross-entropy of the last answer and, with less weight, of all before it; out-of-scope targets are uniform.

    Validated by accuracy or, where streams can have several labels, by macro-F1 at the best thresholds. At the end
    the threshold is set on the validated examples.
    """

    Settings: ClassVar[type] = ClassifierTraining
    Lines: ClassVar[type[LabelLines]]
    settings: Any

    def __init__(self, data: Sequence[Path], settings: Any):
        self.check(settings.model)
        found = read_examples(data)
        self.recordings, examples = found.files, {name: found.part(name) for name in ("train", "valid")}
        labels = settings.model.labels or labels_of([example.labels for example in examples["train"]])
        if len(labels) < 2 and not settings.model.several:
            raise ValueError(
                f"the only label is {named(labels)}, so there is nothing to choose between. Add examples of another."
            )
        self.settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, labels=labels))
        self.training = settings.training
        lines = lines_for(self.Lines, self.settings.model)
        self._read = {name: items_of(of, lines.frames) for name, of in examples.items()}
        self._wanted = {name: wanted_of(of, labels) for name, of in examples.items()}
        lacking = np.flatnonzero(~self._wanted["valid"].any(axis=0))
        if len(lacking) == len(labels) or (len(lacking) and settings.model.several):
            told = named(labels[number] for number in lacking)
            raise ValueError(f"no example to validate with has the label {told}. Add examples to the part valid.")

    def check(self, settings: ClassifierSettings) -> None:
        """Raises ValueError where a model of these settings cannot take the items."""
        if not settings.ids:
            raise ValueError("ids is 0; words are hashed to 2 ids or more.")

    def model(self, rngs: nnx.Rngs) -> Classifier:
        return Classifier(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for step in range(start, stop):
            rng = np.random.default_rng([self.training.seed, step])
            drawn = rng.integers(len(self._read["train"]), size=self.settings.examples)
            items, lengths = padded([self._read["train"][n] for n in drawn], self.settings.longest_items)
            yield {"items": self.varied(items, rng), "lengths": lengths, "wanted": self._wanted["train"][drawn]}

    def varied(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The items of a batch, [batch, time, features], as they might have been."""
        if not self.settings.item_dropout:
            return items
        return np.where(rng.random((*items.shape[:2], 1)) < self.settings.item_dropout, 0, items)

    def loss(self, model: Classifier, batch: dict[str, Any]) -> Mean:
        s, logits = self.settings, aligned(model, batch["items"])
        frames, lengths, wanted = logits.shape[1], batch["lengths"], batch["wanted"].astype(jnp.float32)
        weights = last(lengths, frames) + s.early_share * within(lengths, frames) / lengths[:, None]
        if model.settings.several:
            return stream_binary_cross_entropy(logits, wanted, weights)
        return stream_cross_entropy(logits, wanted, weights, s.label_smoothing)

    def validate(self, model: Classifier) -> float:
        posteriors, wanted = self._answers(model), self._wanted["valid"]
        if model.settings.several:
            return float(np.mean([best_f1(p, w)[0] for p, w in zip(posteriors.T, wanted.T, strict=True)]))
        known = wanted.any(axis=1)
        return float(np.mean(posteriors[known].argmax(axis=1) == wanted[known].argmax(axis=1)))

    def finish(self, model: Classifier) -> None:
        """Sets the threshold: see `left_open`. Where no answer is right it stays, and a UserWarning says so."""
        posteriors, wanted = self._answers(model), self._wanted["valid"]
        if model.settings.several:
            threshold = best_f1(posteriors.ravel(), wanted.ravel())[1]
        else:
            right = wanted.any(axis=1) & (posteriors.argmax(axis=1) == wanted.argmax(axis=1))
            if not right.any():
                told = f"none of {len(right)} validated answers is right, so the threshold stays at"
                warnings.warn(f"{told} {model.decision.threshold}.", UserWarning, stacklevel=2)
                return
            threshold = float(np.quantile(posteriors[right].max(axis=1), self.settings.left_open))
        model.decision = dataclasses.replace(model.decision, threshold=round(min(max(threshold, 1e-3), 1.0), 4))

    @cached_property
    def _answers(self) -> OfLastWeights[np.ndarray]:
        return OfLastWeights(self._answered)

    def _answered(self, model: Classifier) -> np.ndarray:
        """Posteriors after the last items of the validated examples."""
        rows, found = self._read["valid"], []
        for begin in range(0, len(rows), VALIDATED_ROWS):
            some = rows[begin : begin + VALIDATED_ROWS]
            # Always as many, so that it compiles once.
            items, lengths = padded([*some, *some[:1] * (VALIDATED_ROWS - len(some))], self.settings.longest_items)
            logits = np.asarray(outputs(model, jnp.asarray(items)))[np.arange(VALIDATED_ROWS), lengths - 1]
            found.append(np.asarray(model.readout(jnp.asarray(logits)))[: len(some)])
        return np.concatenate(found)


def lines_for(kind: type[LabelLines], settings: ClassifierSettings) -> LabelLines:
    """Lines of a task before there is a model."""
    return kind(SimpleNamespace(settings=settings, labels=settings.labels, decision=None), threshold=1.0)


@dataclass(frozen=True)
class IntentTraining(ClassifierTraining):
    """Settings of `streamrnn train intent`."""

    model: ClassifierSettings = field(
        default_factory=lambda: ClassifierSettings(features=20, ids=5500, embedding=64, hidden=128)
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=1200, learning_rate=4e-3, weight_decay=1e-3, ema_decay=0.99, validate_every=200
        )
    )


class IntentRecipe(ClassifierRecipe):
    """The intent of queries to an assistant; out-of-scope queries are examples without a label."""

    Settings, Lines = IntentTraining, QueryLines


@dataclass(frozen=True)
class EmotionTraining(ClassifierTraining):
    """Settings of `streamrnn train emotion`."""

    model: ClassifierSettings = field(
        default_factory=lambda: ClassifierSettings(several=True, features=20, ids=6000, embedding=64, hidden=128)
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=8000, learning_rate=3e-3, weight_decay=1e-3, ema_decay=0.99, validate_every=1000
        )
    )
    item_dropout: float = 0.2
    """Share of items that are masked in training."""


class EmotionRecipe(ClassifierRecipe):
    """The emotions that comments express."""

    Settings, Lines = EmotionTraining, WordLines


@dataclass(frozen=True)
class PenTraining(ClassifierTraining):
    """Settings of `streamrnn train pen`."""

    model: ClassifierSettings = field(
        default_factory=lambda: ClassifierSettings(features=2, window=2, hidden=64, layers=2, dropout=0.2)
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=2500, learning_rate=4e-3, weight_decay=1e-3, ema_decay=0.995, validate_every=250
        )
    )
    longest_items: int = 8
    """Points per stroke; longer strokes are truncated."""
    early_share: float = 0.3
    """Weight of all earlier answers together, relative to 1 for the last one."""
    tilt: float = 0.15
    """Standard deviation of the random rotation, shear and stretch of strokes."""
    item_dropout: float = 0.0
    """For ids only."""
    left_open: float = field(default=0.002, metadata={"identity": False})
    """Share of right answers on validation that the threshold may reject. It sets the threshold."""

    def __post_init__(self):
        super().__post_init__()
        require_not_negative(self, "tilt")


class PenRecipe(ClassifierRecipe):
    """Digits drawn with a pen; strokes are randomly rotated, sheared, stretched and shifted."""

    Settings, Lines = PenTraining, PenLines

    def check(self, settings: ClassifierSettings) -> None:
        if (settings.features, settings.ids) != (2, 0):
            told = f"features is {settings.features} and ids {settings.ids}; a point of a pen is 2 numbers and no id."
            raise ValueError(told)

    def varied(self, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        turned = np.eye(2) + self.settings.tilt * rng.standard_normal((len(items), 2, 2))
        shifted = self.settings.tilt * rng.standard_normal((len(items), 1, 2))
        trembling = 0.02 * rng.standard_normal(items.shape)
        return (items @ turned + shifted + trembling).astype(np.float32)


__all__ = [
    "ClassifierRecipe",
    "ClassifierTraining",
    "EmotionRecipe",
    "EmotionTraining",
    "IntentRecipe",
    "IntentTraining",
    "PenRecipe",
    "PenTraining",
    "lines_for",
]
