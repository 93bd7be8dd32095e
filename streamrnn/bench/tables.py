"""What was measured, as tables, and figures to a few digits."""

from collections.abc import Collection, Sequence
from typing import Any

from rich import box
from rich.table import Table


def rows_table(
    title: str,
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str] | None = None,
    left: Collection[str] = ("name",),
) -> Table:
    """A table of rows that have the same keys; `columns` chooses among these, those in `left` are text."""
    table, columns = Table(title=title, title_justify="left"), columns or tuple(rows[0])
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    return table


def figures_table(title: str, columns: Sequence[str], left: Collection[str] = ()) -> Table:
    """A table without rows and lines: columns in `left` are text, and a note may take several lines."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=column != "note")
    return table


def machine_line(machine: dict[str, Any]) -> str:
    """What describe_machine() told, in a line."""
    return f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}, {machine['system']}"


def cell(value: Any) -> str:
    """A figure, an answer or nothing, as text."""
    if isinstance(value, bool):
        return "yes" if value else "[red]no[/red]"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def rounded(value: Any, digits: int = 3) -> float:
    """So many significant digits."""
    return float(f"{value:.{digits}g}")


__all__ = ["cell", "figures_table", "machine_line", "rounded", "rows_table"]
