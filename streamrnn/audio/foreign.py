"""Decodes containers unknown to libsndfile with the program ffmpeg, if it is installed."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from streamrnn.audio.chunks import AudioError
from streamrnn.audio.containers import FOREIGN
from streamrnn.audio.pcm import PcmFormat, pcm_format, read_wave_header

PROGRAM = "ffmpeg"
BLOCK_BYTES = 65_536
# Containers in which only ffmpeg decodes some encodings.
DEMUXERS = FOREIGN | {"WAVE": "wav", "AIFF": "aiff", "AU": "au", "CAF": "caf", "MP3": "mp3", "FLAC": "flac"}


class ForeignDecoder:
    """Sound decoded by ffmpeg, with the interface of `Decoder`. Only the demuxer of the recognised container is used.

    Args:
        kind: a name of DEMUXERS.
        name: for messages.
        source: the path of the file; a binary file object, which is copied into a temporary file; or a function that
            returns up to that many of the next bytes of a stream, and none at the end. A thread calls it.
        whole: wait for the whole stream first, for containers with their index at the end.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        frames: None, because only decoding can tell; so there is nothing to `spare`.
        is_damaged: whether ffmpeg could not decode all of it.

    Raises:
        AudioError: ffmpeg is not installed, or finds no sound.
    """

    frames, spare = None, 0

    def __init__(self, kind: str, name: str, source: Path | BinaryIO | Callable[[int], bytes], whole: bool = False):
        program = shutil.which(PROGRAM)
        if program is None:
            raise AudioError(
                f"{name} is {kind}, which the program ffmpeg decodes; it is not installed. Install it, or convert the "
                f"sound elsewhere: ffmpeg -i FILE -ac 1 -ar 16000 converted.wav"
            )
        self._name, self._kind, self.is_damaged = name, kind, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._copy: Any = None
        if callable(source):
            self._copy = _spooled(source) if whole else None
        elif not isinstance(source, Path):
            self._copy = _copied(source)
        is_piped = callable(source) and not whole
        place = "pipe:0" if is_piped else f"file:{source if self._copy is None else self._copy.name}"
        options = ["-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist", "pipe,file"]
        source_options = ["-analyzeduration", "1M", "-f", DEMUXERS[kind], "-i", os.fsencode(place)]
        sound_options = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-c:a", "pcm_f32le", "-flush_packets", "1", "-f", "wav"]
        self._process = subprocess.Popen(
            [program, *options, *source_options, *sound_options, "pipe:1"],
            stdin=subprocess.PIPE if is_piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._output: Any = self._process.stdout
        if is_piped:
            threading.Thread(target=self._send, args=(source,), name="streamrnn to ffmpeg", daemon=True).start()
        try:
            self._format: PcmFormat = self._begun()
        except BaseException:
            self.close()
            raise
        self.sample_rate, self.channels = self._format.sample_rate, self._format.channels
        self._held = b""

    def read(self, count: int) -> np.ndarray:
        """The next samples, float32[count] or [count, channels]; fewer, or none, at the end."""
        data = self._output.read(count * self._format.frame_bytes)
        if len(data) < count * self._format.frame_bytes:
            self.is_damaged = self._process.wait() != 0
        return self._format.decode(data[: len(data) - len(data) % self._format.frame_bytes])

    def read_some(self, count: int) -> np.ndarray:
        """Like `read`, but returns what has been decoded so far; empty only at the end."""
        frame_bytes = self._format.frame_bytes
        while (data := self._output.read1(count * frame_bytes)) and len(self._held) + len(data) < frame_bytes:
            self._held += data
        data, cut = self._held + data, len(self._held) + len(data)
        cut -= cut % frame_bytes
        self._held = data[cut:]
        if cut == 0:
            self.is_damaged = self._process.wait() != 0
        return self._format.decode(data[:cut])

    def skip(self, count: int) -> None:
        """Skips the next samples."""
        while count > 0 and len(samples := self.read(min(count, BLOCK_BYTES))):
            count -= len(samples)

    def stop(self) -> None:
        """Stops ffmpeg, from any thread; readers then reach the end."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Stops ffmpeg and closes its files. Closing twice is harmless."""
        self.stop()
        self._output.close()
        self._errors.close()
        if self._copy is not None:
            self._copy.close()

    def _begun(self) -> PcmFormat:
        with suppress(AudioError):
            if (form := pcm_format(*read_wave_header(self._output.read))) is not None:
                return form
        self._process.wait()
        self._errors.seek(0)
        told = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        why = told[-1] if told else "it says nothing"
        raise AudioError(
            f"{self._name} is {self._kind}, and ffmpeg finds no sound in it ({why}). Check that it plays elsewhere."
        )

    def _send(self, read: Callable[[int], bytes]) -> None:
        target: Any = self._process.stdin
        # ffmpeg may have ended early; a source that fails counts as ended.
        with suppress(OSError, ValueError), target:
            while data := read(BLOCK_BYTES):
                target.write(data)
                target.flush()


def can_decode(kind: str) -> bool:
    """Whether this container can be decoded here: ffmpeg reads it and is installed."""
    return kind in DEMUXERS and shutil.which(PROGRAM) is not None


def _copied(file: BinaryIO) -> Any:
    copy = tempfile.NamedTemporaryFile(prefix="streamrnn-")  # noqa: SIM115
    file.seek(0)
    shutil.copyfileobj(file, copy)
    copy.flush()
    return copy


def _spooled(read: Callable[[int], bytes]) -> Any:
    spool = tempfile.NamedTemporaryFile(prefix="streamrnn-")  # noqa: SIM115
    while data := read(BLOCK_BYTES):
        spool.write(data)
    spool.flush()
    return spool


__all__ = ["DEMUXERS", "FOREIGN", "PROGRAM", "ForeignDecoder", "can_decode"]
