"""What compare_memory measured, as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

from streamrnn.bench.online_report import wide_console
from streamrnn.bench.tables import figures_table, machine_line

LAGS = (1, 3, 10, 30, 100, 300)


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_memory() returned as tables."""
    console = console or wide_console()
    console.print(machine_line(report["machine"]))
    console.print(_gradients(report["gradients"]))
    console.print(_tasks(report["tasks"]))


def _gradients(gradients: dict[str, dict[str, list[float]]]) -> Table:
    longest = min(len(of_core["median"]) for of_core in gradients.values()) - 1
    lags = [lag for lag in LAGS if lag <= longest]
    title = "Gradient by the input so many frames before, over that by the last; untrained"
    table = figures_table(title, ["core", *map(str, lags)], left=("core",))
    for core, of_core in gradients.items():
        table.add_row(core, *(f"{of_core['median'][lag]:.2g}" for lag in lags))
    return table


def _tasks(rows: list[dict[str, Any]]) -> Table:
    columns = ["task", "frames", "core", "parameters", "right %", "least", "most", "chance %", "updates"]
    table = figures_table("Learned against length, over seeds", columns, left=("task", "core"))
    for row in rows:
        shares = (row["accuracy"], min(row["accuracies"]), max(row["accuracies"]), row["chance"])
        cells = [row["task"], str(row["length"]), row["core"], f"{row['parameters']:,}"]
        table.add_row(*cells, *(f"{100 * share:.1f}" for share in shares), ", ".join(map(str, row["updates"])))
    return table


__all__ = ["print_report"]
