"""Converts a recording to the sample rate and channels of an earlier one in the same file."""

from typing import Protocol

import numpy as np

from streamrnn.audio.chunks import as_mono
from streamrnn.audio.resample import StreamingResampler

BLOCK_SAMPLES = 65_536


class Decoding(Protocol):
    """The interface of decoders of one recording; see `Decoder`."""

    sample_rate: int
    channels: int

    @property
    def is_damaged(self) -> bool: ...
    @property
    def frames(self) -> int | None: ...
    @property
    def spare(self) -> int: ...
    def read(self, count: int, /) -> np.ndarray: ...
    def skip(self, count: int, /) -> None: ...
    def close(self) -> None: ...


class Converted:
    """A decoder, converted to another rate and number of channels. Missing channels get the mean of the existing ones.

    Args:
        decoder: the decoder to convert; it is closed with this one.
        sample_rate, channels: of the output.

    Raises:
        AudioError: a rate is out of the resampler's range.
    """

    def __init__(self, decoder: Decoding, sample_rate: int, channels: int):
        self._decoder, self.sample_rate, self.channels = decoder, sample_rate, channels
        self._resamplers = [StreamingResampler(decoder.sample_rate, sample_rate) for _ in range(channels)]
        self._held = np.zeros((0, channels), np.float32)
        self._ended = False

    @property
    def frames(self) -> int | None:
        """As `Decoder.frames`, at the output rate."""
        frames = self._decoder.frames
        return None if frames is None else -(-frames * self.sample_rate // self._decoder.sample_rate)

    @property
    def spare(self) -> int:
        """As `Decoder.spare`, at the output rate."""
        return -(-self._decoder.spare * self.sample_rate // self._decoder.sample_rate)

    @property
    def is_damaged(self) -> bool:
        return self._decoder.is_damaged

    def read(self, count: int) -> np.ndarray:
        """The next samples, float32[count] or [count, channels]; fewer, or none, at the end."""
        while len(self._held) < count and not self._ended:
            samples = self._decoder.read(BLOCK_SAMPLES)
            self._ended = len(samples) == 0
            columns = self._columns(samples)
            more = [
                resampler.flush() if self._ended else resampler.process(column)
                for resampler, column in zip(self._resamplers, columns, strict=True)
            ]
            self._held = np.concatenate([self._held, np.stack(more, axis=1)])
        out, self._held = self._held[:count], self._held[count:]
        return out[:, 0] if self.channels == 1 else out

    def skip(self, count: int) -> None:
        """Skips the next samples."""
        while count > 0 and len(samples := self.read(min(count, BLOCK_SAMPLES))):
            count -= len(samples)

    def close(self) -> None:
        self._decoder.close()

    def _columns(self, samples: np.ndarray) -> list[np.ndarray]:
        if samples.ndim == 2 and samples.shape[1] == self.channels:
            return list(np.ascontiguousarray(samples.T))
        return [as_mono(samples)] * self.channels


__all__ = ["Converted", "Decoding"]
