"""Training a task from folders of recordings to a model on disk."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flax import nnx

from streamrnn.models import Model
from streamrnn.recipes.recipe import Carrying, Recipe
from streamrnn.training.dry_run import DryRun, dry_run
from streamrnn.training.loop import fit
from streamrnn.training.progress import Watch


def train(
    recipe: Recipe,
    task: str,
    settings: Any,
    out: Path,
    *,
    watched: Callable[[Iterator[Any]], Iterator[Any]] = iter,
    watch: Watch = lambda progress: None,
    tensorboard: bool = False,
) -> tuple[Model, float]:
    """Trains the recipe's model, or goes on where `out` holds an earlier part of the same run.

    Args:
        recipe: built from the data and `settings`.
        task: its name in RECIPES.
        settings: what the recipe was built from, a dataclass. A run is the same where task, model and settings are, but
            for fields with metadata {"identity": False}, which change no result.
        out: folder of the checkpoints and figures; made where missing.
        watched: hands the batches through, and may end training between two of them by raising KeyboardInterrupt.
        watch, tensorboard: see fit.

    Returns:
        The model with the weights of the best validation, and the figure that it reached there.

    Raises what fit raises.
    """
    model = recipe.model(nnx.Rngs(recipe.training.seed))

    def batches(start: int, stop: int) -> Iterator[Any]:
        return watched(recipe.batches(start, stop))

    identity = {"task": task, "model": type(model).__name__, "settings": _identity(settings)}
    figure = fit(
        model,
        recipe.loss,
        batches,
        recipe.validate,
        recipe.training,
        out,
        identity,
        initial_carry=_initial_carry(recipe),
        watch=watch,
        tensorboard=tensorboard,
    )
    return model, figure


def foresee(recipe: Recipe) -> DryRun:
    """What training with this recipe will take: see dry_run."""
    model = recipe.model(nnx.Rngs(recipe.training.seed))
    return dry_run(model, recipe.loss, recipe.batches, recipe.training, initial_carry=_initial_carry(recipe))


def _initial_carry(recipe: Recipe) -> Callable[[Any, Any], Any] | None:
    return recipe.initial_carry if isinstance(recipe, Carrying) else None


def _identity(settings: Any) -> Any:
    if not dataclasses.is_dataclass(settings):
        return settings
    kept = [field.name for field in dataclasses.fields(settings) if field.metadata.get("identity", True)]
    return {name: _identity(getattr(settings, name)) for name in kept}


__all__ = ["foresee", "train"]
