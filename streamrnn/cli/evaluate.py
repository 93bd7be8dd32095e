"""`streamrnn evaluate`: figures of a model on a folder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.progress import progress
from streamrnn.evaluation import evaluate
from streamrnn.runtime import configure


@dataclass(frozen=True)
class Evaluate:
    """Measures a model on labelled recordings: run live in chunks, and offline as whole files.

    examples:
      streamrnn evaluate vad --data recordings
      streamrnn evaluate vad --data recordings --model runs/vad/vad.safetensors --json
      streamrnn evaluate keywords --data words --split test --negatives noise music talk

    A folder holds manifest.csv (path, ...) and what the task asks for: for vad, vad_segments.csv (path, start, end of
    speech in samples); for keywords, the column label, or a folder per word; for digits, the column transcript, or
    label; for denoise, the column clean beside path, which is the noisy recording.
    """

    task: tyro.conf.Positional[str]
    """What the model is for, such as vad."""
    data: tuple[Path, ...]
    """Folders of recordings, or folders of such folders."""
    model: Annotated[str | None, default_is("the shipped model of the task's name")] = None
    """Name of a shipped model, or the path of a .safetensors file."""
    split: Annotated[tuple[str, ...], default_is("all")] = ()
    """Judge recordings of this split, or of these splits, alone."""
    exclude: tuple[str, ...] = ()
    """Names of recordings to leave out, such as those with wrong labels."""
    negatives: tuple[Path, ...] = ()
    """For keywords: folders of sound without any of the words. What is detected there is a false alarm."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Runs `streamrnn evaluate`. Raises what streamrnn.evaluation.evaluate raises."""
    flags = parse(Evaluate, "evaluate", args)
    configure()
    if not flags.data:
        raise ValueError("--data names no folder. Pass one folder of recordings, or more.")
    data, split = _one_or_all(flags.data), _one_or_all(flags.split) if flags.split else None
    extra = {"negatives": flags.negatives, "exclude": flags.exclude}
    with progress("recordings") as moved:
        result = evaluate(flags.task, data, flags.model or flags.task, split, moved, **extra)
    if flags.json:
        print(json.dumps(result, indent=2))
    else:
        Console().print(_table(result))


def _one_or_all(values: tuple) -> Any:
    return values[0] if len(values) == 1 else values


def _table(result: dict[str, Any]) -> Table:
    places = result["data"] if isinstance(result["data"], str) else ", ".join(result["data"])
    table = Table(title=f"{result['model']} on {result['clips']} recordings of {places}", title_justify="left")
    if left_out := result.get("left_out"):
        table.caption = f"{len(left_out)} more could not be judged; --json says why"
    table.add_column("figure", no_wrap=True)
    for way in ("streaming", "offline"):
        table.add_column(way, justify="right")
    streaming, offline = (dict(_lines(result[way])) for way in ("streaming", "offline"))
    for name, figure in streaming.items():
        table.add_row(name, figure, offline.get(name, ""))
    return table


def _lines(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, figure) of all that is a number or a pair of them, and of a detection curve its points."""
    for name, value in figures.items():
        match value:
            case dict():
                yield from _lines(value, f"{prefix}{name} ")
            case [{"threshold": _}, *_]:
                yield from ((f"missed, alarms/h at {point['threshold']:.2f}", _point(point)) for point in value)
            case list() | tuple():
                yield f"{prefix}{name}", " to ".join(f"{number:.4g}" for number in value)
            case int() | float():
                yield f"{prefix}{name}", f"{value:.4f}" if isinstance(value, float) else str(value)


def _point(point: dict[str, Any]) -> str:
    bound = "" if point["bound_per_hour"] is None else f" (below {point['bound_per_hour']:.1f})"
    return f"{100 * point['miss_rate']:.1f} %, {point['false_alarms_per_hour']:.1f}{bound}"


__all__ = ["Evaluate", "main"]
