"""Common parts of composed test sets: numbered, independently drawn recordings, and the tables beside them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from streamrnn.data.tables import write_table

MANIFEST = "manifest.csv"

# The rows that one recording adds to each table, by the table's file name.
Rows = Mapping[str, Iterable[tuple]]


def require_new(out: Path, what: str, table: str = MANIFEST) -> None:
    """Raises FileExistsError if `out` already has that table, with which new recordings would mix."""
    if (out / table).exists():
        raise FileExistsError(f"{out} holds a {table} already; {what} would mix with it. Choose another folder.")


def require_sizes(clips: int, sample_rate: int, duration_s: float = 1.0) -> None:
    """Raises ValueError unless there is one recording or more, each of a sample or more."""
    for name, count in (("clips", clips), ("sample_rate", sample_rate)):
        if count < 1:
            raise ValueError(f"{name} is {count}; it must be at least 1.")
    if not math.isfinite(duration_s) or round(duration_s * sample_rate) < 1:
        raise ValueError(f"duration_s is {duration_s}; a recording needs a sample or more, and an end.")


def write_numbered(
    out: Path,
    tables: Mapping[str, Sequence[str]],
    count: int,
    write: Callable[[int, np.random.Generator], Rows],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes `count` recordings and their tables; number k depends only on the seed and k.

    Args:
        out: created if missing.
        tables: columns by file name, in the order of writing, manifest.csv last: it marks the folder as complete, so
            that an interrupted run can be repeated.
        count: number of recordings.
        write: (number, random numbers) -> writes that recording and returns its rows.
        seed: of the random numbers.
        progress: called with (recordings written, count) after each.

    Raises:
        ValueError: the seed is below 0.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or above.")
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple]] = {name: [] for name in tables}
    for number in range(count):
        for name, added in write(number, np.random.default_rng([seed, number])).items():
            rows[name].extend(added)
        if progress is not None:
            progress(number + 1, count)
    for name, columns in tables.items():
        write_table(out / name, columns, rows[name])


__all__ = ["MANIFEST", "Rows", "require_new", "require_sizes", "write_numbered"]
