"""Where sound comes from: files, arrays, a microphone, a pipe. All are iterables of chunks with a sample rate.

for chunk in FileSource("speech.wav"): ...
"""

import math
import queue
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any, BinaryIO, Self

import numpy as np

from streamrnn.audio.chunks import AudioError, AudioWarning, Chunk, as_samples
from streamrnn.audio.files import AudioFile
from streamrnn.audio.pcm import PcmFormat, read_wave_header

# A first step is compiled while the microphone already records; this much sound waits for it.
MICROPHONE_QUEUE_S = 10
# The first three bytes of files that would be heard as noise if they were taken for samples.
COMPRESSED = {b"fLa": "FLAC", b"Ogg": "Ogg", b"ID3": "MP3", b"FOR": "AIFF", b"caf": "CAF"}


class Source(ABC):
    """An iterable of chunks, and a context manager that closes it.

    Attributes:
        sample_rate: Hz.
    """

    sample_rate: int

    @abstractmethod
    def __iter__(self) -> Iterator[Chunk]:
        """The chunks, each float32[n] or [n, channels] unless the source says otherwise."""

    @abstractmethod
    def close(self) -> None:
        """Releases what the source holds. The iteration of a file or a live source ends. Closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


class FileSource(Source):
    """The chunks of an audio file. Every iteration begins anew.

    Args:
        path: an audio file.
        chunk_ms: duration of a chunk; the last one is shorter.
        realtime: hand each chunk over when a microphone would have recorded it, instead of at once.

    Raises:
        FileNotFoundError, AudioError: as `AudioFile`; chunk_ms is not positive.
    """

    def __init__(self, path: str | PathLike[str], chunk_ms: float = 100, realtime: bool = False):
        self._file = AudioFile(path)
        self.sample_rate = self._file.sample_rate
        self._chunk_samples = _chunk_samples(self.sample_rate, chunk_ms)
        self._realtime = realtime

    def __iter__(self) -> Iterator[np.ndarray]:
        chunks = self._file.chunks(self._chunk_samples)
        return _paced(chunks, self.sample_rate) if self._realtime else chunks

    def close(self) -> None:
        self._file.close()


class ArraySource(Source):
    """The chunks of a recording in memory. Every iteration begins anew.

    Args:
        samples: anything that `as_samples` takes, as a whole.
        sample_rate: Hz.
        chunk_ms, realtime: as for `FileSource`.

    Raises:
        AudioError, TypeError: as `as_samples`; sample_rate or chunk_ms is not positive.
    """

    def __init__(self, samples: Chunk, sample_rate: int, chunk_ms: float = 100, realtime: bool = False):
        self.sample_rate = sample_rate
        self._samples = as_samples(samples)
        self._chunk_samples = _chunk_samples(sample_rate, chunk_ms)
        self._realtime = realtime

    def __iter__(self) -> Iterator[np.ndarray]:
        step = self._chunk_samples
        chunks = (self._samples[i : i + step] for i in range(0, len(self._samples), step))
        return _paced(chunks, self.sample_rate) if self._realtime else chunks

    def close(self) -> None:
        """Does nothing: an array holds no resource."""


class ChunkSource(Source):
    """Any iterable of chunks, with the sample rate that it lacks.

    Args:
        chunks: yields what `as_samples` takes. It is closed with the source if it has a close method.
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

    If nobody takes the chunks for 10 s, new ones are dropped; `dropped_chunks` counts them, together with those that
    the operating system lost, and the first one gives an AudioWarning.

    Args:
        sample_rate: Hz; default: the device's own.
        chunk_ms: duration of a chunk.
        device: PortAudio's number or a part of the name; default: the system's input.

    Raises:
        ImportError: the package sounddevice or the PortAudio library is missing; the message says how to install it.
        AudioError: there is no such device, it does not take the rate, or chunk_ms is not positive.
    """

    def __init__(self, sample_rate: int | None = None, chunk_ms: float = 20, device: int | str | None = None):
        sounddevice = _import_sounddevice()
        try:
            default_rate = sounddevice.query_devices(device, "input")["default_samplerate"]
            self.sample_rate = int(default_rate if sample_rate is None else sample_rate)
            self._stream = sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=_chunk_samples(self.sample_rate, chunk_ms),
                device=device,
                channels=1,
                dtype="float32",
                callback=self._record,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(_no_microphone(sounddevice, device, sample_rate, error)) from error
        self.dropped_chunks = 0
        self._closed = threading.Event()
        self._queue = queue.Queue(maxsize=math.ceil(MICROPHONE_QUEUE_S * 1000 / chunk_ms))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields float32[n], until the microphone is closed.

        Raises:
            AudioError: the device stopped by itself, such as when it was unplugged.
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


class PipeSource(Source):
    """Sound from a pipe, as it arrives: raw signed 16 bit little-endian samples, or a WAVE file (`arecord | ...`).

    Waits for the first bytes when it is made, because a WAVE header says the rate and the channels. The header may also
    say 24 or 32 bit integers or float; wrong sizes in it, as programs write that cannot know the length, do no harm.
    One pass only. `close` ends the iteration after the read that it waits in; the stream itself stays open.

    Args:
        stream: binary; default: standard input.
        sample_rate: Hz, of raw samples.
        channels: interleaved in raw samples.
        chunk_ms: longest chunk; shorter ones come when less has arrived.

    Raises:
        AudioError: standard input is a terminal, it carries compressed sound, the header is broken or of another kind
            of sound, or an argument is not positive.
    """

    def __init__(
        self, stream: BinaryIO | None = None, sample_rate: int = 16000, channels: int = 1, chunk_ms: float = 100
    ):
        stream = _standard_input() if stream is None else stream
        self._read_some = getattr(stream, "read1", stream.read)
        self._format = PcmFormat(sample_rate, channels)
        self._held = self._read(4)
        if kind := COMPRESSED.get(self._held[:3]):
            raise AudioError(
                f"the pipe carries {kind}, which has to be decoded first: ffmpeg -i FILE -f wav - | ... "
                "Or pass the path of the file."
            )
        if self._held in (b"RIFF", b"RF64"):
            self._format = read_wave_header(self._read)
            self._held = b""
        self.sample_rate = self._format.sample_rate
        self._chunk_bytes = _chunk_samples(self.sample_rate, chunk_ms) * self._format.frame_bytes
        self._closed = False

    def __iter__(self) -> Iterator[np.ndarray]:
        left = sys.maxsize if self._format.size_bytes is None else self._format.size_bytes
        while left and not self._closed:
            data = self._read_some(min(left, max(1, self._chunk_bytes - len(self._held))))
            if not data:
                break
            left -= len(data)
            yield from self._whole_frames(data)
        if self._closed:
            return
        # A stream of fewer bytes than the search for a header takes may still hold whole frames.
        yield from self._whole_frames(b"")
        if self._held:
            self._warn_of_rest()

    def close(self) -> None:
        self._closed = True

    def _whole_frames(self, data: bytes) -> Iterator[np.ndarray]:
        data = self._held + data
        cut = len(data) - len(data) % self._format.frame_bytes
        self._held = data[cut:]
        if cut:
            yield self._format.decode(data[:cut])

    def _warn_of_rest(self) -> None:
        warnings.warn(
            f"the pipe ended with {len(self._held)} bytes of a frame of {self._format.frame_bytes}; they were dropped. "
            "Check that it carries the format that was announced.",
            AudioWarning,
            stacklevel=3,
        )

    def _read(self, count: int) -> bytes:
        """So many bytes, or fewer at the end of the stream."""
        data = b""
        while len(data) < count and (more := self._read_some(count - len(data))):
            data += more
        return data


def open_source(
    what: Any, *, sample_rate: int | None = None, chunk_ms: float | None = None, realtime: bool = False
) -> Source:
    """The source for whatever sound is given.

    Args:
        what: "mic" (the microphone), "-" (standard input), a path, an array, a `Source` (handed back as it is), or an
            iterable of chunks, with or without a sample_rate of its own.
        sample_rate: Hz. Needed for arrays and iterables that do not say theirs, optional for the microphone and raw
            standard input; files and sources know theirs.
        chunk_ms: duration of a chunk where the source cuts them; default: that of the source's class.
        realtime: pace files and arrays like a live source.

    Raises:
        AudioError: an array or an iterable without a sample rate; all that the sources raise.
        TypeError: `what` is none of these.
    """
    chunking: dict[str, Any] = {} if chunk_ms is None else {"chunk_ms": chunk_ms}
    if isinstance(what, Source):
        return what
    if isinstance(what, str) and what == "mic":
        return Microphone(sample_rate, **chunking)
    if isinstance(what, str) and what == "-":
        return PipeSource(sample_rate=sample_rate or 16000, **chunking)
    if isinstance(what, str | PathLike):
        return FileSource(what, realtime=realtime, **chunking)
    if isinstance(what, np.ndarray | bytes | bytearray | memoryview):
        return ArraySource(what, _needed_rate(sample_rate), realtime=realtime, **chunking)
    if not hasattr(what, "__iter__"):
        raise TypeError(f"{type(what).__name__} is no source of sound. Pass 'mic', '-', a path, an array or chunks.")
    return ChunkSource(what, _needed_rate(getattr(what, "sample_rate", sample_rate)))


def _needed_rate(sample_rate: int | None) -> int:
    if sample_rate is None:
        raise AudioError("arrays and plain iterables of chunks do not say their rate. Pass sample_rate=... in Hz.")
    return sample_rate


def _chunk_samples(sample_rate: int, chunk_ms: float) -> int:
    if not (sample_rate > 0 and chunk_ms > 0):
        raise AudioError(f"sample_rate is {sample_rate} Hz and chunk_ms {chunk_ms}; both must be positive.")
    return max(1, round(sample_rate * chunk_ms / 1000))


def _paced(chunks: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    # Each chunk is due at a time counted from the start, so that late wake-ups do not add up.
    start_s = time.monotonic()
    samples = 0
    for chunk in chunks:
        samples += len(chunk)
        time.sleep(max(0.0, start_s + samples / sample_rate - time.monotonic()))
        yield chunk


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioError("standard input is no pipe. Send sound to it, such as: arecord -f S16_LE -r 16000 | ...")
    return sys.stdin.buffer


def _import_sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError('the microphone needs the package sounddevice: pip install "streamrnn[mic]"') from error
    except OSError as error:
        raise ImportError(
            "the microphone needs the PortAudio library. Debian and Ubuntu: apt install libportaudio2; "
            "macOS: brew install portaudio"
        ) from error
    return sounddevice


def _no_microphone(sounddevice: Any, device: int | str | None, sample_rate: int | None, error: Exception) -> str:
    wanted = "the default microphone" if device is None else f"microphone {device!r}"
    rate = "its own rate" if sample_rate is None else f"{sample_rate} Hz"
    devices = str(sounddevice.query_devices()) or "none"
    return f"cannot open {wanted} at {rate}: {error}. Plug one in or choose another device or rate. Devices:\n{devices}"


__all__ = ["ArraySource", "ChunkSource", "FileSource", "Microphone", "PipeSource", "Source", "open_source"]
