"""Data that are not sound: where a task's files are, what they hold, and a digest that tells them apart."""

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrnn.data import tables

# The parts of ETTh1 that the field trains, validates and tests on: 12, 4 and 4 months of 30 days.
ETT_ROWS = (8640, 11520, 14400)


@dataclass(frozen=True)
class Files:
    """Files that a training read. `digest` tells them from others, by their names and contents, wherever they lie."""

    paths: tuple[Path, ...]

    @property
    def digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for path in self.paths:
            # With borders: a line that moved from one file to the next makes other data of the same bytes.
            content = path.read_bytes()
            digest.update(f"{path.name}\n{len(content)}\n".encode() + content)
        return digest.hexdigest()


def files_in(places: Sequence[Path], wanted: Callable[[Path], bool], what: str) -> Files:
    """The wanted files among these files, and in these folders; a file that is named itself is always wanted.

    Raises:
        FileNotFoundError: a place does not exist, or there is no such file; `what` says what was looked for,
            such as "a text (.txt)".
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"{place} does not exist. Pass {what}, or a folder that holds one.")
        found += [place] if place.is_file() else sorted(path for path in place.rglob("*") if wanted(path))
    if not found:
        raise FileNotFoundError(f"{', '.join(map(str, places))} does not hold {what}. Pass one, or its folder.")
    return Files(tuple(found))


def require_once(files: Files, places: Sequence[Path]) -> None:
    """Raises ValueError where two of the files have one name, of which one would take the other's place."""
    names = [path.name for path in files.paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{', '.join(map(str, places))} has more than one {twice[0]}. Pass the folder of one alone.")


@dataclass(frozen=True)
class Table:
    """A table of readings at equal intervals.

    Attributes:
        columns: their names.
        values: float32[rows, columns].
        parts: rows at which training, validation and test end.
        files: where it is from.
    """

    columns: tuple[str, ...]
    values: np.ndarray
    parts: tuple[int, int, int]
    files: Files


def read_table(places: Sequence[Path]) -> Table:
    """A CSV with a header, whose first column is the date; ETTh1.csv and ETTh2.csv in the parts that the field uses,
    others in three fifths, one fifth and one fifth.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there is more than one, a cell is no number, a row has more or fewer cells than the header, or it is
            no text in UTF-8. Dates are not read: rows are taken as they come, at equal intervals.
    """
    files = files_in(places, lambda path: path.suffix == ".csv", "a table (.csv)")
    path, *others = files.paths
    if others:
        raise ValueError(f"{1 + len(others)} tables: {path}, {others[0]} and so on. Pass one of them.")
    rows = list(csv.reader(io.StringIO(tables.read_text(path))))
    if len(rows) < 3 or len(rows[0]) < 2:
        raise ValueError(f"{path} is no table with a header, a column of dates and columns of numbers.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise ValueError(f"{path}, line {number} has {len(row)} cells; the header has {len(rows[0])}. Mend it.")
    try:
        values = np.array([row[1:] for row in rows[1:]], np.float32)
    except ValueError as error:
        raise ValueError(f"{path} has a cell that is no number ({error}). Mend it, or leave the column out.") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{path}, line {int(np.argwhere(~np.isfinite(values))[0, 0]) + 2} has no finite number.")
    n = len(values)
    parts = ETT_ROWS if path.stem.startswith("ETTh") and n >= ETT_ROWS[-1] else (3 * n // 5, 4 * n // 5, n)
    return Table(tuple(rows[0][1:]), values, parts, files)


@dataclass(frozen=True)
class Text:
    """A text in parts, by place: "train" is the first 85 %, "valid" the next 5 %, "test" the last tenth."""

    parts: dict[str, str]
    files: Files


def read_text(places: Sequence[Path]) -> Text:
    """Texts (.txt) in UTF-8, one after another.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one is no UTF-8.
    """
    files = files_in(places, lambda path: path.suffix == ".txt", "a text (.txt)")
    text = "\n".join(tables.read_text(path) for path in files.paths)
    # The last tenth is the part that the field tells its figures of.
    borders = [0, int(0.85 * len(text)), int(0.9 * len(text)), len(text)]
    parts = {name: text[borders[n] : borders[n + 1]] for n, name in enumerate(("train", "valid", "test"))}
    return Text(parts, files)


__all__ = ["ETT_ROWS", "Files", "Table", "Text", "files_in", "read_table", "read_text", "require_once"]
