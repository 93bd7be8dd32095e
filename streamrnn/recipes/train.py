"""Training of a task, from folders of recordings to a model on disk."""

import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from streamrnn.contract import Frozen
from streamrnn.data.clips import Clip, named
from streamrnn.data.series import Files
from streamrnn.layers import run_recurrences
from streamrnn.learning.dry_run import DryRun, dry_run
from streamrnn.learning.loop import Keep, fit
from streamrnn.learning.memory import shortage
from streamrnn.learning.privacy import Ledger
from streamrnn.learning.progress import Watch
from streamrnn.models import Model
from streamrnn.recipes.recipe import Beginning, Carrying, Drawing, Finishing, Recipe, digest_of

PRIVACY = "privacy.json"


def train(
    recipe: Recipe,
    task: str,
    out: Path,
    *,
    watched: Callable[[Iterator[Any]], Iterator[Any]] = iter,
    watch: Watch = lambda progress: None,
    keep: Keep = lambda model, figure: None,
    tensorboard: bool = False,
    start: Model | None = None,
) -> tuple[Model, float]:
    """Trains the recipe's model, or resumes if `out` holds an earlier part of the same run.

    Args:
        recipe: built from the data and its settings, a dataclass. A run is identified by task, model, settings and
            recordings, except for settings with metadata {"identity": False}, which do not change the result.
        task: its name.
        out: folder of the checkpoints and figures; created if missing.
        watched: passes the batches on, and may end training between two of them by raising KeyboardInterrupt.
        watch, tensorboard: see fit.
        keep: see fit; it is given a model that is finished, where the recipe is Finishing.
        start: start from this model's weights instead of random ones, where place and shape fit. A head for other
            words starts from random weights; a UserWarning names what else does not fit.

    Returns:
        The model with the weights of the best validation, and its figure. A private training (--dp-noise) writes what
        it owes to `out`/privacy.json: see streamrnn.learning.privacy.

    Raises the errors of fit, and a ValueError if no weights of `start` fit.
    """
    model = _model(recipe)
    left = None if start is None else model.initialise_from(start)
    _require_guard(model, left)
    if left:
        _warn_beyond_head(model, left)

    if isinstance(recipe, Beginning):
        recipe.begin_with(start)
    ledger = private_ledger(recipe, out) if recipe.training.private else None

    def batches(start: int, stop: int) -> Iterator[Any]:
        if ledger is None:
            return watched(recipe.batches(start, stop))
        if isinstance(recipe, Drawing):
            return watched(ledger.noted(recipe.drawn_batches(start, stop, ledger.secret), start))
        return watched(ledger.noted(recipe.batches(start, stop), start))

    def keep_finished(best: Model, figure: float) -> None:
        # A copy: the threshold or bias of what is kept is none to train on with.
        if isinstance(recipe, Finishing):
            best = nnx.clone(best)
            recipe.finish(best)
        keep(best, figure)

    identity = {
        "task": task,
        "model": type(model).__name__,
        "settings": _identity(recipe.settings),
        "recordings": recipe.recordings.digest,
    }
    if start is not None:
        identity["start"] = digest_of(start)
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
        keep=keep_finished,
        tensorboard=tensorboard,
        secret=0 if ledger is None else ledger.secret,
    )
    if isinstance(recipe, Finishing):
        recipe.finish(model)
    if ledger is not None:
        (Path(out) / PRIVACY).write_text(json.dumps(ledger.statement(), indent=2) + "\n")
        ledger.forget()
    return model, figure


def private_ledger(recipe: Recipe, out: Path) -> Ledger:
    """The ledger of a private training: of units drawn by lot, or of rows that are counted."""
    clips: list[Clip] = []
    if of_speaker := recipe.training.dp_unit == "speaker":
        if isinstance(recipe.recordings, Files):
            raise ValueError("The data of this task have no speakers to protect. Pass --dp-unit clip.")
        clips = [clip for of in recipe.recordings.speech.values() for clip in of if clip.split == "train"]
    if unknown := sum(not clip.speaker for clip in clips):
        raise ValueError(
            f"{unknown} of {len(clips)} clips have no speaker, so that none can be protected as a whole. Add the "
            "column speaker, or pass --dp-unit clip."
        )
    share = recipe.share if isinstance(recipe, Drawing) else None
    speakers: dict[str, set[str]] = {}
    for clip in clips:
        # A recording that holds clips of several speakers may have been heard of any of them.
        speakers.setdefault(str(clip.path), set()).add(clip.speaker)
    return Ledger(out, recipe.training, share, speakers if of_speaker else None)


def foresee(recipe: Recipe) -> DryRun:
    """Memory and computation of training with this recipe: see dry_run."""
    model = _model(recipe)
    return dry_run(model, recipe.loss, recipe.batches, recipe.training, initial_carry=_initial_carry(recipe))


def _require_guard(model: Model, left: list[str] | None) -> None:
    """Raises ValueError where the weights of a guard would stay random, since training does not change them."""
    frozen = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model, Frozen))]
    if frozen and (left is None or not set(left).isdisjoint(frozen)):
        raise ValueError(
            "the model has a guard, whose weights this training cannot find. Leave --guard out and add a guard to the "
            "trained model with `streamrnn guard`, or --start from a model that has one."
        )


def _warn_beyond_head(model: Model, left: list[str]) -> None:
    """Names weights at random, if they are more than a head for other words."""
    head = f"network.layers.{len(getattr(model.network, 'layers', ())) - 1}."
    if any(not name.startswith(head) for name in left):
        told = f"{len(left)} arrays of weights do not fit and begin at random: {named(left)}."
        warnings.warn(f"Of the model to start from, {told}", UserWarning, stacklevel=3)


def _model(recipe: Recipe) -> Model:
    settings = recipe.training
    try:
        model = recipe.model(nnx.Rngs(settings.seed))
    except jax.errors.JaxRuntimeError as error:
        if (said := shortage(str(error))) is None:
            raise
        raise MemoryError(f"There is too little memory for the model: {said}. Choose a smaller one.") from error
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
