"""The recordings of a batch, from folders, patterns, lists and manifests: each once, under a unique name."""

import csv
import glob
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

from streamrnn.audio import AudioWarning
from streamrnn.data.layouts import RECORDING
from streamrnn.data.tables import read_lines, read_rows

LISTS, TABLES, LINES = (".txt", ".lst", ".scp"), (".csv", ".tsv"), (".jsonl", ".ndjson")
# Columns with the path of a recording: ours, NeMo's, and those of Common Voice and others.
COLUMNS = ("path", "audio_filepath", "file", "filename", "wav")


@dataclass(frozen=True)
class BatchRecording:
    """An audio file to process.

    Attributes:
        name: of its outputs, relative to the output folder, with / as separator.
        path: of the file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a batch, numbered from 0.

    A recording's shard follows from its name alone, so it stays there while others are added, and processes that list
    the recordings at different times leave none out.

    Raises:
        ValueError: there is no such shard.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard is {self}; of n parts, the first is 0/n and the last n-1/n. Count from 0.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses a text such as 3/8. Raises ValueError."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise ValueError(f"shard is {text!r}; it needs the form i/n, such as 0/8 for the first of eight parts.")
        return cls(int(index), int(count))

    def has(self, name: str) -> bool:
        """Whether a recording of this name belongs to it."""
        digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index

    @property
    def suffix(self) -> str:
        """Distinguishes its files from those of other shards; "" if there is only one."""
        return "" if self.count == 1 else f"-{self.index}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def find_batch(inputs: Sequence[str | os.PathLike[str]], out: Path, shard: Shard | None = None) -> list[BatchRecording]:
    """Collects the recordings that the inputs name, sorted by name.

    Args:
        inputs: each a recording; a folder, searched with all folders in it that are not hidden; a pattern with *, ?
            or ** in it; a list of paths, one a line (.txt, .lst, .scp); or a manifest (.csv, .tsv, .jsonl) with a
            column path, or audio_filepath. Paths in lists and manifests are relative to these.
        out: the output folder.
        shard: only the recordings of this shard; default: all.

    Returns:
        Recordings; those of a folder are named by their path in it, others by their path below their common parent
        folder.

    Raises:
        FileNotFoundError: an input is missing, or all paths in a list. A single missing path in a list is included, and
            fails when it is processed.
        ValueError: there are no recordings, two have the same name, `out` is in an input folder, or a list is
            malformed.
    """
    named: dict[str, Path] = {}
    loose: list[Path] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            _require_outside(out, path)
            for found in _in_folder(path):
                _add(named, found.relative_to(path).as_posix(), found)
        else:
            loose += _files_of(path, str(given))
    for path, name in _named_apart(loose):
        _add(named, name, path)
    if not named:
        where = f" in {', '.join(map(str, inputs))}" if inputs else ""
        raise ValueError(f"there are no recordings{where}. Name files, folders or lists.")
    shard = shard or Shard()
    return [BatchRecording(name, named[name]) for name in sorted(named) if shard.has(name)]


def _add(named: dict[str, Path], name: str, path: Path) -> None:
    other = named.setdefault(name, path)
    if other != path and not _is_same(other, path):
        raise ValueError(
            f"{other} and {path} would both be written as {name}. Batch them into different folders, or name the "
            "folder that holds both."
        )


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _require_outside(out: Path, folder: Path) -> None:
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{out} lies in {folder}: what is written would be heard the next time. Choose a folder outside of it."
        )


def _in_folder(folder: Path) -> Iterator[Path]:
    """Recordings in a folder and below. Links are followed, unless they lead back to a parent."""
    yield from _walk(folder, ())


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    stat = folder.stat()
    here = stat.st_dev, stat.st_ino
    if here in above:
        warnings.warn(f"{folder} leads back to a folder that it is in, and is left out.", AudioWarning, stacklevel=2)
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        if not above:
            raise
        # It fails when it is processed, under its own name, without stopping the others.
        yield folder
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _walk(Path(entry.path), (*above, here))
        elif RECORDING.fullmatch(entry.name):
            yield Path(entry.path)


def _files_of(path: Path, given: str) -> list[Path]:
    """The files of an input that is not a folder."""
    if not path.exists():
        if not any(sign in given for sign in "*?["):
            raise FileNotFoundError(f"{given} is not there. Name recordings, folders, patterns, lists or manifests.")
        found = [Path(name) for name in sorted(glob.glob(given, recursive=True))]
        return [path for path in found if path.is_file() and RECORDING.fullmatch(path.name)]
    read = {**dict.fromkeys(LISTS, _of_list), **dict.fromkeys(TABLES, _of_table), **dict.fromkeys(LINES, _of_lines)}
    of_list = read.get(path.suffix.lower())
    return [path] if of_list is None else _listed(path, of_list(path))


def _listed(by: Path, names: list[str]) -> list[Path]:
    """The files in a list. A missing one fails when it is processed, without stopping the others."""
    if strange := next((name for name in names if "\0" in name), None):
        raise ValueError(f"{by}: the path is {strange[:80]!r}; no file has such a name. Save the list as UTF-8.")
    paths = [by.parent / name for name in names]
    if names and not any(path.exists() for path in paths):
        raise FileNotFoundError(
            f"{by} names {len(names)} recordings, of which none is there; the first is {names[0]}. Paths are relative "
            "to the folder of the list."
        )
    return paths


def _of_list(path: Path) -> list[str]:
    """One path per line, without comments (#); in Kaldi's .scp, the last word."""
    lines = [line.strip() for line in read_lines(path)]
    # File names may begin with #.
    lines = [line for line in lines if line and (line[0] != "#" or (path.parent / line).exists())]
    return [line.split(maxsplit=1)[-1] for line in lines] if path.suffix.lower() == ".scp" else lines


def _of_table(path: Path) -> list[str]:
    # In tab-separated files such as Common Voice's, quotes are part of the text.
    between_tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.suffix.lower() == ".tsv" else {}
    rows = read_rows(path, skipinitialspace=False, **between_tabs)
    header = next(rows, ("", []))[1]
    at = header.index(_column(path, header))
    return [_required(place, cells[at] if at < len(cells) else None) for place, cells in rows]


def _of_lines(path: Path) -> list[str]:
    names: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                row = json.loads(line)
                names.append(_required(f"{path}, line {number}", row[_column(path, row)]))
            except (json.JSONDecodeError, TypeError, RecursionError):
                raise ValueError(f"{path}, line {number}: it is no JSON object. A manifest has one a line.") from None
    return names


def _column(path: Path, columns: Iterable[str]) -> str:
    found = [column for column in COLUMNS if column in columns]
    if not found:
        raise ValueError(f"{path} has the columns {', '.join(columns)}; it needs one of {', '.join(COLUMNS)}.")
    return found[0]


def _required(place: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{place}: the path is {name!r}; it must name a recording.")
    return name


def _named_apart(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each path with its name relative to their common parent folder."""
    places = {path: Path(os.path.abspath(path)) for path in paths}
    if not places:
        return
    common = os.path.commonpath([place.parent for place in places.values()])
    for path, place in places.items():
        yield path, place.relative_to(common).as_posix()


__all__ = ["BatchRecording", "Shard", "find_batch"]
