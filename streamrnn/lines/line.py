"""The interface of all kinds of lines: parsing a line of a text stream, and answering it."""

import csv
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import numpy as np

# Typographic characters that word processors and phones insert, and their keyboard equivalents.
TYPED = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
# Largest number: as much as a frame may hold (streamrnn.signals, which is not imported here).
LARGEST = 1e18


class LineError(ValueError):
    """A line that cannot be used. None of it was: the stream continues with the next one."""


class Feeding(Protocol):
    """The parts of a streamrnn.Stream that lines use."""

    def process(self, chunk: Any, /) -> np.ndarray: ...
    def flush(self) -> np.ndarray: ...
    def reset(self) -> None: ...
    def snapshot(self) -> Any: ...
    def restore(self, snapshot: Any, /) -> None: ...


@runtime_checkable
class Lines(Protocol):
    """How streams of a task are written as text, and how a model's outputs are reported. Constructed from a model."""

    def frames(self, line: str) -> np.ndarray:
        """The items of a line as the model takes them, [items, features].

        Raises:
            LineError: they are not valid.
        """
        ...

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        """Feeds a line to the stream; returns the answer, ready for JSON, or None if there is none.

        Raises:
            LineError: the line cannot be used.
            ValueError: neither can those after it.
        """
        ...

    def said(self, answer: Mapping[str, Any]) -> str:
        """The answer in words, one line."""
        ...


def cells_of(line: str) -> list[str]:
    """The cells of a table row, which may be quoted as in CSV files.

    Raises:
        LineError: a quote is unclosed.
    """
    if '"' not in line:
        return line.strip().split(",")
    try:
        return next(csv.reader([line.strip()], skipinitialspace=True, strict=True))
    except csv.Error:
        raise LineError("its quotes do not match") from None


def date_of(cell: str) -> datetime | None:
    """Parses a cell as an ISO 8601 date; None if it is not one."""
    try:
        return datetime.fromisoformat(cell.strip())
    except ValueError:
        return None


def numbers_of(cells: list[str], needed: int, of: str) -> np.ndarray:
    """Parses that many cells of a table as float32[needed]; empty ones are NaN.

    Raises:
        LineError: there are more or fewer, or one is not a finite number.
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
