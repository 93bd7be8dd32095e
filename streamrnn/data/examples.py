"""Labelled examples: lines with labels, in the layouts of public collections, or in your own tables."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamrnn.data.clips import named
from streamrnn.data.series import Files, files_in, require_once
from streamrnn.data.tables import clean, read_lines, read_rows, read_text

NAMED_LABELS = 12
PARTS = {"train": "train", "valid": "valid", "val": "valid", "dev": "valid", "test": "test"}


@dataclass(frozen=True)
class Example:
    """A line and its labels: one, several, or none for an out-of-scope example; and its file and line number, for
    messages.
    """

    line: str
    labels: tuple[str, ...]
    place: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Examples:
    """The parts of a collection: "train", "valid" and "test"."""

    parts: dict[str, list[Example]]
    files: Files

    def part(self, name: str) -> list[Example]:
        """The examples of a part. Raises ValueError if there is no such part."""
        return self.files.part_of(self.parts, name)


def read_examples(places: Sequence[Path]) -> Examples:
    """Reads CLINC150 (data_full.json), GoEmotions (train.tsv, dev.tsv, test.tsv beside labels.txt), pendigits (.tra,
    .tes), or your own tables: train.tsv, valid.tsv and test.tsv, each line an example, a tab, and its labels separated
    by commas, none if it is out of scope. Without a part valid, every tenth example of train is held out, except the
    last of its label. Beside labels.txt, with one label name per line, labels are numbers from 0 on.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged, or two have the same name.
    """
    files = files_in(
        places, lambda path: path.name in NAMED or path.suffix in READERS, "a table of examples (train.tsv)"
    )
    require_once(files, places)
    parts: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
    for path in files.paths:
        for name, example in _reader(path)(path):
            parts[name].append(example)
    if parts["train"] and not parts["valid"]:
        parts["train"], parts["valid"] = _held_out(parts["train"])
    # The names that numeric labels stand for are part of the data, too.
    beside = sorted({names for path in files.paths if path.suffix == ".tsv" and (names := _names_of(path)).is_file()})
    return Examples(parts, Files((*files.paths, *beside)))


def _held_out(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Splits examples into training and, every tenth, validation; the last one of a label stays in training."""
    left = Counter(label for example in examples for label in example.labels)
    train: list[Example] = []
    valid: list[Example] = []
    due = 0
    for number, example in enumerate(examples):
        if number >= due and all(left[label] > 1 for label in example.labels):
            valid.append(example)
            left.subtract(example.labels)
            due = number + 10
        else:
            train.append(example)
    return train, valid


def wanted_of(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """The target of each example, bool[examples, labels]; all False for out-of-scope examples.

    Raises:
        ValueError: an example has an unknown label.
    """
    known = set(labels)
    for example in examples:
        if unknown := [label for label in example.labels if label not in known]:
            raise ValueError(
                f"{example.place}: the label is {unknown[0]!r}; known are {named(labels, NAMED_LABELS)}. Correct it, "
                "or leave such examples out."
            )
    return np.array([[label in example.labels for label in labels] for example in examples])


def items_of(examples: Sequence[Example], read: Callable[[str], np.ndarray]) -> list[np.ndarray]:
    """Converts each example's line to items with `read`.

    Raises:
        ValueError: a line cannot be read; the message says which.
    """
    found = []
    for example in examples:
        try:
            found.append(read(example.line))
        except ValueError as error:
            raise ValueError(f"{example.place}: {error}") from None
    return found


def _reader(path: Path) -> Callable[[Path], Iterator[tuple[str, Example]]]:
    reader = NAMED.get(path.name) or READERS.get(path.suffix)
    if reader is None:
        raise ValueError(f"{path} is no table of examples. Pass train.tsv, data_full.json, .tra or .tes, or a folder.")
    return reader


def _clinc(path: Path) -> Iterator[tuple[str, Example]]:
    text = read_text(path)
    try:
        data = json.loads(text)
        for name, rows in data.items():
            part = PARTS[name.removeprefix("oos_")]
            for number, (line, label) in enumerate(rows, start=1):
                if not (isinstance(line, str) and isinstance(label, str)):
                    raise ValueError(f"{name} {number} is no text and the name of a label")
                yield part, Example(line, () if label == "oos" else (label,), f"{path}, {name} {number}")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not of the form of CLINC150 ({error!r}). Fetch it again.") from error


def _table(path: Path) -> Iterator[tuple[str, Example]]:
    names = _names_of(path)
    labels = _names_in(names) if names.is_file() else None
    for place, row in read_rows(path, delimiter="\t", quoting=csv.QUOTE_NONE, skipinitialspace=False):
        if len(row) < 2:
            raise ValueError(f"{place} has no tab between the example and its labels.")
        given = tuple(filter(None, map(clean, row[1].split(","))))
        try:
            # GoEmotions has numbers in place of its labels.
            called = given if labels is None else tuple(labels[_index(label)] for label in given)
        except (ValueError, IndexError):
            raise ValueError(f"{place}: {row[1]!r} are no numbers of labels in {names}.") from None
        yield PARTS[path.stem], Example(row[0], called, place)


def _index(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text} is no number from 0 on")
    return int(text)


def _names_in(path: Path) -> list[str]:
    """Label names: one per line, which may contain spaces, or all on one line, separated by spaces."""
    lines = [clean(line) for line in read_lines(path) if line.strip()]
    return lines if len(lines) > 1 else [name for line in lines for name in line.split()]


def _names_of(path: Path) -> Path:
    """The file with the label names of a table whose labels are numbers."""
    return path.with_name("labels.txt")


def _strokes(path: Path) -> Iterator[tuple[str, Example]]:
    part = {".tra": "train", ".tes": "test"}[path.suffix]
    for number, line in enumerate(read_lines(path), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 17:
            raise ValueError(f"{path}, line {number} has {len(cells)} numbers; it needs 8 points and a digit.")
        yield part, Example(",".join(cells[:16]), (cells[16],), f"{path}, line {number}")


NAMED = {"data_full.json": _clinc, **{f"{name}.tsv": _table for name in PARTS}}
READERS = {".tra": _strokes, ".tes": _strokes}

__all__ = ["Example", "Examples", "items_of", "read_examples", "wanted_of"]
