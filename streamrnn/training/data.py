"""Recordings for training: manifests, clips in memory, batches made ahead of time."""

import csv
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
        ValueError: columns are missing, or there are no rows.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing. It is a CSV file with the columns {', '.join(columns)}.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
        reader = csv.DictReader(file)
        missing = [c for c in columns if c not in (reader.fieldnames or [])]
        rows = list(reader)
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}. Its first line must name them.")
    if not rows:
        raise ValueError(f"{path} has no rows; add at least one recording.")
    return rows


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file as `read_table` reads it: the names of the columns, then the rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def read_manifest(folder: Path, split: str | None = None) -> list[Clip]:
    """The clips of `folder`/manifest.csv, all or those of one split.

    Columns: path (relative to the folder); optional: start, end (samples), speaker, label, transcript, split.

    Raises:
        FileNotFoundError: the folder has no manifest.csv.
        ValueError: a column or a path is missing, start or end is no whole number, or no row has that split.
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
    texts = {name: row.get(name) or "" for name in ("speaker", "label", "transcript", "split")}
    return Clip(folder / row["path"], start, end, **texts)


def read_clips(clips: list[Clip], sample_rate: int) -> list[tuple[Clip, np.ndarray]]:
    """Reads clips into memory as int16[n], in order. Recordings that are cut off count as far as they go.

    Those that can't be read are left out; an AudioWarning counts them and names the first three.

    Raises:
        AudioError: none could be read.
    """
    # Warnings are switched off here, not in the threads: the filters are the process's, and threads would mix them up.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore", AudioWarning)
        samples = list(pool.map(or_error(lambda clip: read_int16(clip, sample_rate)), clips))
    return readable(clips, samples)


def read_int16(clip: Clip, sample_rate: int) -> np.ndarray:
    """The clip's samples as they are held in memory, int16[n].

    Raises:
        FileNotFoundError, AudioError: as Clip.read; also a clip without a sample is an AudioError.
    """
    samples = clip.read(sample_rate)
    if not len(samples):
        raise AudioError(f"{clip.path} has no samples. Leave it out, or correct its start and end.")
    return np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)


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
        named = "; ".join(str(e) for e in errors[:3])
        message = f"{len(errors)} of {len(clips)} clips could not be read and are skipped: {named}"
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
    "Clip",
    "or_error",
    "pick",
    "pick_balanced",
    "pick_by_shares",
    "pool_shares",
    "prefetch",
    "read_clips",
    "read_int16",
    "read_manifest",
    "read_table",
    "readable",
    "write_table",
]
