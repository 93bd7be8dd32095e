"""Data other than sound: a task's files, their contents, and a digest that identifies them."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from streamrnn.data import tables
from streamrnn.lines.line import date_of
from streamrnn.signals import LARGEST

Part = TypeVar("Part")

# The usual parts of ETTh1 for training, validation and test: 12, 4 and 4 months of 30 days.
ETT_ROWS = (8640, 11520, 14400)
# Share of rows that must follow at one interval for it to be the table's; the others come after a gap.
EVEN_SHARE = 0.75


@dataclass(frozen=True)
class Files:
    """The files of a training run. `digest` identifies them by name and contents, wherever they are stored."""

    paths: tuple[Path, ...]

    @property
    def digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for path in self.paths:
            # Names and sizes delimit the files: a line moved from one to the next makes different data of the same
            # bytes.
            content = path.read_bytes()
            digest.update(f"{path.name}\n{len(content)}\n".encode() + content)
        return digest.hexdigest()

    def part_of(self, parts: Mapping[str, Part], name: str) -> Part:
        """The part of that name. Raises ValueError if it is empty or missing."""
        if part := parts.get(name):
            return part
        known = ", ".join(known for known, of in parts.items() if of) or "none"
        raise ValueError(f"{self.paths[0]} has no part {name!r}; the parts are: {known}.")


def files_in(places: Sequence[Path], wanted: Callable[[Path], bool], what: str) -> Files:
    """Collects the wanted files among these files and folders; a file that is passed itself is always wanted.

    Raises:
        FileNotFoundError: a place does not exist, or there is no such file; `what` describes what is wanted, such as
            "a text (.txt)".
    """
    # As a dict, because a file may be named twice: by itself and by its folder.
    found: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"{place} does not exist. Pass {what}, or a folder that holds one.")
        for path in [place] if place.is_file() else sorted(path for path in _visible(place) if wanted(path)):
            found.setdefault(path.resolve(), path)
    if not found:
        raise FileNotFoundError(f"{', '.join(map(str, places))} does not hold {what}. Pass one, or its folder.")
    return Files(tuple(found.values()))


def _visible(folder: Path) -> Iterator[Path]:
    """All files in a folder except hidden ones."""
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def require_once(files: Files, places: Sequence[Path]) -> None:
    """Raises ValueError if two of the files have the same name, since one would replace the other."""
    names = [path.name for path in files.paths]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{', '.join(map(str, places))} has more than one {twice[0]}. Pass the folder of one alone.")


@dataclass(frozen=True)
class Table:
    """A table of readings at equal intervals.

    Attributes:
        columns: their names.
        values: float32[rows, columns].
        interval_s: seconds between rows by their dates; None if there are no readable dates, or no regular interval.
        parts: rows at which training, validation and test end.
        files: the source file.
    """

    columns: tuple[str, ...]
    values: np.ndarray
    interval_s: float | None
    parts: tuple[int, int, int]
    files: Files


def read_table(places: Sequence[Path]) -> Table:
    """Reads a CSV with a header, whose first column is the date; ETTh1.csv and ETTh2.csv are split as is usual, others
    into three fifths, one fifth and one fifth.

    Rows are taken as equally spaced; a UserWarning says if their dates are not.

    Raises:
        FileNotFoundError: there is no table.
        ValueError: there is more than one, there is no header, it names a column twice, a cell is not a number, a row
            has more or fewer cells than the header, or the file is not UTF-8 text.
    """
    files = files_in(places, lambda path: path.suffix.lower() == ".csv", "a table (.csv)")
    path, *others = files.paths
    if others:
        raise ValueError(f"{1 + len(others)} tables: {path}, {others[0]} and so on. Pass one of them.")
    (_, header), *rows = [*tables.read_rows(path)] or [("", [])]
    if len(rows) < 2 or len(header) < 2:
        raise ValueError(f"{path} is no table with a header, a column of dates and columns of numbers.")
    header = [name.strip() for name in header]
    if date_of(header[0]) is not None:
        raise ValueError(f"{path} begins with {','.join(header)[:80]!r}; its first line must name the columns.")
    if twice := next((name for name in header[1:] if header.count(name) > 1), None):
        raise ValueError(f"{path} has more than one column {twice!r}. Leave one of each, or rename the others.")
    values = np.array([_numbers(row, header, place) for place, row in rows], np.float32)
    interval_s = _interval_s([row[0] for _, row in rows], path)
    n = len(values)
    parts = ETT_ROWS if path.stem.startswith("ETTh") and n >= ETT_ROWS[-1] else (3 * n // 5, 4 * n // 5, n)
    return Table(tuple(header[1:]), values, interval_s, parts, files)


def _numbers(row: Sequence[str], header: Sequence[str], place: str) -> list[float]:
    if len(row) != len(header):
        raise ValueError(f"{place} has {len(row)} cells; the header has {len(header)}. Mend it.")
    numbers = []
    for cell, name in zip(row[1:], header[1:], strict=True):
        try:
            number = float(cell)
        except ValueError:
            number = float("nan")
        if not abs(number) <= LARGEST:
            raise ValueError(
                f"{place}: {name} is {cell[:40]!r}, which is no number up to {LARGEST:g}. Mend it, or leave the column "
                "out."
            )
        numbers.append(number)
    return numbers


def _interval_s(dates: Sequence[str], path: Path) -> float | None:
    times = [time for time in map(date_of, dates) if time is not None]
    # Dates with and without a UTC offset cannot be compared.
    if len(times) < len(dates) or len({time.tzinfo is None for time in times}) > 1:
        return None
    steps = Counter((later - earlier).total_seconds() for earlier, later in pairwise(times))
    interval, count = steps.most_common(1)[0]
    if interval > 0 and count >= EVEN_SHARE * steps.total():
        return interval
    warnings.warn(
        f"{path}: its dates come at no equal interval; rows are taken as they come, as if they did.",
        UserWarning,
        stacklevel=3,
    )
    return None


@dataclass(frozen=True)
class Text:
    """A text in parts, by place: "train" is the first 85 %, "valid" the next 5 %, "test" the last tenth."""

    parts: dict[str, str]
    files: Files


def read_text(places: Sequence[Path]) -> Text:
    """Reads texts (.txt) in UTF-8, concatenated.

    Raises:
        FileNotFoundError: there is none.
        ValueError: one is not UTF-8.
    """
    files = files_in(places, lambda path: path.suffix.lower() == ".txt", "a text (.txt)")
    text = "\n".join(tables.read_text(path) for path in files.paths)
    # Published results are for the last tenth.
    borders = [0, int(0.85 * len(text)), int(0.9 * len(text)), len(text)]
    parts = {name: text[borders[n] : borders[n + 1]] for n, name in enumerate(("train", "valid", "test"))}
    return Text(parts, files)


__all__ = ["ETT_ROWS", "Files", "Table", "Text", "files_in", "read_table", "read_text", "require_once"]
