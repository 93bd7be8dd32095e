"""Recordings for training: manifests, clips in memory, prefetched batches."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning, read_audio
from streamrnn.audio.chunks import about
from streamrnn.data.tables import Row, read_table, recording_of

Batch = TypeVar("Batch")
T = TypeVar("T")
Pool = TypeVar("Pool", bound=Sized)

# A pool's share is its size to this power: small pools are drawn more often than in proportion, but not so often that
# a model overfits to them (Arivazhagan et al. 2019, section 5.2).
POOL_BALANCE = 0.3
# A shorter clip is an error in a table rather than a word, a voice or a room.
SHORTEST_S = 0.01
NAMED = 3


@dataclass(frozen=True)
class Clip:
    """One row of a manifest.csv: a recording, or its part from `start` to `end`.

    Both are in samples at the recording's own rate; an end of None is that of the recording. `place` is the table
    and line that names it, for messages.
    """

    path: Path
    start: int = 0
    end: int | None = None
    speaker: str = ""
    label: str = ""
    transcript: str = ""
    split: str = ""
    place: str = field(default="", compare=False, repr=False)

    def read(self, sample_rate: int) -> np.ndarray:
        """Reads the clip's samples, mono float32[n] in [-1, 1], resampled if necessary.

        Raises:
            FileNotFoundError, AudioError: the recording is missing or can't be read.
        """
        return read_audio(self.path, sample_rate, self.start, self.end)[0]


def read_manifest(folder: Path, split: str | None = None) -> list[Clip]:
    """The clips of `folder`/manifest.csv, all or those of one split.

    Columns: path (relative to the folder); optional: start, end (samples), speaker, label, transcript, split.

    Raises:
        FileNotFoundError: the folder has no manifest.csv.
        ValueError: see read_table and recording_of; not 0 <= start < end in whole numbers; no row has that split.
    """
    clips = [_clip(folder, row) for row in read_table(folder / "manifest.csv", ("path",))]
    if split is None:
        return clips
    chosen = [clip for clip in clips if clip.split == split]
    if not chosen:
        known = ", ".join(sorted({clip.split for clip in clips if clip.split})) or "none"
        raise ValueError(f"{folder}/manifest.csv has no clip of split {split!r}; its splits are: {known}.")
    return chosen


def _clip(folder: Path, row: Row) -> Clip:
    path = recording_of(folder, row)
    try:
        start, end = int(row.get("start") or 0), int(row["end"]) if row.get("end") else None
    except ValueError as error:
        raise ValueError(f"{row.place}: start and end are whole numbers ({error}).") from None
    if start < 0 or (end is not None and end <= start):
        raise ValueError(
            f"{row.place}: start is {start} and end is {end}; 0 <= start < end is needed, in samples of the recording."
        )
    texts = {name: row.get(name) or "" for name in ("speaker", "label", "transcript", "split")}
    return Clip(path, start, end, **texts, place=row.place)


def read_clips(clips: list[Clip], sample_rate: int) -> list[tuple[Clip, np.ndarray]]:
    """Reads clips into memory as int16[n], in order. Truncated recordings are used as far as they go.

    Unreadable clips are left out; an AudioWarning counts them and names the first three. Further warnings count clips
    without audible sound (all silent, or shorter than 10 ms), and clips that end after their recording.

    Raises:
        AudioError: none could be read.
    """
    # Warnings are switched off here, not in the threads: filters belong to the process, and threads would mix them up.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore", AudioWarning)
        samples = list(pool.map(or_error(lambda clip: read_int16(clip, sample_rate)), clips))
    read = readable(clips, samples)
    _warn_of_nothing_to_hear(read, sample_rate)
    warn_of_cut_clips([clip for clip, samples in read if _is_cut(clip, len(samples) / sample_rate)])
    return read


def warn_of_cut_clips(cut: Sequence[Clip]) -> None:
    """Issues an AudioWarning about clips that end after their recording, if there are any."""
    if cut:
        warnings.warn(
            f"{len(cut)} clips end behind their recordings, which are used as far as they go: "
            f"{named(clip.place or str(clip.path) for clip in cut)}. Starts and ends are samples at a recording's own "
            "rate.",
            AudioWarning,
            stacklevel=3,
        )


def _is_cut(clip: Clip, duration_s: float) -> bool:
    if clip.end is None:
        return False
    with AudioFile(clip.path) as file:
        return duration_s < (clip.end - clip.start - 1) / file.sample_rate


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
    """The clip's samples for storage in memory, int16[n].

    Raises:
        FileNotFoundError, AudioError: as Clip.read; a clip without a sample is an AudioError, too.
    """
    samples = clip.read(sample_rate)
    if not len(samples):
        raise no_samples(clip)
    return np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)


def no_samples(clip: Clip) -> AudioError:
    """The error for a clip that is empty or beyond the end of its recording."""
    return AudioError(f"{clip.path} has no samples. Leave it out, or correct its start and end.")


def or_error(read: Callable[[Clip], T]) -> Callable[[Clip], T | Exception]:
    """Wraps `read` to return its error for a recording that cannot be read."""

    def attempt(clip: Clip) -> T | Exception:
        try:
            return read(clip)
        except (AudioError, OSError) as error:
            return at_place(clip, error)

    return attempt


def at_place(clip: Clip, error: Exception) -> Exception:
    """An error about a clip, with its path and, if it is from a table, the table and line."""
    error = about(clip.path, error)
    return AudioError(f"{clip.place}: {error}") if clip.place else error


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
    """A uniform draw from the pool. Raises ValueError if it is empty."""
    return pool[int(rng.integers(len(pool)))]


def pick_balanced(rng: np.random.Generator, pools: Sequence[Pool]) -> Pool:
    """One of several pools, none of them empty, each drawn by its `pool_shares`."""
    return pick_by_shares(rng, pools, pool_shares(pools))


def pick_by_shares(rng: np.random.Generator, pools: Sequence[T], shares: Sequence[float] | np.ndarray) -> T:
    """One of several pools, drawn by shares of any sum."""
    weights = np.asarray(shares, float)
    return pools[int(rng.choice(len(pools), p=weights / weights.sum()))]


def pick_speed(rng: np.random.Generator, speed: tuple[float, float], share: float) -> float:
    """A speed, drawn uniformly from that range for a share of the recordings; 1 for the others."""
    drawn = rng.uniform(*speed)
    return drawn if share == 1 or rng.random() < share else 1.0


def pool_shares(pools: Sequence[Sized]) -> np.ndarray:
    """The share of each of several pools, float64[pools]: larger for larger pools, but not in proportion."""
    weights = np.array([len(pool) for pool in pools], float) ** POOL_BALANCE
    return weights / weights.sum()


def prefetch(make: Callable[[int], Batch], start: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """Yields make(start), make(start + 1), ... make(stop - 1), in order, prefetched by threads.

    A batch must depend on its number alone, so that a resumed run sees the same batches. Threads start with the first
    batch, are at most 2 x workers batches ahead, and end with the iterator: when it is exhausted, closed or deleted.
    Errors of `make` are raised in place of its batch.
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
    "at_place",
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
    "readable",
    "warn_of_cut_clips",
]
