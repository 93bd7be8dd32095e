"""Reading and writing audio files through libsndfile."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import soundfile

from streamrnn.audio.chunks import AudioError, AudioWarning, as_samples, check_layout
from streamrnn.audio.resample import resample

PathLike = str | os.PathLike[str]

# libsndfile's count of frames of a stream whose header leaves it open is the largest 64 bit integer.
UNKNOWN_FRAMES = 2**62
READ_SAMPLES = 65536


class AudioFile:
    """An audio file, open for reading. A context manager. Not thread-safe.

    The content decides the format, the extension does not. Truncated files give what they hold: a WAV or Ogg file that
    was cut off just counts as shorter; where the header promises more than can be decoded (FLAC, MP3), all decoded
    samples are delivered first and an AudioWarning follows.

    Attributes:
        path: where it lies.
        sample_rate: Hz.
        channels: how many.
        frames: samples per channel, as the header declares them.

    Raises:
        FileNotFoundError: there is no such file.
        AudioError: it is a directory, empty, damaged from the start, or of a format that libsndfile does not read.
    """

    def __init__(self, path: PathLike):
        self.path = Path(path)
        self._file = _open(self.path)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int = self._file.frames

    @property
    def duration_s(self) -> float:
        """Declared duration in seconds."""
        return self.frames / self.sample_rate

    def chunks(self, chunk_samples: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The samples from `start` to `stop` (default: the end) in chunks, the last one shorter. Ends when closed.

        Yields:
            float32[chunk_samples], or [chunk_samples, channels] with more than one channel, in [-1, 1].

        Raises:
            AudioError: chunk_samples is below 1, or not 0 <= start <= stop.
        """
        if chunk_samples < 1:
            raise AudioError(f"chunk_samples is {chunk_samples}; it must be at least 1.")
        stop = self.frames if stop is None else min(stop, self.frames)
        position = self._seek(start, stop)
        while position < stop and not self._file.closed:
            chunk = self._read(min(chunk_samples, stop - position))
            if len(chunk) == 0:
                self._warn_of_early_end(position)
                return
            self._require_numbers(chunk, position)
            position += len(chunk)
            yield chunk

    def close(self) -> None:
        """Closes the file. Closing twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def _seek(self, start: int, stop: int) -> int:
        if start < 0 or (start > stop and start <= self.frames):
            raise AudioError(f"start is {start} and stop is {stop}; samples {start}:{stop} need 0 <= start <= stop.")
        if start < stop and start != self._file.tell():
            try:
                self._file.seek(start)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{self.path} cannot be read from sample {start}: it is damaged before.") from error
        return start

    def _read(self, count: int) -> np.ndarray:
        before = self._file.tell()
        out = np.full(count if self.channels == 1 else (count, self.channels), np.nan, np.float32)
        try:
            return self._file.read(out=out)
        except soundfile.LibsndfileError:
            # soundfile discards what was decoded before the damage; the position tells how much. A FLAC that a pipe
            # wrote, its length left open, has no position at its end: there the samples that were written tell.
            position = self._file.tell()
            written = ~np.isnan(out.reshape(count, -1)[:, 0])
            return out[: position - before if position >= before else int(written.sum())]

    def _require_numbers(self, chunk: np.ndarray, position: int) -> None:
        bad = ~np.isfinite(chunk.reshape(len(chunk), -1)).all(axis=1)
        if bad.any():
            first = position + int(bad.argmax())
            raise AudioError(
                f"{self.path} holds samples that are NaN or infinite, the first at sample {first} "
                f"({first / self.sample_rate:.3f} s). Repair the file or cut it there."
            )

    def _warn_of_early_end(self, decoded: int) -> None:
        if decoded == 0:
            raise AudioError(f"{self.path} is damaged: none of its {self.duration_s:.2f} s could be decoded.")
        if self.frames < UNKNOWN_FRAMES:
            warnings.warn(
                f"{self.path} is cut off or damaged: {decoded / self.sample_rate:.2f} s of "
                f"{self.duration_s:.2f} s could be decoded.",
                AudioWarning,
                stacklevel=3,
            )


def read_audio(
    path: PathLike, sample_rate: int | None = None, start: int = 0, stop: int | None = None
) -> tuple[np.ndarray, int]:
    """A recording as (float32[n] mono in [-1, 1], sample rate in Hz).

    Args:
        path: an audio file; channels are averaged.
        sample_rate: resample to this rate (soxr, offline); default: the file's own.
        start, stop: the part to read, in samples at the file's own rate; default: all. Beyond the end is empty.

    Raises:
        FileNotFoundError, AudioError: as `AudioFile` and `as_samples`.
    """
    with AudioFile(path) as file:
        chunks = [as_samples(chunk) for chunk in file.chunks(READ_SAMPLES, start, stop)]
    samples = np.concatenate([np.empty(0, np.float32), *chunks])
    if sample_rate is None:
        return samples, file.sample_rate
    return resample(samples, file.sample_rate, sample_rate), sample_rate


def write_audio(path: PathLike, samples: np.ndarray, sample_rate: int) -> None:
    """Writes float[n] or [n, channels] in [-1, 1], or int16; the extension chooses the format (.wav, .flac, .ogg, ...).

    WAV and FLAC become 16 bit; values beyond [-1, 1] are clipped.

    Raises:
        FileNotFoundError: the folder does not exist.
        AudioError: an unknown extension, a shape that is not audio, or a place that cannot be written.
    """
    path = Path(path)
    check_layout(np.shape(samples))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist. Create it first.")
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise AudioError(f"cannot write {path}: no format {path.suffix!r}. Use .wav, .flac, .ogg or .mp3.")
    try:
        soundfile.write(path, samples, sample_rate)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"cannot write {path} ({error.error_string.strip()}). Check that the folder {path.parent} is writable, and "
            f"that the format takes {sample_rate} Hz."
        ) from error


def _open(path: Path) -> soundfile.SoundFile:
    if not path.exists():
        raise FileNotFoundError(f"there is no audio file {path}")
    if path.is_dir():
        raise AudioError(f"{path} is a directory; pass one of the files in it.")
    if not path.is_file():
        raise AudioError(f"{path} is no regular file; pipe its bytes to standard input instead, source '-'.")
    if path.stat().st_size == 0:
        raise AudioError(f"{path} is empty: 0 bytes. Record or copy it again.")
    try:
        return soundfile.SoundFile(path)
    # A TypeError is soundfile's word for a .raw file: it has no header to read the rate from.
    except (soundfile.LibsndfileError, TypeError) as error:
        raise AudioError(
            f"{path} is damaged or not in a format that can be read ({', '.join(soundfile.available_formats())}). "
            f"Convert it: ffmpeg -i {path.name} converted.wav, or sox {path.name} converted.wav"
        ) from error


__all__ = ["AudioFile", "PathLike", "read_audio", "write_audio"]
