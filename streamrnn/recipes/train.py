"""Training a task from folders of recordings to a model on disk."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from streamrnn.layers import run_recurrences
from streamrnn.models import Model
from streamrnn.recipes.recipe import Carrying, Recipe
from streamrnn.training.dry_run import DryRun, dry_run
from streamrnn.training.loop import fit
from streamrnn.training.progress import Watch


def train(
    recipe: Recipe,
    task: str,
    out: Path,
    *,
    watched: Callable[[Iterator[Any]], Iterator[Any]] = iter,
    watch: Watch = lambda progress: None,
    tensorboard: bool = False,
    start: Model | None = None,
) -> tuple[Model, float]:
    """Trains the recipe's model, or goes on where `out` holds an earlier part of the same run.

    Args:
        recipe: built from the data and its settings, a dataclass. A run is the same where task, model, settings and
            recordings are, but for settings with metadata {"identity": False}, which change no result.
        task: its name in RECIPES.
        out: folder of the checkpoints and figures; made where missing.
        watched: hands the batches through, and may end training between two of them by raising KeyboardInterrupt.
        watch, tensorboard: see fit.
        start: begin with the weights of this model instead of random ones: all whose place and shape fit, so that a
            head for other words starts anew.

    Returns:
        The model with the weights of the best validation, and the figure that it reached there.

    Raises what fit raises; a ValueError where no weights of `start` fit.
    """
    model = _model(recipe)
    if start is not None:
        model.begin_with(start)

    def batches(start: int, stop: int) -> Iterator[Any]:
        return watched(recipe.batches(start, stop))

    identity = {
        "task": task,
        "model": type(model).__name__,
        "settings": _identity(recipe.settings),
        "recordings": recipe.recordings.digest,
    }
    if start is not None:
        identity["start"] = _digest(start)
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


def _digest(model: Model) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for weight in jax.tree.leaves(nnx.state(model, nnx.Param)):
        digest.update(np.asarray(weight).tobytes())
    return digest.hexdigest()


def foresee(recipe: Recipe) -> DryRun:
    """What training with this recipe will take: see dry_run."""
    model = _model(recipe)
    return dry_run(model, recipe.loss, recipe.batches, recipe.training, initial_carry=_initial_carry(recipe))


def _model(recipe: Recipe) -> Model:
    settings = recipe.training
    model = recipe.model(nnx.Rngs(settings.seed))
    run_recurrences(model, settings.backend, settings.remat_frames)
    return model


def _initial_carry(recipe: Recipe) -> Callable[[Any, Any], Any] | None:
    return recipe.initial_carry if isinstance(recipe, Carrying) else None


def _identity(settings: Any) -> Any:
    if not dataclasses.is_dataclass(settings):
        return settings
    kept = [field.name for field in dataclasses.fields(settings) if field.metadata.get("identity", True)]
    return {name: _identity(getattr(settings, name)) for name in kept}


__all__ = ["foresee", "train"]
