"""Figures in situations as a table: a row for each situation, or for each detector in it."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

# Column, figure, how it is written.
COLUMNS = (
    ("starts/h", "false_starts_per_hour", "{:.0f}"),
    ("false s/h", "false_speech_s_per_hour", "{:.0f}"),
    ("found", "speech_found", "{:.3f}"),
    ("lost ms", "first_ms_lost_median", "{:.0f}"),
    ("p90", "first_ms_lost_p90", "{:.0f}"),
    ("changed", "decisions_changed", "{:.3f}"),
    ("AUC", "roc_auc", "{:.4f}"),
    ("words", "words", "{}"),
    ("words found", "words_found", "{:.3f}"),
    ("at 10 false/h", "words_found_at_10_per_hour", "{:.3f}"),
    ("false words/h", "false_words_per_hour", "{:.1f}"),
    ("words/h", "words_heard_per_hour", "{:.1f}"),
)


def situations_table(title: str, rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """The table of figures by the name of who hears and the situation; without a name, that column is left out."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    figures = {figure for by_situation in rows.values() for row in by_situation.values() for figure in row}
    columns = [column for column in COLUMNS if column[1] in figures]
    for heading in ("situation", *(["detector"] if any(rows) else [])):
        table.add_column(heading, no_wrap=True)
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    for situation in dict.fromkeys(name for by_situation in rows.values() for name in by_situation):
        for name, by_situation in rows.items():
            row = by_situation[situation]
            cells = [written.format(row[figure]) if figure in row else "" for _, figure, written in columns]
            table.add_row(situation, *([name] if any(rows) else []), *cells)
    return table


__all__ = ["situations_table"]
