"""Sources of sound: files, arrays, a microphone, a pipe. All are iterables of chunks with a sample rate.

for chunk in FileSource("speech.wav"): ...
"""

import io
import math
import queue
import threading
import warnings
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

from streamrnn.audio.chunks import AudioError, AudioWarning, Chunk, as_channels, check_recording, require_rate
from streamrnn.audio.devices import open_device
from streamrnn.audio.files import AudioFile
from streamrnn.audio.pacing import chunk_length, paced
from streamrnn.audio.parts import kind_of
from streamrnn.audio.pipes import PipeSource
from streamrnn.audio.source import Source

# The first step is compiled while the microphone already records; this much sound can wait for it.
MICROPHONE_QUEUE_S = 10


class FileSource(Source):
    """The chunks of an audio file. Every iteration starts at the beginning.

    Args:
        path: an audio file, or a seekable binary file object, which stays open.
        chunk_ms: duration of a chunk; the last one is shorter.
        realtime: deliver each chunk when a microphone would have recorded it, instead of at once.

    Raises:
        FileNotFoundError, AudioError: as for `AudioFile`; or chunk_ms is not positive.
    """

    def __init__(self, path: str | PathLike[str] | BinaryIO, chunk_ms: float = 100, realtime: bool = False):
        self._file = AudioFile(path)
        self.sample_rate, self.channels = self._file.sample_rate, self._file.channels
        self._chunk_samples = chunk_length(self.sample_rate, chunk_ms)
        self._realtime = realtime

    def __iter__(self) -> Iterator[np.ndarray]:
        chunks = self._file.chunks(self._chunk_samples)
        return paced(chunks, self.sample_rate) if self._realtime else chunks

    def close(self) -> None:
        self._file.close()


class ArraySource(Source):
    """The chunks of a recording in memory. Every iteration starts at the beginning.

    Args:
        samples: any input of `as_samples`, as a whole; [1, n], which is transposed mono, is rejected.
        sample_rate: Hz.
        chunk_ms, realtime: as for `FileSource`.

    Raises:
        AudioError, TypeError: as for `as_samples`; more channels than samples; sample_rate or chunk_ms is not positive.
    """

    def __init__(self, samples: Chunk, sample_rate: int, chunk_ms: float = 100, realtime: bool = False):
        self.sample_rate = sample_rate
        self._samples = as_channels(samples)
        check_recording(self._samples.shape)
        self.channels = 1 if self._samples.ndim == 1 else self._samples.shape[1]
        self._chunk_samples = chunk_length(sample_rate, chunk_ms)
        self._realtime = realtime

    def __iter__(self) -> Iterator[np.ndarray]:
        step = self._chunk_samples
        chunks = (self._samples[i : i + step] for i in range(0, len(self._samples), step))
        return paced(chunks, self.sample_rate) if self._realtime else chunks

    def close(self) -> None:
        """Does nothing: an array holds no resource."""


class ChunkSource(Source):
    """Any iterable of chunks, together with a sample rate.

    Args:
        chunks: yields inputs of `as_samples`. It is closed with the source if it has a close method.
        sample_rate: Hz.
    """

    def __init__(self, chunks: Iterable[Chunk], sample_rate: int):
        self.sample_rate = sample_rate
        self._chunks = chunks

    def __iter__(self) -> Iterator[Chunk]:
        return iter(self._chunks)

    def close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


class Microphone(Source):
    """A microphone, through PortAudio. Recording begins with the iteration and ends with `close`, from any thread.

    If no chunk is taken for 10 s, new ones are dropped; `dropped_chunks` counts them, together with those lost by the
    operating system, and the first one causes an AudioWarning.

    Args:
        sample_rate: Hz; default: the device's own.
        chunk_ms: duration of a chunk.
        device: PortAudio's number or a part of the name; default: the system's input.

    Raises:
        ImportError: the package sounddevice or the PortAudio library is missing; the message says how to install it.
        AudioError: there is no such device, it does not support the rate, or chunk_ms is not positive.
    """

    def __init__(self, sample_rate: int | None = None, chunk_ms: float = 20, device: int | str | None = None):

        def open_(sounddevice: Any) -> Any:
            default_rate = sounddevice.query_devices(device, "input")["default_samplerate"]
            self.sample_rate = int(default_rate if sample_rate is None else sample_rate)
            return sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=chunk_length(self.sample_rate, chunk_ms),
                device=device,
                channels=1,
                dtype="float32",
                callback=self._record,
            )

        advice = "Plug one in or choose another device or rate."
        self._stream = open_device("microphone", device, sample_rate, open_, advice)
        self.dropped_chunks = 0
        self._closed = threading.Event()
        self._queue = queue.Queue(maxsize=math.ceil(MICROPHONE_QUEUE_S * 1000 / chunk_ms))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields float32[n], until the microphone is closed.

        Raises:
            AudioError: the device stopped, for example because it was unplugged.
        """
        warned = False
        if not self._closed.is_set():
            self._stream.start()
        while not self._closed.is_set():
            if self.dropped_chunks and not warned:
                warned = True
                warnings.warn(
                    "sound was lost: chunks were not taken as fast as they came. Use a smaller model or longer chunks.",
                    AudioWarning,
                    stacklevel=2,
                )
            # The time-out notices a close from another thread, and on Windows lets Ctrl-C through.
            try:
                yield self._queue.get(timeout=0.1)
            except queue.Empty:
                self._check_alive()

    def close(self) -> None:
        self._closed.set()
        self._stream.close()

    def _record(self, samples: np.ndarray, _frames: int, _time: Any, status: Any) -> None:
        # Runs on PortAudio's thread, which must neither wait nor raise.
        self.dropped_chunks += bool(status.input_overflow)
        try:
            self._queue.put_nowait(samples[:, 0].copy())
        except queue.Full:
            self.dropped_chunks += 1

    def _check_alive(self) -> None:
        if not self._closed.is_set() and not self._stream.active:
            raise AudioError("the microphone stopped delivering sound. Check that it is plugged in, and open it again.")


def open_source(
    what: Any, *, sample_rate: int | None = None, chunk_ms: float | None = None, realtime: bool = False
) -> Source:
    """The source for any kind of sound.

    Args:
        what: "mic" (the microphone), "-" (standard input), a path, a binary file object, an array, a `Source`
            (returned unchanged), or an iterable of chunks, with or without an attribute sample_rate. A file object
            that can seek is read like a file, from its first byte; another one, or one of raw samples with a
            sample_rate, like a pipe.
        sample_rate: Hz. Needed for arrays and iterables without a rate, optional for the microphone and raw samples
            from a pipe; files and sources know theirs.
        chunk_ms: duration of a chunk if the source cuts them; default: that of the source's class.
        realtime: pace files and arrays like a live source.

    Raises:
        AudioError: an array or an iterable came without a sample rate, or the rate is not a number; and the errors of
            the sources.
        TypeError: `what` is none of these, such as a file opened as text.
    """
    chunking: dict[str, Any] = {} if chunk_ms is None else {"chunk_ms": chunk_ms}
    if sample_rate is not None:
        require_rate(sample_rate)
    if isinstance(what, Source):
        return what
    if isinstance(what, str) and what == "mic":
        return Microphone(sample_rate, **chunking)
    if isinstance(what, str) and what == "-":
        return PipeSource(sample_rate=16000 if sample_rate is None else sample_rate, **chunking)
    if isinstance(what, str | PathLike):
        return FileSource(what, realtime=realtime, **chunking)
    if hasattr(what, "read"):
        return _of_file_object(what, sample_rate, realtime, chunking)
    if isinstance(what, np.ndarray | bytes | bytearray | memoryview):
        return ArraySource(what, _needed_rate(sample_rate), realtime=realtime, **chunking)
    if not hasattr(what, "__iter__"):
        raise TypeError(f"{type(what).__name__} is no source of sound. Pass 'mic', '-', a path, an array or chunks.")
    return ChunkSource(what, _needed_rate(getattr(what, "sample_rate", sample_rate)))


def _of_file_object(file: Any, sample_rate: int | None, realtime: bool, chunking: dict[str, Any]) -> Source:
    if isinstance(file, io.TextIOBase):
        raise TypeError("the file was opened as text. Open sound as bytes: open(path, 'rb').")
    is_seekable = hasattr(file, "seekable") and file.seekable()
    if not is_seekable or (sample_rate is not None and kind_of(file)[0] is None):
        if is_seekable:
            file.seek(0)
        return PipeSource(file, 16000 if sample_rate is None else sample_rate, **chunking)
    return FileSource(file, realtime=realtime, **chunking)


def _needed_rate(sample_rate: int | None) -> int:
    if sample_rate is None:
        raise AudioError("arrays and plain iterables of chunks do not say their rate. Pass sample_rate=... in Hz.")
    return sample_rate


__all__ = ["ArraySource", "ChunkSource", "FileSource", "Microphone", "PipeSource", "Source", "open_source"]
