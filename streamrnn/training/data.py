"""Recordings for training: manifests, clips in memory, batches made ahead of time."""

import csv
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from streamrnn.audio import AudioError, AudioWarning, read_audio

Batch = TypeVar("Batch")
T = TypeVar("T")
Pool = TypeVar("Pool", bound=Sized)

# A pool is drawn as often as its size to this power: small ones more often than they would be, but not until they are
# known by heart (Arivazhagan et al. 2019, section 5.2).
POOL_BALANCE = 0.3
# What is shorter is no word, no voice and no room, but a mistake in a table.
SHORTEST_S = 0.01
NAMED = 3


@dataclass(frozen=True)
class Clip:
    """One row of a manifest.csv: a recording, or its part from `start` to `end`.

    Both are in samples at the recording's own rate; an end of None is that of the recording.
    """

    path: Path
    start: int = 0
    end: int | None = None
    speaker: str = ""
    label: str = ""
    transcript: str = ""
    split: str = ""

    def read(self, sample_rate: int) -> np.ndarray:
        """The clip's samples, mono float32[n] in [-1, 1], resampled where needed.

        Raises:
            FileNotFoundError, AudioError: the recording is missing or can't be read.
        """
        return read_audio(self.path, sample_rate, self.start, self.end)[0]


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file (UTF-8, the first line names the columns) that has at least these columns.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: columns are missing, a row has more or fewer fields than the first line names, there are no rows, or
            it is no CSV file in UTF-8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. It is a CSV file with the columns {', '.join(columns)}.")
    # Strict, because a quote that is never closed would swallow all rows after it.
    reader = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True, strict=True)
    try:
        header = reader.fieldnames or []
        if missing := [column for column in columns if column not in header]:
            raise ValueError(
                f"{path} lacks the columns {', '.join(missing)}. Its first line must name them, parted by commas; "
                f"it is {','.join(header)!r}."
            )
        rows = [_whole(row, f"{path}, line {reader.line_num}") for row in reader]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num} is no row of a CSV file ({error}). Check its quotes."
        ) from None
    if not rows:
        raise ValueError(f"{path} has no rows; add at least one recording.")
    return rows


def _whole(row: dict[Any, Any], place: str) -> dict[str, str]:
    if None in row or None in row.values():
        came = sum(field is not None for name, field in row.items() if name is not None) + len(row.get(None, ()))
        raise ValueError(
            f"{place}: {came} fields where the first line names {len(row) - (None in row)} columns. Put texts with "
            "commas into double quotes, and a comma for each column that is left empty."
        )
    return row


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark, as spreadsheets write one.

    Raises:
        ValueError: it is in another encoding.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8: byte {error.start} is {error.object[error.start]:#x}. Save it as UTF-8."
        ) from None


def read_span(row: dict[str, str], place: str) -> tuple[int, int]:
    """start and end, in samples, of a row of a table; `place` says in an error where it stands.

    Raises:
        ValueError: not 0 <= start <= end in whole numbers.
    """
    try:
        start, end = int(row["start"]), int(row["end"])
    except ValueError:
        start, end = 0, -1
    if not 0 <= start <= end:
        raise ValueError(
            f"{place}: start is {row['start']!r} and end is {row['end']!r}; whole samples with 0 <= start <= end are "
            "needed."
        )
    return start, end


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file as `read_table` reads it: the names of the columns, then the rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def read_manifest(folder: Path, split: str | None = None) -> list[Clip]:
    """The clips of `folder`/manifest.csv, all or those of one split.

    Columns: path (relative to the folder); optional: start, end (samples), speaker, label, transcript, split.

    Raises:
        FileNotFoundError: the folder has no manifest.csv.
        ValueError: see read_table; a path is missing; not 0 <= start < end in whole numbers; no row has that split.
    """
    rows = read_table(folder / "manifest.csv", ("path",))
    clips = [_clip(folder, row, line) for line, row in enumerate(rows, start=2)]
    if split is None:
        return clips
    chosen = [clip for clip in clips if clip.split == split]
    if not chosen:
        known = ", ".join(sorted({clip.split for clip in clips if clip.split})) or "none"
        raise ValueError(f"{folder}/manifest.csv has no clip of split {split!r}; its splits are: {known}.")
    return chosen


def _clip(folder: Path, row: dict[str, str], line: int) -> Clip:
    if not row["path"]:
        raise ValueError(f"{folder}/manifest.csv, line {line}: the path is missing. Name a recording in {folder}.")
    try:
        start, end = int(row.get("start") or 0), int(row["end"]) if row.get("end") else None
    except ValueError as error:
        raise ValueError(f"{folder}/manifest.csv, line {line}: start and end are whole numbers ({error}).") from None
    if start < 0 or (end is not None and end <= start):
        raise ValueError(
            f"{folder}/manifest.csv, line {line}: start is {start} and end is {end}; 0 <= start < end is needed, in "
            "samples of the recording."
        )
    texts = {name: row.get(name) or "" for name in ("speaker", "label", "transcript", "split")}
    return Clip(folder / row["path"], start, end, **texts)


def read_clips(clips: list[Clip], sample_rate: int) -> list[tuple[Clip, np.ndarray]]:
    """Reads clips into memory as int16[n], in order. Recordings that are cut off count as far as they go.

    Those that can't be read are left out; an AudioWarning counts them and names the first three. So does one with those
    in which there is nothing to hear: they are silent throughout, or shorter than 10 ms.

    Raises:
        AudioError: none could be read.
    """
    # Warnings are switched off here, not in the threads: the filters are the process's, and threads would mix them up.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore", AudioWarning)
        samples = list(pool.map(or_error(lambda clip: read_int16(clip, sample_rate)), clips))
    read = readable(clips, samples)
    _warn_of_nothing_to_hear(read, sample_rate)
    return read


def _warn_of_nothing_to_hear(read: Sequence[tuple[Clip, np.ndarray]], sample_rate: int) -> None:
    empty = [clip for clip, samples in read if len(samples) < SHORTEST_S * sample_rate or not samples.any()]
    if empty:
        warnings.warn(
            f"In {len(empty)} of {len(read)} clips there is nothing to hear, as they are silent or shorter than "
            f"{1000 * SHORTEST_S:.0f} ms: {named(str(clip.path) for clip in empty)}. They are used all the same; leave "
            "them out, or correct start and end.",
            AudioWarning,
            stacklevel=3,
        )


def named(names: Iterable[str], most: int = NAMED) -> str:
    """The first of many names, for a message: "a, b, c and 9 more"."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def read_int16(clip: Clip, sample_rate: int) -> np.ndarray:
    """The clip's samples as they are held in memory, int16[n].

    Raises:
        FileNotFoundError, AudioError: as Clip.read; also a clip without a sample is an AudioError.
    """
    samples = clip.read(sample_rate)
    if not len(samples):
        raise no_samples(clip)
    return np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)


def no_samples(clip: Clip) -> AudioError:
    """What to raise of a clip that is empty, or lies behind the end of its recording."""
    return AudioError(f"{clip.path} has no samples. Leave it out, or correct its start and end.")


def or_error(read: Callable[[Clip], T]) -> Callable[[Clip], T | Exception]:
    """`read`, giving back what it raises about a recording that can't be read."""

    def attempt(clip: Clip) -> T | Exception:
        try:
            return read(clip)
        except (AudioError, OSError) as error:
            return error

    return attempt


def readable(clips: list[Clip], results: list[T | Exception]) -> list[tuple[Clip, T]]:
    """Clips with their results, without those that are errors: an AudioWarning counts them and names the first three.

    Raises:
        AudioError: all are errors.
    """
    errors = [result for result in results if isinstance(result, Exception)]
    kept = [(c, result) for c, result in zip(clips, results, strict=True) if not isinstance(result, Exception)]
    if clips and not kept:
        raise AudioError(f"None of {len(clips)} clips could be read. The first: {errors[0]}")
    if errors:
        reasons = "; ".join(str(error).rstrip(".") for error in errors[:NAMED])
        message = f"{len(errors)} of {len(clips)} clips could not be read and are skipped: {reasons}"
        warnings.warn(message, AudioWarning, stacklevel=3)
    return kept


def pick(rng: np.random.Generator, pool: Sequence[T]) -> T:
    """One of the pool, each as likely as any other. Raises ValueError where it is empty."""
    return pool[int(rng.integers(len(pool)))]


def pick_balanced(rng: np.random.Generator, pools: Sequence[Pool]) -> Pool:
    """One of several pools, none of them empty, each drawn by its `pool_shares`."""
    return pick_by_shares(rng, pools, pool_shares(pools))


def pick_by_shares(rng: np.random.Generator, pools: Sequence[T], shares: Sequence[float] | np.ndarray) -> T:
    """One of several pools, each drawn as often as its share, of whatever sum, says."""
    weights = np.asarray(shares, float)
    return pools[int(rng.choice(len(pools), p=weights / weights.sum()))]


def pick_speed(rng: np.random.Generator, speed: tuple[float, float], share: float) -> float:
    """A speed from that range, drawn evenly, for a share of the recordings; 1 for the others."""
    drawn = rng.uniform(*speed)
    return drawn if share == 1 or rng.random() < share else 1.0


def pool_shares(pools: Sequence[Sized]) -> np.ndarray:
    """How often each of several pools is drawn, float64[pools]: a larger one more often, but not in proportion."""
    weights = np.array([len(pool) for pool in pools], float) ** POOL_BALANCE
    return weights / weights.sum()


def prefetch(make: Callable[[int], Batch], start: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """make(start), make(start + 1), ... make(stop - 1), in order, made ahead of time in threads.

    A batch must depend on its number alone; then a run that resumes at a step sees the batches that it would have seen.
    Threads start with the first batch, stay at most 2 x workers batches ahead, and end with the iterator: when it is
    used up, closed or dropped. What `make` raises is raised in place of its batch.
    """
    with ThreadPoolExecutor(workers) as pool:
        ahead = [pool.submit(make, step) for step in range(start, min(stop, start + 2 * workers))]
        try:
            for step in range(start, stop):
                batch = ahead.pop(0).result()
                following = step + 2 * workers
                if following < stop:
                    ahead.append(pool.submit(make, following))
                yield batch
        finally:
            for future in ahead:
                future.cancel()


__all__ = [
    "NAMED",
    "SHORTEST_S",
    "Clip",
    "named",
    "no_samples",
    "or_error",
    "pick",
    "pick_balanced",
    "pick_by_shares",
    "pick_speed",
    "pool_shares",
    "prefetch",
    "read_clips",
    "read_int16",
    "read_manifest",
    "read_span",
    "read_table",
    "read_text",
    "readable",
    "write_table",
]
