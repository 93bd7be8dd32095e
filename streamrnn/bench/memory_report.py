"""What compare_memory measured, as tables."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from streamrnn.bench.online_report import wide_console

LAGS = (1, 3, 10, 30, 100, 300)


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_memory() returned as tables."""
    console, machine = console or wide_console(), report["machine"]
    console.print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}, {machine['system']}")
    console.print(_gradients(report["gradients"]))
    console.print(_tasks(report["tasks"]))


def _gradients(gradients: dict[str, dict[str, list[float]]]) -> Table:
    longest = min(len(of_core["median"]) for of_core in gradients.values()) - 1
    lags = [lag for lag in LAGS if lag <= longest]
    table = _table(
        "Gradient by the input so many frames before, over that by the last; untrained", ["core", *map(str, lags)]
    )
    for core, of_core in gradients.items():
        table.add_row(core, *(f"{of_core['median'][lag]:.2g}" for lag in lags))
    return table


def _tasks(rows: list[dict[str, Any]]) -> Table:
    columns = ["task", "frames", "core", "parameters", "right %", "chance %", "updates", "seconds", "stopped by"]
    table = _table("Learned against length", columns)
    for row in rows:
        percent = [f"{100 * row[name]:.1f}" for name in ("accuracy", "chance")]
        cells = [row["task"], str(row["length"]), row["core"], f"{row['parameters']:,}", *percent]
        table.add_row(*cells, str(row["updates"]), f"{row['seconds']:.1f}", row["stopped"])
    return table


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("task", "core", "stopped by") else "right", no_wrap=True)
    return table


__all__ = ["print_report"]
