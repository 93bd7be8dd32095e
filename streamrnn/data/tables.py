"""CSV tables of recordings, as written by people and spreadsheets, and the paths in them."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unicodedata import normalize

from streamrnn.replacing import replace_file

PATH_COLUMNS = ("path", "clean")

_outside_is_read = ContextVar("outside_is_read", default=False)


class Row(dict[str, str]):
    """The fields of a row by column.

    Attributes:
        place: the file and the line where the row ends, for messages.
    """

    def __init__(self, fields: dict[str, str], place: str):
        super().__init__(fields)
        self.place = place


def read_table(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """Reads the rows of a CSV file (UTF-8, the first line names the columns) with at least these columns.

    Spaces around fields are stripped, and letters with accents become one character each (Unicode's NFC), so that words
    that look alike are equal.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: columns are missing or named twice, a row has more or fewer fields than the first line names, there
            are no rows, or it is no CSV file in UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. It is a CSV file with the columns {', '.join(columns)}.")
    found = read_rows(path)
    header = [clean(name) for name in next(found, ("", []))[1]]
    _require_columns(path, header, columns)
    rows = [_row(header, fields, place) for place, fields in found]
    if not rows:
        raise ValueError(f"{path} has no rows; add at least one recording.")
    return rows


def read_rows(path: Path, **dialect: Any) -> Iterator[tuple[str, list[str]]]:
    """Yields the non-empty rows of a UTF-8 CSV file, each with its place for messages: the file, and the line where the
    row ends; `dialect` as in csv.reader.

    Raises:
        ValueError: a quote is unclosed, or the file is not UTF-8 text.
    """
    # Strict, because an unclosed quote would swallow all rows after it.
    reader = csv.reader(io.StringIO(read_text(path)), **{"skipinitialspace": True, "strict": True, **dialect})
    try:
        for fields in reader:
            if fields:
                yield f"{path}, line {reader.line_num}", fields
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num} is no row of a CSV file ({error}). Check its quotes."
        ) from None


def _require_columns(path: Path, header: list[str], columns: tuple[str, ...]) -> None:
    if missing := [column for column in columns if column not in header]:
        lacking = f"column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        raise ValueError(
            f"{path} lacks the {lacking}. Its first line must name them, separated by commas; it is "
            f"{','.join(header)!r}."
        )
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise ValueError(
            f"{path} has more than one column {', '.join(twice)}. Leave one of each, or rename the others."
        )


def _row(header: list[str], fields: list[str], place: str) -> Row:
    if len(fields) != len(header):
        raise ValueError(
            f"{place}: {len(fields)} fields where the first line names {len(header)} columns. Put texts with commas "
            "into double quotes, and a comma for each column that is left empty."
        )
    # File names keep their Unicode form.
    cleaned = (
        field.strip() if name in PATH_COLUMNS else clean(field) for name, field in zip(header, fields, strict=True)
    )
    return Row(dict(zip(header, cleaned, strict=True)), place)


def clean(text: str) -> str:
    """A text without the spaces around it, in Unicode's composed form (NFC)."""
    return normalize("NFC", text.strip())


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without the byte order mark of spreadsheets.

    Raises:
        ValueError: it is in another encoding.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8: byte {error.start} is {error.object[error.start]:#x}. Save it as UTF-8."
        ) from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, read by read_text. Only line feeds end lines: other characters that str.splitlines
    splits at, such as U+2028, may occur within a text.

    Raises:
        ValueError: it is in another encoding.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def read_span(row: Row) -> tuple[int, int]:
    """The start and end of a row, in samples.

    Raises:
        ValueError: not 0 <= start <= end in whole numbers.
    """
    try:
        start, end = int(row["start"]), int(row["end"])
    except ValueError:
        start, end = 0, -1
    if not 0 <= start <= end:
        raise ValueError(
            f"{row.place}: start is {row['start']!r} and end is {row['end']!r}; whole samples with 0 <= start <= end "
            "are needed."
        )
    return start, end


@contextmanager
def reading_outside(asked: bool = True) -> Iterator[None]:
    """A context in which tables may name recordings outside of their own folder, by absolute paths or by "..".

    By default they may not, because a stranger's table could add private recordings to the data of a published model.
    With asked=False nothing changes.
    """
    token = _outside_is_read.set(asked)
    try:
        yield
    finally:
        _outside_is_read.reset(token)


def recording_of(folder: Path, row: Row, column: str = "path") -> Path:
    """The recording that a row names, relative to the folder of its table.

    If no file has exactly this name, one with accents in another Unicode form is taken.

    Raises:
        ValueError: the field is empty, or leads out of the folder, which is allowed only within `reading_outside`.
    """
    name = row[column]
    if not name or "\0" in name:
        lacking = f"is {name[:80]!r}" if name else "is missing"
        raise ValueError(f"{row.place}: the {column} {lacking}. Name a recording in {folder}.")
    if (os.path.isabs(name) or ".." in Path(name).parts) and not _outside_is_read.get():
        raise ValueError(
            f"{row.place}: the {column} {name} leads out of {folder}. If you trust this table, pass "
            "--read-outside (in Python: streamrnn.data.reading_outside); otherwise put the recordings into the folder."
        )
    forms = [folder / name, *(folder / normalize(form, name) for form in ("NFC", "NFD"))]
    return next((path for path in forms if path.exists()), forms[0])


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file for `read_table`, atomically: the names of the columns, then the rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    replace_file(path, text.getvalue().encode())


__all__ = [
    "Row",
    "clean",
    "read_lines",
    "read_rows",
    "read_span",
    "read_table",
    "read_text",
    "reading_outside",
    "recording_of",
    "write_table",
]
