"""`streamrnn train`: from a folder of recordings to a model on disk."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamrnn.cli.flags import dispatch
from streamrnn.cli.interrupt import until_interrupted
from streamrnn.pretrained import save
from streamrnn.recipes import RECIPES, Recipe
from streamrnn.recipes.train import train
from streamrnn.training.checkpoints import last_step


def main(args: list[str]) -> None:
    """Runs `streamrnn train`. Raises what streamrnn.recipes.train.train raises, and KeyboardInterrupt."""
    trainers = {task: trainer(task, recipe) for task, recipe in RECIPES.items()}
    dispatch(trainers, "train", args, "Trains a model on a folder of recordings.")


def trainer(task: str, recipe: type[Recipe]) -> Callable[..., None]:
    """The function behind `streamrnn train TASK`: its flags are the fields of the recipe's settings."""

    def run(data: Path, settings: Any, out: Path = Path("runs", task)) -> None:
        """Trains a model; goes on where an interrupted run of the same settings ended.

        Args:
            data: Folder of the recordings.
            out: Folder of checkpoints, figures and the finished model. Made where missing.
        """
        train_into(out, task, recipe(data, settings), settings)

    run.__annotations__["settings"] = recipe.Settings
    return run


def train_into(out: Path, task: str, recipe: Recipe, settings: Any) -> None:
    """Trains into the folder `out`, says what happens, and writes OUT/TASK.safetensors and .json."""
    if (step := last_step(out)) is not None:
        print(f"{out} holds a run at step {step}; going on from there")
    try:
        model, figure = train(recipe, task, settings, out, watched=until_interrupted)
    except KeyboardInterrupt:
        print(_how_to_go_on(out), file=sys.stderr)
        raise
    path = out / f"{task}.safetensors"
    save(model, path, task=task, figures={"validation": figure})
    print(f"validation {figure:.4f}; wrote {path}. Next: streamrnn run {path} mic")


def _how_to_go_on(out: Path) -> str:
    step = last_step(out)
    if step is None:
        return "streamrnn: stopped before the first checkpoint; the same command starts anew"
    return f"streamrnn: stopped; {out} holds step {step}, and the same command goes on from there"


__all__ = ["main", "train_into", "trainer"]
