"""Sinks of sound: a file, a loudspeaker and a pipe, which take chunks of samples."""

import sys
from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import soundfile

from streamrnn.audio.chunks import AudioError
from streamrnn.audio.devices import open_device
from streamrnn.audio.writing import written


class Sink(ABC):
    """Takes chunks of mono samples. A context manager that closes it.

    Attributes:
        sample_rate: Hz.
    """

    sample_rate: int

    @abstractmethod
    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. Values outside are clipped."""

    @abstractmethod
    def close(self) -> None:
        """Completes the output and releases resources. Closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


class FileSink(Sink):
    """An audio file that grows; the extension chooses the format (.wav, .flac, .ogg, ...). WAV and FLAC are 16 bit.

    Args:
        path: the file; an existing one is replaced.
        sample_rate: Hz.

    Raises:
        FileNotFoundError: the folder does not exist.
        AudioError: an unknown extension, or a place or a rate that cannot be written.
    """

    def __init__(self, path: str | PathLike[str], sample_rate: int):
        self.path, self.sample_rate = Path(path), sample_rate
        self._file = written(path, sample_rate, channels=1)

    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. Values outside are clipped.

        Raises:
            AudioError: the disk is full, or the file was closed.
        """
        try:
            self._file.write(samples.clip(-1, 1))
        except soundfile.SoundFileError as error:
            raise AudioError(f"cannot write to {self.path} any more ({error}). Is the disk full?") from error

    def close(self) -> None:
        self._file.close()


class Speaker(Sink):
    """A loudspeaker, through PortAudio. `write` blocks while enough sound is buffered.

    Args:
        sample_rate: Hz.
        device: PortAudio's number or a part of the name; default: the system's output.

    Attributes:
        gaps: how often the loudspeaker ran out of sound.

    Raises:
        ImportError: the package sounddevice or the PortAudio library is missing; the message says how to install it.
        AudioError: there is no such device, or it does not support the rate.
    """

    def __init__(self, sample_rate: int, device: int | str | None = None):
        self.sample_rate, self.gaps = sample_rate, 0

        def open_(sounddevice: Any) -> Any:
            stream = sounddevice.OutputStream(
                samplerate=sample_rate, device=device, channels=1, dtype="float32", latency="low"
            )
            stream.start()
            return stream

        self._stream = open_device("speaker", device, sample_rate, open_, "Choose another device or rate.")

    def write(self, samples: np.ndarray) -> None:
        """Plays float32[n] in [-1, 1]; n may be 0. Values outside are clipped.

        Raises:
            AudioError: the speaker is closed, or its device is gone.
        """
        if len(samples) == 0:
            return
        if self._stream.closed or not self._stream.active:
            raise AudioError("the speaker takes no sound any more. Check that it is plugged in, and open it again.")
        self.gaps += bool(self._stream.write(np.ascontiguousarray(samples.clip(-1, 1)[:, None], np.float32)))

    def close(self) -> None:
        """Plays the buffered sound, then releases the device. Closing twice is harmless."""
        if not self._stream.closed:
            self._stream.stop()
            self._stream.close()


class PipeSink(Sink):
    """Raw signed 16 bit little-endian mono samples, written at once, such as for `... | aplay -f S16_LE -r 16000`.

    Args:
        sample_rate: Hz; the reader has to know it.
        stream: binary; default: standard output.

    Raises:
        AudioError: standard output is a terminal.
    """

    def __init__(self, sample_rate: int, stream: BinaryIO | None = None):
        self.sample_rate = sample_rate
        self._stream = _standard_output() if stream is None else stream

    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. Values outside are clipped.

        Raises:
            BrokenPipeError: the reader has ended.
        """
        self._stream.write(np.round(samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())
        self._stream.flush()

    def close(self) -> None:
        """Leaves the stream open, because the sink does not own it."""


def open_sink(what: str | PathLike[str], sample_rate: int) -> Sink:
    """The sink for "speaker" (the loudspeaker), "-" (standard output) or a path. Raises what the sinks raise."""
    match what:
        case "speaker":
            return Speaker(sample_rate)
        case "-":
            return PipeSink(sample_rate)
    return FileSink(what, sample_rate)


def _standard_output() -> BinaryIO:
    if sys.stdout.isatty():
        raise AudioError(
            "standard output is a terminal, which can't show sound. Send it on: ... | aplay -f S16_LE -r RATE"
        )
    return sys.stdout.buffer


__all__ = ["FileSink", "PipeSink", "Sink", "Speaker", "open_sink"]
