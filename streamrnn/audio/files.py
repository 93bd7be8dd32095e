"""Reading audio files."""

import os
import threading
import warnings
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from streamrnn.audio.chunks import MAX_CHANNELS, AudioError, AudioWarning
from streamrnn.audio.containers import DECODED, REFUSED
from streamrnn.audio.conversion import Converted, Decoding
from streamrnn.audio.decoding import Decoder
from streamrnn.audio.foreign import FOREIGN, ForeignDecoder, can_decode
from streamrnn.audio.mixing_down import mono
from streamrnn.audio.parts import Part, kind_of, parts_of
from streamrnn.audio.resample import HIGHEST_RATE, LOWEST_RATE, resample
from streamrnn.audio.windows import Window

PathLike = str | os.PathLike[str]

READ_SAMPLES = 65536
# Limits of untrusted files: the channels of a live stream, and rates with few resampling filters.
STRANGERS_CHANNELS, STRANGERS_RATE_STEP = 8, 25
FORMATS = "AIFF, AU, CAF, FLAC, MP3, OGG, RF64, W64, WAV"


class AudioFile:
    """An audio file, open for reading. A context manager. Not thread-safe, except for `close`.

    The content decides the format, not the extension. Supported are WAV, RF64, W64, AIFF, AU, CAF, FLAC, Ogg (Vorbis,
    Opus) and MP3, in every encoding that libsndfile knows, and libsndfile's other formats. Other containers (MP4, M4A,
    AAC, WebM, Matroska, AMR, WMA, ...) are decoded by the program ffmpeg if it is installed.

    A file is read to its real end, whatever its header says. If it was joined from several recordings (chained Ogg;
    concatenated FLAC, MP3 or WAV files), all are read; those with another sample rate or number of channels are
    converted to those of the first. If a part is missing or damaged, an AudioWarning follows after the last samples.

    Args:
        path: of the file; or a seekable binary file object, which stays open.
        trusted: False for a file from an untrusted source. Then only the formats named above are read, recognised by
            their first bytes; no other program is started, and nothing is written to standard output. The file may have
            at most 8 channels and 8,000 to 96,000 samples per second in steps of 25, the same in all its recordings.
            Memory does not grow with the file: the reader holds one chunk at a time, libsndfile a few blocks. The
            duration is not limited: a few kilobytes can hold hours of silence. Check `duration_s` first, if it is
            known, and count the samples.

    Attributes:
        path: its path; the name of a file object, if it has one.
        sample_rate: Hz.
        channels: number of channels.

    Raises:
        FileNotFoundError: there is no such file.
        AudioError: it is a directory, empty, damaged from the start, or in a format that cannot be read.
    """

    def __init__(self, path: PathLike | BinaryIO, trusted: bool = True):
        self._trusted, self._closed, self._fresh = trusted, False, None
        self._readings: set[_Reading] = set()
        # Closing a decoder while it decodes would crash the process.
        self._lock = threading.RLock()
        if isinstance(path, str | os.PathLike):
            self.path, self._is_own = Path(path), True
            self._file = _opened(self.path)
        else:
            self.path, self._is_own = Path(_name_of(path)), False
            self._file = path
        try:
            self._size_bytes = self._file.seek(0, os.SEEK_END)
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        if self._size_bytes == 0:
            raise AudioError(f"{self.path} is empty: 0 bytes. Record or copy it again.")
        self._kind, self._tag_bytes = kind_of(self._file)
        if self._kind == REFUSED or (not self._trusted and self._kind not in DECODED):
            kind = self._kind or "in no format that is known by its first bytes"
            raise AudioError(f"{self.path} is {kind}, which is not read; {FORMATS} are. {self._advice}")
        # The end of the first recording is searched for later, unless the header must be repaired.
        first = self._parts[0] if self._kind in ("WAVE", "RIFX", "RF64", "MP3") else self._whole
        self._fresh = self._decoder(first)
        self.sample_rate: int = self._fresh.sample_rate
        self.channels: int = self._fresh.channels
        self._first_frames = self._fresh.frames
        self._require_bounds()

    @cached_property
    def frames(self) -> int | None:
        """Samples per channel of all recordings in the file, according to their headers.

        None if only decoding can tell: for streams whose header leaves it open, and for files decoded by ffmpeg. The
        first access reads the file once, without decoding it.
        """
        if len(self._parts) == 1:
            return self._first_frames
        counted = 0
        for part in self._parts:
            decoder = self._like_first(self._decoder(part))
            decoder.close()
            if decoder.frames is None:
                return None
            counted += decoder.frames
        return counted

    def measured_frames(self) -> int:
        """Samples per channel: `frames`, or counted by decoding the file if that is None."""
        return sum(map(len, self.chunks(READ_SAMPLES))) if self.frames is None else self.frames

    @property
    def duration_s(self) -> float | None:
        """Seconds of all recordings in the file; None if `frames` is None."""
        return None if self.frames is None else self.frames / self.sample_rate

    def chunks(self, chunk_samples: int, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The samples from `start` to `stop` (default: the end) in chunks, the last one shorter. Ends when closed.

        Yields:
            float32[chunk_samples], or [chunk_samples, channels] with more than one channel, in [-1, 1].

        Raises:
            AudioError: chunk_samples is below 1; not 0 <= start <= stop; NaN in the samples, or damage before them.
        """
        if chunk_samples < 1:
            raise AudioError(f"chunk_samples is {chunk_samples}; it must be at least 1.")
        if start < 0 or (stop is not None and start > stop):
            raise AudioError(f"start is {start} and stop is {stop}; samples {start}:{stop} need 0 <= start <= stop.")
        with self._lock:
            if self._closed:
                return
            position, reading = start, _Reading(self, start, stop)
            self._readings.add(reading)
        try:
            while stop is None or position < stop:
                count = chunk_samples if stop is None else min(chunk_samples, stop - position)
                with self._lock:
                    if self._closed or len(chunk := reading.read(count)) == 0:
                        return
                self._require_numbers(chunk, position)
                position += len(chunk)
                yield chunk
        finally:
            with self._lock:
                self._readings.discard(reading)
                reading.close()

    def close(self) -> None:
        """Closes the file, from any thread, once a read in progress has ended. Closing twice is harmless."""
        # Before acquiring the lock, which a reading thread would take again and again.
        self._closed = True
        with self._lock:
            for reading in self._readings:
                reading.close()
            if self._fresh is not None:
                self._fresh.close()
            if self._is_own:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def __del__(self) -> None:
        # No warning about a file that was not closed: it is only needed for reading.
        if hasattr(self, "_file"):
            self.close()

    @property
    def _whole(self) -> Part:
        # libsndfile does not count tags before the sound as part of the file, and loses as much of its end.
        return Part(self._tag_bytes, self._size_bytes)

    @cached_property
    def _parts(self) -> list[Part]:
        if not (self._is_own and self._trusted):
            return parts_of(self._file, self._kind, self._size_bytes, self._tag_bytes)
        # Training reads many clips from one long file.
        found = os.stat(self.path)
        return _parts_at(self.path, found.st_size, found.st_mtime_ns, self._kind, self._tag_bytes)

    def parts_until(self, stop: int | None) -> list[Part]:
        """The recordings with samples before `stop`; later ones need not be searched."""
        is_early = stop is not None and self._first_frames is not None and stop <= self._first_frames - self.sample_rate
        return [self._whole] if is_early and "_parts" not in self.__dict__ else self._parts

    def decoder(self, part: Part) -> Decoding:
        """A decoder of this part, at the rate and with the channels of the first one."""
        if self._fresh is not None and len(self.parts_until(1)) == 1:
            decoder, self._fresh = self._fresh, None
            return decoder
        return self._like_first(self._decoder(part))

    def _decoder(self, part: Part) -> Decoding:
        name = str(self.path)
        if self._kind in FOREIGN:
            return ForeignDecoder(self._kind, name, self.path if self._is_own else self._file)
        try:
            if self._is_own and part == self._whole and self._tag_bytes == 0:
                return Decoder(os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), name)
            return Decoder(Window(self._file, part.start, part.end, part.prefix), name)
        except AudioError as error:
            if self._trusted and self._kind is not None and can_decode(self._kind):
                return ForeignDecoder(self._kind, name, self.path if self._is_own else self._file)
            raise AudioError(f"{str(error).removesuffix('.')}; {FORMATS} are read. {self._advice}") from error

    def _like_first(self, decoder: Decoding) -> Decoding:
        if (decoder.sample_rate, decoder.channels) == (self.sample_rate, self.channels):
            return decoder
        if not self._trusted:
            decoder.close()
            raise AudioError(
                f"{self.path} was joined from recordings of different kinds: {self.channels} channels at "
                f"{self.sample_rate} Hz, and {decoder.channels} at {decoder.sample_rate} Hz. {self._advice}"
            )
        return Converted(decoder, self.sample_rate, self.channels)

    def _require_bounds(self) -> None:
        rate, channels, most = self.sample_rate, self.channels, MAX_CHANNELS
        if not self._trusted:
            most = STRANGERS_CHANNELS
            if not LOWEST_RATE <= rate <= HIGHEST_RATE or rate % STRANGERS_RATE_STEP:
                raise AudioError(
                    f"{self.path} has {rate} samples per second; {LOWEST_RATE} to {HIGHEST_RATE} in steps of "
                    f"{STRANGERS_RATE_STEP} are taken. {self._advice}"
                )
        if channels > most:
            raise AudioError(f"{self.path} has {channels} channels; at most {most} are read. {self._advice}")

    @property
    def _advice(self) -> str:
        return f"Convert it: ffmpeg -i {self.path.name} converted.wav, or sox {self.path.name} converted.wav"

    def _require_numbers(self, chunk: np.ndarray, position: int) -> None:
        bad = ~np.isfinite(chunk.reshape(len(chunk), -1)).all(axis=1)
        if bad.any():
            first = position + int(bad.argmax())
            raise AudioError(
                f"{self.path} holds samples that are NaN or infinite, the first at sample {first} "
                f"({first / self.sample_rate:.3f} s). Repair the file or cut it there."
            )


class _Reading:
    """One pass through a file, part by part."""

    def __init__(self, file: AudioFile, start: int, stop: int | None):
        self._file, self._start = file, start
        self._parts = iter(file.parts_until(stop))
        self._part: Part | None = None
        self._decoder: Decoding | None = None
        self._decoded = self._total = 0
        self._notes: list[str] = []
        self._is_several = len(file.parts_until(stop)) > 1

    def read(self, count: int) -> np.ndarray:
        """The next samples; fewer, or none, at the end. Warnings come after the samples before the fault."""
        self._tell()
        pieces: list[np.ndarray] = []
        while count > 0 and (decoder := self._current()) is not None:
            piece = decoder.read(count)
            self._decoded += len(piece)
            self._total += len(piece)
            count -= len(piece)
            pieces.append(piece)
            if len(piece) == 0:
                self._end_of_part(decoder)
        pieces = [piece for piece in pieces if len(piece)]
        if not pieces:
            self._tell()
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros(0, np.float32)])

    def _tell(self) -> None:
        while self._notes:
            warnings.warn(self._notes.pop(0), AudioWarning, stacklevel=4)

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()

    def _current(self) -> Decoding | None:
        while self._decoder is None and (part := next(self._parts, None)) is not None:
            decoder = self._file.decoder(part)
            if decoder.frames is not None and decoder.frames <= self._start and self._start > 0:
                self._start -= decoder.frames
                decoder.close()
                continue
            self._part, self._decoder, self._decoded = part, decoder, self._start
            if self._start:
                self._skip(decoder)
        return self._decoder

    def _skip(self, decoder: Decoding) -> None:
        start, self._start = self._start, 0
        if decoder.frames is None and self._is_several:
            # If this part is shorter, only decoding tells how many samples are left to skip in the next one.
            while start > 0 and len(samples := decoder.read(min(start, READ_SAMPLES))):
                start -= len(samples)
            self._start = start
            return
        decoder.skip(start)

    def _end_of_part(self, decoder: Decoding) -> None:
        part, file, frames = self._part, self._file, decoder.frames
        decoder.close()
        self._decoder = None
        if part is None:
            return
        if part.note is not None:
            self._notes.append(f"{file.path} {part.note}.")
        elif (frames or 0) - self._decoded > decoder.spare or (decoder.is_damaged and not (frames and decoder.spare)):
            seconds = self._decoded / file.sample_rate
            of_all = "what could be decoded" if frames is None else f"{frames / file.sample_rate:.2f} s"
            if self._total == 0:
                raise AudioError(f"{file.path} is damaged: none of its {of_all} could be decoded.")
            self._notes.append(f"{file.path} is cut off or damaged: {seconds:.2f} s of {of_all} could be decoded.")


def read_audio(
    path: PathLike | BinaryIO,
    sample_rate: int | None = None,
    start: int = 0,
    stop: int | None = None,
    *,
    channel: int | None = None,
) -> tuple[np.ndarray, int]:
    """A recording as (float32[n] mono in [-1, 1], sample rate in Hz).

    Args:
        path: as for `AudioFile`.
        sample_rate: resample to this rate (soxr, offline); default: the file's own.
        start, stop: the part to read, in samples at the file's own rate; default: all. A part beyond the end is empty.
        channel: index of the channel, from 0; default: the mean of all.

    Raises:
        FileNotFoundError, AudioError: as for `AudioFile` and `as_samples`; or there is no such channel.
    """
    with AudioFile(path) as file:
        chunks = list(mono(file.chunks(READ_SAMPLES, start, stop), file.sample_rate, channel))
    samples = np.concatenate([np.empty(0, np.float32), *chunks])
    if sample_rate is None:
        return samples, file.sample_rate
    return resample(samples, file.sample_rate, sample_rate), sample_rate


def _opened(path: Path) -> BinaryIO:
    if not path.exists():
        raise FileNotFoundError(f"there is no audio file {path}")
    if path.is_dir():
        raise AudioError(f"{path} is a directory; pass one of the files in it.")
    if not path.is_file():
        raise AudioError(f"{path} is no regular file; pipe its bytes to standard input instead, source '-'.")
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror}).") from error


def _name_of(file: BinaryIO) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "the file object"


@lru_cache(maxsize=64)
def _parts_at(path: Path, _size_bytes: int, _changed_ns: int, kind: str | None, start: int) -> list[Part]:
    with path.open("rb") as file:
        return parts_of(file, kind, _size_bytes, start)


__all__ = ["AudioFile", "PathLike", "read_audio"]
