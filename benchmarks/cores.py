"""Cores in the network of one model: how fast each learns, and how well those hear that were trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.core_accuracy import check_folders, judged, saved_systems
from benchmarks.core_training import training_throughput
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.online_report import size, wide_console
from streamrnn.bench.online_systems import SYSTEMS, check_systems, system_model
from streamrnn.bench.tables import figures_table, machine_line
from streamrnn.pretrained import load
from streamrnn.runtime import configure, keep_memory


@dataclass(frozen=True)
class CoresEffort:
    """How much is measured."""

    training_frames: tuple[int, ...] = (100, 1000, 10_000)
    """Lengths of the recordings that training is timed on."""
    training_rounds: int = 5
    rounds: int = 30
    """Turns that each trained model gets."""
    turn_s: float = 0.1


QUICK = CoresEffort(training_frames=(100, 1000), training_rounds=3, rounds=5, turn_s=0.05)
FULL = CoresEffort()


def compare_cores(
    systems: tuple[str, ...] = SYSTEMS,
    effort: CoresEffort = QUICK,
    weights: Sequence[Path] = (),
    data: Sequence[Path] = (),
    model_name: str | PathLike[str] = "vad",
) -> dict[str, Any]:
    """Measures training of networks that differ in their core alone, and the accuracy of trained ones. Ready for JSON.

    It calls streamrnn.configure(): call it before JAX is used.

    Args:
        systems: names of SYSTEMS.
        effort: how much is measured: QUICK, FULL, or another.
        weights: folders with SYSTEM.safetensors, the models of one task in each: their accuracy is measured.
        data: for each folder of weights, labelled recordings as evaluate(task, ...) reads them.
        model_name: the voice activity model whose core is timed in training; a shipped one's name, or a path.

    Returns:
        machine, model; training: see training_throughput; accuracy, one row per saved model: see core_accuracy.judged.

    Raises:
        ValueError: there is no such system, there are not as many weights as data, or see core_accuracy.
        FileNotFoundError: there is no such model or folder.
        AudioError: none of the recordings could be read.
    """
    check_systems(systems)
    check_folders(weights, data)
    configure()
    # As `streamrnn train` does; transformers, whose updates need most memory, gain most.
    keep_memory()
    saved = [saved_systems(folder, systems) for folder in weights]
    reference = load(model_name)
    settings = {name: system_model(name, reference).settings for name in systems}
    pairs = zip(saved, data, strict=True)
    return {
        "machine": describe_machine(),
        "model": str(model_name),
        "training": training_throughput(settings, effort.training_frames, effort.training_rounds),
        "accuracy": [row for models, of in pairs for row in judged(models, of, effort.rounds, effort.turn_s)],
    }


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_cores() returned as tables."""
    console = console or wide_console()
    console.print(machine_line(report["machine"]))
    console.print(_training(report["training"]))
    if report["accuracy"]:
        console.print(_accuracy(report["accuracy"]))


def _training(rows: list[dict[str, Any]]) -> Table:
    table = figures_table(
        "Training: frames per second, forward and backward",
        ["system", "frames", "frames/s", "p10-p90", "note"],
        left=("system", "note"),
    )
    for row in rows:
        spread = f"{size(row['p10'])}-{size(row['p90'])}" if "p10" in row else ""
        table.add_row(row["system"], str(row["frames"]), size(row.get("frames_per_s")), spread, row["note"])
    return table


def _accuracy(rows: list[dict[str, Any]]) -> Table:
    title = "Accuracy of trained models, streaming; ms of one core per second of sound, after a minute"
    table = figures_table(
        title,
        ["task", "system", "figure", "value", "95 %", "clips", "parameters", "ms/s"],
        ("task", "system", "figure"),
    )
    for row in rows:
        interval = "" if row["interval"] is None else "-".join(f"{end:.4f}" for end in row["interval"])
        counted = [str(row["clips"]), size(row["parameters"]), size(row["core_ms_per_s"])]
        table.add_row(row["task"], row["core"], row["figure"], f"{row['value']:.4f}", interval, *counted)
    return table


__all__ = ["FULL", "QUICK", "CoresEffort", "compare_cores", "print_report"]
