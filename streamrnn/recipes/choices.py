"""Training of models of choices, on whole people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.choices import read_people
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, frame_cross_entropy
from streamrnn.models import Choices, ChoicesSettings
from streamrnn.recipes.padding import padded
from streamrnn.recipes.recipe import outputs, require_counts, require_shares


@dataclass(frozen=True)
class ChoicesTraining:
    """Settings of `streamrnn train choices`.

    Raises:
        ValueError: a number is out of its range.
    """

    model: ChoicesSettings = field(default_factory=ChoicesSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=500, learning_rate=6e-3, weight_decay=1e-2, ema_decay=0.98, validate_every=50
        )
    )
    people: int = 64
    """People per update, with all their choices."""
    shuffled_share: float = 0.0
    """Share of people whose options are relabelled at random, for models that must not learn which option was good
    when: everyone in a study met the same options at the same time."""

    def __post_init__(self):
        require_counts(self, "people")
        require_shares(self, "shuffled_share")


class ChoicesRecipe:
    """A person's next choice: cross-entropy; validated by its negative on held-out people, in nats."""

    Settings = ChoicesTraining

    def __init__(self, data: Sequence[Path], settings: ChoicesTraining):
        found = read_people(data)
        self.recordings, self.settings, self.training = found.files, settings, settings.training
        if not found.parts["valid"]:
            raise ValueError(f"{found.files.paths[0]} has too few people: it needs seven or more.")
        longest = max(len(person) for people in found.parts.values() for person in people)
        self._people = {name: padded(people, longest)[0] for name, people in found.parts.items() if people}
        most = max(people[..., 0].max() for people in self._people.values())
        if most > settings.model.options:
            raise ValueError(f"There are choices up to {most:g}; the model has --options {settings.model.options}.")
        highest = max(people[..., 1].max() for people in self._people.values())
        if highest > settings.model.highest:
            told = f"There are rewards up to {highest:g}; the model has --highest {settings.model.highest:g}."
            raise ValueError(f"{told} Live, higher ones are refused. Pass --highest {highest:g}.")
        for part in ("train", "valid"):
            found.part(part)

    def model(self, rngs: nnx.Rngs) -> Choices:
        return Choices(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        people, options = self._people["train"], self.settings.model.options
        for step in range(start, stop):
            rng = np.random.default_rng([self.training.seed, step])
            drawn = people[rng.integers(len(people), size=self.settings.people)].copy()
            for person in np.flatnonzero(rng.random(len(drawn)) < self.settings.shuffled_share):
                names = np.concatenate([[0], 1 + rng.permutation(options)])
                drawn[person, :, 0] = names[drawn[person, :, 0].astype(int)]
            yield {"choices": drawn}

    def loss(self, model: Choices, batch: dict[str, Any]) -> Mean:
        choices = jnp.asarray(batch["choices"])
        return surprise(aligned(model, choices), choices)

    def validate(self, model: Choices) -> float:
        choices = jnp.asarray(self._people["valid"])
        return -float(surprise(outputs(model, choices), choices).value)


def surprise(logits: Any, choices: Any) -> Mean:
    """The cross-entropy of what was chosen next: logits[people, choices, options], choices[people, choices, 2]."""
    comes = jnp.round(choices[:, 1:, 0]).astype(jnp.int32)
    return frame_cross_entropy(logits[:, :-1], jnp.maximum(comes - 1, 0), (comes > 0).astype(jnp.float32))


__all__ = ["ChoicesRecipe", "ChoicesTraining", "surprise"]
