"""`streamrnn train`: from folders of recordings to a model on disk."""

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from streamrnn.cli.flags import default_is, dispatch
from streamrnn.cli.interrupt import Interrupted, until_interrupted
from streamrnn.cli.outputs import check_folder
from streamrnn.cli.plan import plan_of, shortened
from streamrnn.cli.progress import training_progress
from streamrnn.data import reading_outside
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.devices import is_alone, is_main, join_processes
from streamrnn.models import Model
from streamrnn.pretrained import save
from streamrnn.pretrained.weights import load_weights
from streamrnn.recipes import Recipe, like
from streamrnn.recipes.train import PRIVACY, foresee, train
from streamrnn.runtime import configure, keep_memory
from streamrnn.signals import Sound
from streamrnn.tasks import find_task, tasks

ENDED_BY_SIGTERM = 128 + signal.SIGTERM
LENGTH_FLAGS = ("--steps", "--patience")


@dataclass(frozen=True)
class Processes:
    """Distributed training, on one machine or several: start the same command in each process."""

    coordinator: Annotated[str | None, default_is("one process")] = None
    """HOST:PORT of process 0; any free port."""
    num_processes: Annotated[int | None, default_is("one process")] = None
    """Number of processes."""
    process_id: Annotated[int | None, default_is("one process")] = None
    """Index of this process, from 0."""
    distributed: bool = False
    """Detect all three from the cluster (SLURM, Open MPI, Cloud TPU)."""

    def join(self) -> None:
        """Joins the others, if any are asked for. Raises what join_processes raises."""
        named = (self.coordinator, self.num_processes, self.process_id)
        if self.distributed or named != (None, None, None):
            join_processes(*named)


def main(args: list[str]) -> None:
    """Runs `streamrnn train`. Raises what streamrnn.recipes.train.train raises, and KeyboardInterrupt on Ctrl-C."""
    if args[:1] == ["wake"]:
        from streamrnn.cli import train_wake

        return train_wake.main(args[1:])
    asked = find_task(args[0]) if args else None
    trainable = [task for task in ([asked] if asked else tasks()) if task.recipe is not None]
    trainers: dict[str, Callable[..., None]] = {}
    # Not to be seen in the settings: who asks for the usual length wants it, too.
    length_is_chosen = any(arg.partition("=")[0] in LENGTH_FLAGS for arg in args)
    for task in trainable:
        recipe = task.resolve("recipe")
        trainers[task.name] = trainer(task.name, recipe, length_is_chosen, _start_in(args) if asked else None)
        if asked is None:
            trainers[task.name].__doc__ = _first_sentences(recipe)
    if asked is None:
        trainers["wake"] = _wake
    dispatch(trainers, "train", args, "Trains a model on folders of recordings.")


def _wake() -> None:
    """A wake word from its text: synthetic voices say it, and hours of other sound serve as negatives."""


def _first_sentences(recipe: type[Recipe]) -> str:
    return " ".join((recipe.__doc__ or "").strip().partition("\n\n")[0].split())


def _start_in(args: list[str]) -> str | None:
    """What follows --start, whose sizes are the defaults of other flags."""
    for number, arg in enumerate(args):
        name, given, value = arg.partition("=")
        if name == "--start":
            return value if given else next(iter(args[number + 1 :]), None)
    return None


def trainer(
    task: str, recipe: type[Recipe], length_is_chosen: bool, defaults_of: str | None = None
) -> Callable[..., None]:
    """The function behind `streamrnn train TASK`: its flags are the fields of the recipe's settings.

    Args:
        defaults_of: the model whose sizes are theirs where a flag is not given.
    """

    def run(
        *,
        data: tuple[Path, ...],
        settings: Any,
        processes: Processes,
        out: Path = Path("runs", task),
        start: Annotated[str | None, default_is("random weights")] = None,
        tensorboard: bool = False,
        dry_run: bool = False,
        read_outside: bool = False,
    ) -> None:
        """Trains a model, or resumes an interrupted run with the same settings.

        Ctrl-C and SIGTERM stop it after the current update, with a checkpoint.

        Args:
            data: Folders of recordings; for tasks without sound, files or their folder.
            out: Folder for checkpoints, figures and the finished model. Created if missing.
            start: Fine-tune this model, a shipped one's name or a path. Weights of other shapes start at random.
                For a model of the same task, its sizes become the defaults. Unless you set --steps or --patience,
                fine-tuning ends after some hundred updates, or earlier if nothing improves.
            tensorboard: Also write OUT/tensorboard.
            dry_run: Print shapes, sizes and steps, and exit before the first update.
            read_outside: Read recordings that a table names by paths out of its own folder.
        """
        if not data:
            raise ValueError("--data names no folder. Pass one folder of recordings, or more.")
        check_folder(out)
        configure()
        keep_memory()
        processes.join()
        beginning = None if start is None else load_weights(start)
        if beginning is not None and not length_is_chosen:
            settings = shortened(settings)
        with reading_outside(read_outside):
            built = recipe(data, settings)
            _say(plan_of(built, out / f"{task}.safetensors"))
            if dry_run:
                _say(str(foresee(built)))
            else:
                train_into(out, task, built, start=beginning, tensorboard=tensorboard)

    run.__annotations__["settings"] = recipe.Settings
    if defaults_of is not None:
        settings: Any = recipe.Settings
        run.__kwdefaults__["settings"] = like(settings(), load_weights(defaults_of))  # pyright: ignore[reportOptionalSubscript]
    return run


def train_into(out: Path, task: str, recipe: Recipe, **options: Any) -> None:
    """Trains into the folder `out`, says what happens, writes OUT/TASK.safetensors and .json. Options: see train."""
    _say(_where_it_goes_on(out))
    path = out / f"{task}.safetensors"

    def keep(model: Model, figure: float) -> None:
        # What a private training owes is known at its end.
        owed = {"privacy": json.loads((out / PRIVACY).read_text())} if (out / PRIVACY).exists() else {}
        save(model, path, task=task, figures={"validation": figure}, **owed)

    try:
        with training_progress() as watch:
            trained = train(recipe, task, out, watched=until_interrupted, watch=watch, keep=keep, **options)
    except KeyboardInterrupt as interrupt:
        _say(_how_to_go_on(out, path), file=sys.stderr)
        # A service manager that ends a training asks for a checkpoint; that it is there is a success. Of several
        # processes none can save what the others do not.
        if not (is_alone() and isinstance(interrupt, Interrupted) and interrupt.status == ENDED_BY_SIGTERM):
            raise
    else:
        if is_main():
            keep(*trained)
            if (out / PRIVACY).exists():
                print(privacy_told(json.loads((out / PRIVACY).read_text())))
            source = "mic" if isinstance(trained[0].signal, Sound) else "FILE"
            print(f"validation {trained[1]:.4f}; wrote {path}. Next: streamrnn run {path} {source}")


def privacy_told(owed: dict[str, Any]) -> str:
    """What a private training owes, in a sentence."""
    if owed["sampling"] == "poisson":
        how = f"each {owed['unit']} drawn by lot with probability {owed['share']:.4g} for {owed['updates']} updates"
    else:
        how = f"a {owed['unit']} in at most {owed['most_rows']} rows of {owed['updates']} updates, in any order"
    return (
        f"epsilon {owed['epsilon']:.2f} at delta {owed['delta']:g} per {owed['unit']}: noise {owed['noise']:g}, {how}"
    )


def _say(message: str, *, file: Any = None) -> None:
    if message and is_main():
        print(message, file=file, flush=True)


def _where_it_goes_on(out: Path) -> str:
    step = last_step(out)
    return "" if step is None else f"{out} holds a run at step {step}; resuming it"


def _how_to_go_on(out: Path, model: Path) -> str:
    step = last_step(out)
    if step is None:
        return "streamrnn: stopped before the first checkpoint; the same command starts over"
    best = f". {model} has the best weights so far" if model.is_file() else ""
    return f"streamrnn: stopped; {out} holds step {step}, and the same command resumes it{best}"


__all__ = ["Processes", "main", "train_into", "trainer"]
