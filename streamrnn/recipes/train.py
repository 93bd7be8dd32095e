"""Training a task from a folder of recordings to a model on disk."""

import dataclasses
from pathlib import Path
from typing import Any

from flax import nnx

from streamrnn.models import Model
from streamrnn.recipes.recipe import Recipe
from streamrnn.training import fit


def train(recipe: Recipe, task: str, settings: Any, out: Path) -> tuple[Model, float]:
    """Trains the recipe's model, or goes on where `out` holds an earlier part of the same run.

    Args:
        recipe: built from the data and `settings`.
        task: its name in RECIPES.
        settings: what the recipe was built from. A run is the same where task, model and settings are.
        out: folder of the checkpoints and figures; made where missing.

    Returns:
        The model with the weights of the best validation, and the figure that it reached there.

    Raises:
        ValueError: `out` holds another run.
        FloatingPointError: training diverged; see fit.
    """
    model = recipe.model(nnx.Rngs(recipe.training.seed))
    identity = {"task": task, "model": type(model).__name__, "settings": dataclasses.asdict(settings)}
    figure = fit(model, recipe.loss, recipe.batches, recipe.validate, recipe.training, out, identity)
    return model, figure


__all__ = ["train"]
