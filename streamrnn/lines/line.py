"""What every kind of line has in common: a stream of text, one line of it, and what is answered."""

import csv
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np

# Signs that word processors and telephones put in place of those of a keyboard.
TYPED = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
# A number, at most: as much as a frame may hold (streamrnn.signals, of which nothing is known here).
LARGEST = 1e18


class LineError(ValueError):
    """A line that cannot be used. Nothing of it was: the stream goes on with the next one."""


class Feeding(Protocol):
    """The parts of a streamrnn.Stream that lines use."""

    def process(self, chunk: Any, /) -> np.ndarray: ...
    def flush(self) -> np.ndarray: ...
    def reset(self) -> None: ...
    def snapshot(self) -> Any: ...
    def restore(self, snapshot: Any, /) -> None: ...


@runtime_checkable
class Lines(Protocol):
    """How the streams of a task are written as text, and what is said of a model's outputs. Made of a model."""

    def frames(self, line: str) -> np.ndarray:
        """The items of one line as the model takes them, [items, features].

        Raises:
            LineError: they are no such items.
        """
        ...

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        """Feeds a line to the stream; what is answered, ready for JSON, or None where there is nothing to say.

        Raises:
            LineError: the line cannot be used.
            ValueError: nor can those after it.
        """
        ...

    def said(self, answer: Mapping[str, Any]) -> str:
        """The answer in words, one line."""
        ...


def cells_of(line: str) -> list[str]:
    """The cells of a row of a table, which may stand in quotes as in CSV files.

    Raises:
        LineError: a quote has no end.
    """
    if '"' not in line:
        return line.strip().split(",")
    try:
        return next(csv.reader([line.strip()], skipinitialspace=True, strict=True))
    except csv.Error:
        raise LineError("its quotes do not match") from None


def date_of(cell: str) -> datetime | None:
    """The date in a cell, by ISO 8601; None if it is none."""
    try:
        return datetime.fromisoformat(cell.strip())
    except ValueError:
        return None


def numbers_of(cells: list[str], needed: int, of: str) -> np.ndarray:
    """float32[needed] of as many cells of a table; what is not there is NaN.

    Raises:
        LineError: there are more or fewer, or one is no finite number.
    """
    if len(cells) != needed:
        raise LineError(
            f"it has {len(cells)} number{'s' * (len(cells) != 1)}; {of} needs {needed}, separated by commas"
        )
    return np.array([_number(cell.strip()) for cell in cells], np.float32)


def _number(cell: str) -> float:
    if cell.lower() in ("", "nan", "na", "null"):
        return float("nan")
    try:
        number = float(cell)
    except ValueError:
        commas = "; numbers are separated by commas" if len(cell.split()) > 1 else ""
        raise LineError(f"{cell[:40]!r} stands where a number belongs{commas}") from None
    if abs(number) > LARGEST:
        raise LineError(f"{cell[:40]} is too large")
    return number


__all__ = ["TYPED", "Feeding", "LineError", "Lines", "cells_of", "date_of", "numbers_of"]
