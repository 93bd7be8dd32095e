"""How well networks hear that differ in their core alone, beside what a stream of each costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamrnn.bench.online_systems import LiveStream, System
from streamrnn.bench.tables import rounded
from streamrnn.bench.timing import summary, taking_turns
from streamrnn.data import find_folders, read_folder
from streamrnn.evaluation import evaluate
from streamrnn.pretrained import describe, load

# What the models of a task are compared by.
FIGURES = {"vad": "roc_auc", "keywords": "accuracy"}

TIMED_AT_S = 60  # by then all that a model can remember is full


def check_folders(weights: Sequence[Path], data: Sequence[Path]) -> None:
    """Raises ValueError unless each folder of models has one of recordings, FileNotFoundError where one is missing."""
    if len(weights) != len(data):
        raise ValueError(
            f"Accuracy got {len(weights)} folders of weights and {len(data)} of data. It takes as many of both: for "
            "each folder with CORE.safetensors, the recordings that these models are judged on."
        )
    for folder in (*weights, *data):
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}. Pass one that exists.")


def saved_systems(weights: Path, systems: Sequence[str]) -> dict[Path, System]:
    """The models in WEIGHTS/SYSTEM.safetensors, of those systems that have one, by their paths.

    Raises:
        ValueError: there is none, or a file holds another core than it is named after, or is of a task without figure.
    """
    paths = {name: weights / f"{name}.safetensors" for name in systems}
    found = {path: _saved_system(name, path) for name, path in paths.items() if path.is_file()}
    if not found:
        names = ", ".join(path.name for path in paths.values())
        raise ValueError(f"{weights} holds none of {names}. Put models there.")
    return found


def judged(systems: dict[Path, System], data: Path, rounds: int, turn_s: float) -> list[dict[str, Any]]:
    """Evaluates saved models on recordings, and times a stream of each that has run for a minute.

    Clips of the split train are left out.

    Args:
        systems: as saved_systems gives them.
        data: recordings as evaluate(task, ...) reads them.
        rounds, turn_s: see taking_turns.

    Returns:
        One row per model: task, core, figure (its name), value (of the streaming model), interval (low and high end at
        95 % where the evaluation tells, or None), clips, parameters, and core_ms_per_s: milliseconds that one core
        computes for a second of sound, the median.

    Raises:
        ValueError: all recordings are of the split train, or they are not labelled for the task.
        FileNotFoundError: the recordings have no table.
        AudioError: none of the recordings could be read.
    """
    split = _unheard_splits(data)
    streams = {path: _running(system) for path, system in systems.items()}
    costs = {path: summary(turns) for path, turns in taking_turns(streams, rounds, turn_s).items()}
    return [_accuracy(path, data, split) | _size(system, costs[path]) for path, system in systems.items()]


def _saved_system(name: str, path: Path) -> System:
    model = load(path)
    if (found := getattr(model.settings, "core", None)) != name:
        raise ValueError(f"{path} holds a model whose core is {found!r}. Name each file after its core.")
    if (task := _task(path)) not in FIGURES:
        raise ValueError(f"{path} is of the task {task!r}; cores are compared by {', '.join(FIGURES)}. Leave it out.")
    return System(name, model)


def _task(path: Path) -> str:
    return str(describe(path).get("task"))


def _unheard_splits(data: Path) -> list[str]:
    splits = {clip.split for folder in find_folders([data]) for clip in read_folder(folder)} - {"train"}
    if not splits:
        raise ValueError(f"All recordings of {data} are of the split train, which models have heard. Pass others.")
    return sorted(splits)


def _running(system: System) -> LiveStream:
    """A stream that has run for a minute, its memory as large as the saved model's."""
    stream = LiveStream(system.as_saved, system.weights, system.inputs)
    stream.move_to(round(TIMED_AT_S / system.model.frame_s))
    return stream


def _size(system: System, times_us: dict[str, float]) -> dict[str, float]:
    core_ms_per_s = times_us["p50_us"] / 1000 / system.model.frame_s
    return {"parameters": system.parameters, "core_ms_per_s": rounded(core_ms_per_s, 4)}


def _accuracy(path: Path, data: Path, split: list[str]) -> dict[str, Any]:
    task = _task(path)
    figure, result = FIGURES[task], evaluate(task, data, path, split)
    figures = result["streaming"]
    return {
        "task": task,
        "core": path.stem,
        "figure": figure,
        "value": figures[figure],
        "interval": figures.get(f"{figure}_interval"),
        "clips": result["clips"],
    }


__all__ = ["FIGURES", "check_folders", "judged", "saved_systems"]
