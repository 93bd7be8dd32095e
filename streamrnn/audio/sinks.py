"""Where sound goes: a file, a loudspeaker and a pipe take chunks of samples as they come."""

import sys
from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import soundfile

from streamrnn.audio.chunks import AudioError


class Sink(ABC):
    """Takes chunks of mono samples. A context manager that closes it.

    Attributes:
        sample_rate: Hz.
    """

    sample_rate: int

    @abstractmethod
    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. What goes beyond is clipped."""

    @abstractmethod
    def close(self) -> None:
        """Finishes what was begun, and releases what the sink holds. Closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


class FileSink(Sink):
    """An audio file that grows; the extension chooses the format (.wav, .flac, .ogg, ...). WAV and FLAC are 16 bit.

    Args:
        path: is made anew.
        sample_rate: Hz.

    Raises:
        FileNotFoundError: the folder does not exist.
        AudioError: an unknown extension, or a place or a rate that cannot be written.
    """

    def __init__(self, path: str | PathLike[str], sample_rate: int):
        self.path, self.sample_rate = Path(path), sample_rate
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"cannot write {self.path}: the folder {self.path.parent} does not exist. Create it first."
            )
        if self.path.suffix[1:].upper() not in soundfile.available_formats():
            raise AudioError(f"cannot write {self.path}: no format {self.path.suffix!r}. Use .wav, .flac or .ogg.")
        try:
            self._file = soundfile.SoundFile(self.path, "w", sample_rate, channels=1)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"cannot write {self.path} ({error.error_string.strip()}). Check that its folder is writable, and that "
                f"the format takes {sample_rate} Hz."
            ) from error

    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. What goes beyond is clipped.

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
    """A loudspeaker, through PortAudio. `write` waits while enough sound is under way.

    Args:
        sample_rate: Hz.
        device: PortAudio's number or a part of the name; default: the system's output.

    Attributes:
        gaps: how often the loudspeaker ran out of sound.

    Raises:
        ImportError: the package sounddevice or the PortAudio library is missing; the message says how to install it.
        AudioError: there is no such device, or it does not take the rate.
    """

    def __init__(self, sample_rate: int, device: int | str | None = None):
        sounddevice = _import_sounddevice()
        self.sample_rate, self.gaps = sample_rate, 0
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=sample_rate, device=device, channels=1, dtype="float32", latency="low"
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise AudioError(_no_speaker(sounddevice, device, sample_rate, error)) from error

    def write(self, samples: np.ndarray) -> None:
        """Plays float32[n] in [-1, 1]; n may be 0. What goes beyond is clipped.

        Raises:
            AudioError: the speaker was closed, or its device is gone.
        """
        if len(samples) == 0:
            return
        if self._stream.closed or not self._stream.active:
            raise AudioError("the speaker takes no sound any more. Check that it is plugged in, and open it again.")
        self.gaps += bool(self._stream.write(np.ascontiguousarray(samples.clip(-1, 1)[:, None], np.float32)))

    def close(self) -> None:
        """Plays what is under way, then releases the device. Closing twice is harmless."""
        if not self._stream.closed:
            self._stream.stop()
            self._stream.close()


class PipeSink(Sink):
    """Raw signed 16 bit little-endian mono samples, handed on at once, such as `... | aplay -f S16_LE -r 16000`.

    Args:
        sample_rate: Hz; whoever reads must be told.
        stream: binary; default: standard output.

    Raises:
        AudioError: standard output is a terminal.
    """

    def __init__(self, sample_rate: int, stream: BinaryIO | None = None):
        self.sample_rate = sample_rate
        self._stream = _standard_output() if stream is None else stream

    def write(self, samples: np.ndarray) -> None:
        """Takes float32[n] in [-1, 1]; n may be 0. What goes beyond is clipped.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        self._stream.write(np.round(samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())
        self._stream.flush()

    def close(self) -> None:
        """Leaves the stream open: it is not the sink's own."""


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


def _import_sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError('the speaker needs the package sounddevice: pip install "streamrnn[mic]"') from error
    except OSError as error:
        raise ImportError(
            "the speaker needs the PortAudio library. Debian and Ubuntu: apt install libportaudio2; "
            "macOS: brew install portaudio"
        ) from error
    return sounddevice


def _no_speaker(sounddevice: Any, device: int | str | None, sample_rate: int, error: Exception) -> str:
    wanted = "the default speaker" if device is None else f"speaker {device!r}"
    devices = str(sounddevice.query_devices()) or "none"
    return f"cannot open {wanted} at {sample_rate} Hz: {error}. Choose another device or rate. Devices:\n{devices}"


__all__ = ["FileSink", "PipeSink", "Sink", "Speaker", "open_sink"]
