"""Training a task from a folder of recordings to a model on disk."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flax import nnx

from streamrnn.models import Model
from streamrnn.recipes.recipe import Recipe
from streamrnn.training import fit


def train(
    recipe: Recipe, task: str, settings: Any, out: Path, *, watched: Callable[[Iterator[Any]], Iterator[Any]] = iter
) -> tuple[Model, float]:
    """Trains the recipe's model, or goes on where `out` holds an earlier part of the same run.

    Args:
        recipe: built from the data and `settings`.
        task: its name in RECIPES.
        settings: what the recipe was built from, a dataclass. A run is the same where task, model and settings are, but
            for fields with metadata {"identity": False}, which change no result.
        out: folder of the checkpoints and figures; made where missing.
        watched: hands the batches through, and may end training between two of them by raising KeyboardInterrupt.

    Returns:
        The model with the weights of the best validation, and the figure that it reached there.

    Raises:
        ValueError: `out` holds another run.
        FloatingPointError: training diverged; see fit.
    """
    model = recipe.model(nnx.Rngs(recipe.training.seed))

    def batches(start: int, stop: int) -> Iterator[Any]:
        return watched(recipe.batches(start, stop))

    kept = {f.name for f in dataclasses.fields(settings) if f.metadata.get("identity", True)}
    described = {name: value for name, value in dataclasses.asdict(settings).items() if name in kept}
    identity = {"task": task, "model": type(model).__name__, "settings": described}
    figure = fit(model, recipe.loss, batches, recipe.validate, recipe.training, out, identity)
    return model, figure


__all__ = ["train"]
