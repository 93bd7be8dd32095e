"""`streamrnn compose`: test recordings with known truth, made of the recordings of a split."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamrnn.cli.flags import dispatch
from streamrnn.cli.progress import progress
from streamrnn.data import reading_outside
from streamrnn.tasks import Task, tasks

# What the command line gives by itself, or not at all.
HIDDEN = {"progress", "settings"}


def main(args: list[str]) -> None:
    """Runs `streamrnn compose`. Raises what the task's test_set raises."""
    composers = {task.name: composer(task) for task in tasks() if task.test_set is not None}
    composers["situations"] = situations
    dispatch(composers, "compose", args, "Composes test recordings with known truth, for streamrnn evaluate.")


def composer(task: Task) -> Callable[..., None]:
    """The function behind `streamrnn compose TASK`: its flags are the parameters of the task's test_set."""
    write = task.resolve("test_set")

    def run(*, read_outside: bool = False, **flags: Any) -> None:
        with progress("recordings") as moved, reading_outside(read_outside):
            write(progress=moved, **flags)
        told = f"wrote {flags['clips']} recordings to {flags['out']}"
        print(f"{told}. Next: streamrnn evaluate {task.name} --data {flags['out']}")

    signature = inspect.signature(write)
    shown = [parameter for name, parameter in signature.parameters.items() if name not in HIDDEN]
    outside = inspect.signature(run).parameters["read_outside"]
    wrapped: Any = run
    wrapped.__signature__ = signature.replace(parameters=[*shown, outside])
    wrapped.__annotations__ = {name: of for name, of in inspect.get_annotations(write).items() if name not in HIDDEN}
    wrapped.__annotations__["read_outside"] = bool
    wrapped.__doc__ = _explained(write)
    return wrapped


def situations(
    data: tuple[Path, ...],
    out: Path,
    *,
    hours: float = 1.0,
    split: str = "test",
    seed: int = 0,
    only: tuple[str, ...] = (),
    read_outside: bool = False,
) -> None:
    """Composes situations that detectors meet: onsets of noise, tones, mute, codecs, whispers, words in noise...

    Evaluate a model in them with streamrnn evaluate vad --situations OUT; also keywords and digits. They take some
    100 MB per hour and situation. Situations whose words or codec are missing are left out with a warning.

    Args:
        data: folders of recordings, or folders of such folders, as for streamrnn train.
        out: created if missing; must not hold situations yet.
        hours: approximate hours of each situation.
        split: train, valid or test.
        seed: random seed.
        only: compose these situations only.
        read_outside: read recordings that a table names by paths out of its own folder.
    """
    from streamrnn.recipes.test_sets.situations import write_situations

    with progress("situations") as moved, reading_outside(read_outside):
        written = write_situations(data, out, hours=hours, split=split, seed=seed, only=only, progress=moved)
    told = f"{len(written)} situation{'s' * (len(written) != 1)}"
    print(f"wrote {told} to {out}. Next: streamrnn evaluate vad --situations {out}")


def _explained(write: Callable[..., None]) -> str:
    """The function's docstring up to what it raises, with the flag that the command adds."""
    told = inspect.getdoc(write) or ""
    flag = "read_outside: read recordings that a table names by paths out of its own folder."
    return f"{told.partition('Raises:')[0].rstrip()}\n    {flag}"


__all__ = ["composer", "main"]
