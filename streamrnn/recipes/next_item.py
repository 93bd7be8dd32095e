"""Training of models of the next item, on texts read in rows that go on from batch to batch."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.data.series import read_text
from streamrnn.learning import TrainingSettings
from streamrnn.lines import TextLines
from streamrnn.losses import Mean, frame_cross_entropy
from streamrnn.models import NextItem, NextItemSettings
from streamrnn.recipes.recipe import outputs, require_counts

VALIDATED_ITEMS = 512


@dataclass(frozen=True)
class TypingTraining:
    """Settings of `streamrnn train typing`.

    Raises:
        ValueError: a number is out of its range.
    """

    model: NextItemSettings = field(default_factory=NextItemSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=600, learning_rate=6e-3, weight_decay=1e-3, ema_decay=0.98, validate_every=150
        )
    )
    rows: int = 32
    """Sequences read in parallel, from different places in the text."""
    items: int = 96
    """Characters per sequence and update; the state carries over to the next update."""

    def __post_init__(self):
        require_counts(self, "rows", "items")


class TypingRecipe:
    """The next character of a text: cross-entropy; validated by its negative, in nats."""

    Settings = TypingTraining

    def __init__(self, data: Sequence[Path], settings: TypingTraining):
        text = read_text(data)
        self.recordings, self.training = text.files, settings.training
        symbols = settings.model.symbols or tuple(sorted(set(text.parts["train"])))
        self.settings = dataclasses.replace(settings, model=dataclasses.replace(settings.model, symbols=symbols))
        lines = TextLines(SimpleNamespace(settings=self.settings.model))
        self._ids = {name: lines.frames(text.parts[name]) for name in ("train", "valid")}
        # One character more than is read: the last one's next.
        self._row = (len(self._ids["train"]) - 1) // settings.rows
        if self._row < settings.items or len(self._ids["valid"]) <= VALIDATED_ITEMS:
            raise ValueError(
                f"the text has {len(self._ids['train']):,} characters to train on; it needs {settings.rows} rows of "
                f"{settings.items}, and more than {VALIDATED_ITEMS} to validate. Pass a longer text, or smaller --rows."
            )

    def model(self, rngs: nnx.Rngs) -> NextItem:
        return NextItem(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        s, ids = self.settings, self._ids["train"]
        rounds = self._row // s.items
        for step in range(start, stop):
            begins = self._row * np.arange(s.rows) + step % rounds * s.items
            rows = np.stack([ids[begin : begin + s.items + 1] for begin in begins])
            reset = np.full(s.rows, step % rounds == 0)
            yield {"items": rows[:, :-1], "next": rows[:, 1:, 0], "reset": reset}

    def initial_carry(self, model: NextItem, batch: dict[str, Any]) -> Any:
        return model.init_state(len(batch["items"]))

    def loss(self, model: NextItem, batch: dict[str, Any], carry: Any) -> tuple[Mean, Any]:
        carry, logits = model.scan(carry, jnp.asarray(batch["items"]))
        return frame_cross_entropy(logits, batch["next"], jnp.ones(logits.shape[:2])), carry

    def validate(self, model: NextItem) -> float:
        ids = self._ids["valid"]
        rows = (len(ids) - 1) // VALIDATED_ITEMS
        read = ids[: rows * VALIDATED_ITEMS].reshape(rows, VALIDATED_ITEMS, 1)
        comes = ids[1 : rows * VALIDATED_ITEMS + 1, 0].reshape(rows, VALIDATED_ITEMS)
        logits = outputs(model, jnp.asarray(read))
        return -float(frame_cross_entropy(logits, jnp.asarray(comes), jnp.ones(comes.shape)).value)


__all__ = ["TypingRecipe", "TypingTraining"]
