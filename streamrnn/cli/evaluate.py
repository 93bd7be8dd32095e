"""`streamrnn evaluate`: figures of a model on a folder."""

import json
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

    The folder holds manifest.csv (path, ...) and, for vad, vad_segments.csv (path, start, end of speech in samples).
    """

    task: tyro.conf.Positional[str]
    """What the model is for, such as vad."""
    data: Path
    """Folder of the recordings."""
    model: Annotated[str | None, default_is("the shipped model of the task's name")] = None
    """Name of a shipped model, or the path of a .safetensors file."""
    split: Annotated[str | None, default_is("all")] = None
    """Judge recordings of this split alone."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Runs `streamrnn evaluate`. Raises what streamrnn.evaluation.evaluate raises."""
    flags = parse(Evaluate, "evaluate", args)
    configure()
    with progress("recordings") as moved:
        result = evaluate(flags.task, flags.data, flags.model or flags.task, flags.split, moved)
    if flags.json:
        print(json.dumps(result, indent=2))
    else:
        Console().print(_table(result))


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['model']} on {result['clips']} recordings of {result['data']}", title_justify="left")
    table.add_column("figure")
    for way in ("streaming", "offline"):
        table.add_column(way, justify="right")
    for name in result["streaming"]:
        table.add_row(name, *(f"{result[way][name]:.4f}" for way in ("streaming", "offline")))
    return table


__all__ = ["Evaluate", "main"]
