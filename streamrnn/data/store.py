"""Clips of corpora that do not fit into memory."""

import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning
from streamrnn.data.clips import Clip, no_samples, or_error, read_int16, readable, warn_of_cut_clips


class ClipStore:
    """Clips decoded on demand and cached within a memory limit.

    `store[i]` is a clip and its int16[n], as in the list of `read_clips`; `len` and iteration work as there. Threads
    may share a store: decoding releases Python's lock, so batches made in threads (see `prefetch`) decode in parallel.

    Clips that can't be opened, or that are empty, are left out at once; an AudioWarning counts them and names the first
    three. Another one counts clips whose end lies behind that of their recording. A clip that turns out to be damaged
    when it is decoded is named by an AudioWarning then: iteration leaves it out, and `store[i]` returns the next intact
    one in its place. So a draw depends only on the index and the files, never on the cache or on the order of threads.

    Args:
        clips: the clips.
        sample_rate: of the samples in Hz, resampled where needed.
        memory_bytes: size of the cache; when it is full, further clips are decoded at every use.

    Attributes:
        clips: those whose files could be opened, in order.
        durations_s: duration of each.

    Raises:
        AudioError: no file could be opened; from store[i], every clip turned out to be damaged.
    """

    def __init__(self, clips: Sequence[Clip], sample_rate: int, memory_bytes: int = 2 * 1024**3):
        clips = list(clips)
        with ThreadPoolExecutor() as pool:
            # Many clips may be parts of one file, whose length is only known after reading it.
            length = cache(_length)
            found = readable(clips, list(pool.map(or_error(lambda clip: _duration_s(clip, *length(clip.path))), clips)))
        warn_of_cut_clips([clip for clip, _ in found if clip.end is not None and clip.end > length(clip.path)[0]])
        self.clips = [clip for clip, _ in found]
        self.durations_s = [duration_s for _, duration_s in found]
        self._place = {clip: place for place, clip in enumerate(self.clips)}
        self._sample_rate, self._free_bytes = sample_rate, memory_bytes
        self._held: dict[int, np.ndarray] = {}
        self._damaged: set[int] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Clip, np.ndarray]:
        first = range(len(self))[index]
        if (samples := self._samples(first)) is not None:
            return self.clips[first], samples
        return self.first_sound([*range(first, len(self)), *range(first)])

    def first_sound(self, indices: Sequence[int]) -> tuple[Clip, np.ndarray]:
        """The first of these clips that can be decoded, and its int16[n]. Raises AudioError if none can."""
        for i in indices:
            if (samples := self._samples(i)) is not None:
                return self.clips[i], samples
        raise AudioError(f"None of {len(indices)} clips could be decoded. Check {self.clips[indices[0]].path}.")

    def of(self, clips: Iterable[Clip]) -> "SomeClips":
        """Those of the clips that are in the store."""
        return SomeClips(self, [self._place[clip] for clip in clips if clip in self._place])

    def __iter__(self) -> Iterator[tuple[Clip, np.ndarray]]:
        for i, clip in enumerate(self.clips):
            if (samples := self._samples(i)) is not None:
                yield clip, samples

    def _samples(self, index: int) -> np.ndarray | None:
        if index in self._held or index in self._damaged:
            return self._held.get(index)
        samples = or_error(lambda clip: read_int16(clip, self._sample_rate))(self.clips[index])
        if isinstance(samples, Exception):
            self._leave_out(index, samples)
            return None
        self._hold(index, samples)
        return samples

    def _hold(self, index: int, samples: np.ndarray) -> None:
        with self._lock:
            if index not in self._held and samples.nbytes <= self._free_bytes:
                self._held[index] = samples
                self._free_bytes -= samples.nbytes

    def _leave_out(self, index: int, error: Exception) -> None:
        with self._lock:
            known, count = index in self._damaged, len(self._damaged | {index})
            self._damaged.add(index)
        if not known:
            warnings.warn(f"Skipped a damaged clip, {count} of {len(self)} so far: {error}", AudioWarning, stacklevel=4)


@dataclass(frozen=True)
class SomeClips(Sequence[tuple[Clip, np.ndarray]]):
    """Some of the clips of a store, by their places there, with their samples: int16[n]."""

    store: ClipStore
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Clip, np.ndarray]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.store[self.places[index]]


def _length(path: Path) -> tuple[int, int]:
    with AudioFile(path) as file:
        return file.measured_frames(), file.sample_rate


def _duration_s(clip: Clip, frames: int, sample_rate: int) -> float:
    end = frames if clip.end is None else min(clip.end, frames)
    if end <= clip.start:
        raise no_samples(clip)
    return (end - clip.start) / sample_rate


__all__ = ["ClipStore", "SomeClips"]
