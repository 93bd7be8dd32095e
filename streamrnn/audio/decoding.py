"""Decodes one recording with libsndfile: all of its samples, whatever its header says."""

from typing import Any

import numpy as np
import soundfile

from streamrnn.audio.chunks import AudioError

# libsndfile reports far larger numbers for unknown lengths, and for lengths that a stream's header leaves open.
UNKNOWN_FRAMES = 2**38
SKIP_SAMPLES = 65_536
# Ogg counts samples by the granule positions of its pages. In Opus files written by ffmpeg these are off by some
# milliseconds, and libsndfile then drops the current packet.
OPUS_SPARE_S = 0.1


class Decoder:
    """Decodes one recording. Any chunking gives the same samples.

    Args:
        source: a path, a window, or a file descriptor, which the decoder then owns.
        name: for messages.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        frames: samples per channel according to the header; None if it does not say.
        spare: how many of these may be missing in an undamaged file.
        is_damaged: whether a `read` ended at bytes that cannot be decoded.

    Raises:
        AudioError: libsndfile cannot read it.
    """

    def __init__(self, source: Any, name: str):
        self._source, self._name = source, name
        try:
            self._file = _Straight(source)
        # soundfile raises a TypeError for a .raw file, which has no header with the rate.
        except (soundfile.LibsndfileError, TypeError) as error:
            raise AudioError(f"{name} is damaged or not in a format that can be read ({_why(error)}).") from error
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int | None = self._file.frames if self._file.frames < UNKNOWN_FRAMES else None
        self.spare: int = round(OPUS_SPARE_S * self.sample_rate) if self._file.subtype == "OPUS" else 0
        self.is_damaged = False

    def read(self, count: int) -> np.ndarray:
        """The next samples, float32[count] or [count, channels]; fewer, or none, at the end.

        Raises:
            AudioError: the file cannot be read any more.
        """
        out = np.full(count if self.channels == 1 else (count, self.channels), np.nan, np.float32)
        try:
            samples = self._file.read(out=out)
        except soundfile.LibsndfileError:
            # soundfile does not report how much was decoded before the damage, so count the samples written.
            self.is_damaged = True
            samples = out[: int((~np.isnan(out.reshape(count, -1)[:, 0])).sum())]
        if error := getattr(self._source, "error", None):
            raise AudioError(f"{self._name} cannot be read any more: {error}") from error
        return samples

    def skip(self, count: int) -> None:
        """Skips the next samples.

        Raises:
            AudioError: the file is damaged within them.
        """
        try:
            self._file.seek(count, soundfile.SEEK_CUR)
        except soundfile.LibsndfileError:
            # Formats such as GSM and G.721, in which every sample depends on the previous one.
            while count > 0 and len(samples := self.read(min(count, SKIP_SAMPLES))):
                count -= len(samples)
        if self.is_damaged:
            raise AudioError(f"{self._name} cannot be read from there: it is damaged before.")

    def close(self) -> None:
        """Closes it. Closing twice is harmless."""
        self._file.close()


class _Straight(soundfile.SoundFile):
    """Reads without seeking. soundfile seeks after each read, which makes MP3 decoders lose bits and fails for GSM."""

    def seekable(self) -> bool:
        return False


def _why(error: Exception) -> str:
    told = getattr(error, "error_string", "").strip().rstrip(".")
    return told or "it has no header"


__all__ = ["UNKNOWN_FRAMES", "Decoder"]
