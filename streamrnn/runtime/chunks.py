"""Sources of sound and of frames, as chunks for an inlet."""

from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import numpy as np

from streamrnn.audio import Source, mono, open_source, samples_of
from streamrnn.signals import Signal, Sound


class SoundChunks:
    """The chunks of a source of sound, mixed down to mono."""

    def __init__(self, source: Source, channel: int | None):
        self.source, self.sample_rate, self.channel = source, source.sample_rate, channel

    def __iter__(self) -> Iterator[np.ndarray]:
        return mono(self.source, self.sample_rate, self.channel)

    def waited_for(self) -> AsyncGenerator[np.ndarray, None]:
        """The same chunks, read in a thread so that other tasks can run. Closes the source afterwards."""
        return samples_of(self.source, self.channel)

    def close(self) -> None:
        """Closes the source, from any thread; iteration over it then ends."""
        self.source.close()

    def __enter__(self) -> "SoundChunks":
        self.source.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self.source.__exit__(*exception)


class FrameChunks:
    """Frames of a series, from an array or from chunks of them.

    Args:
        frames: an array, [n, features]; a list of frames; or any iterable of chunks, a list of arrays included.
        features: numbers of a frame.
    """

    sample_rate = None

    def __init__(self, frames: Any, features: int):
        is_whole = isinstance(frames, np.ndarray) or (isinstance(frames, list) and not _are_chunks(frames, features))
        self.frames = [frames] if is_whole else frames

    def __iter__(self) -> Iterator[Any]:
        return iter(self.frames)

    async def waited_for(self) -> AsyncGenerator[Any, None]:
        """The same chunks; nothing blocks."""
        for chunk in self.frames:
            yield chunk

    def close(self) -> None:
        """Does nothing: there is nothing to close."""

    def __enter__(self) -> "FrameChunks":
        return self

    def __exit__(self, *exception) -> None:
        """Does nothing: there is nothing to close."""


def _are_chunks(listed: list[Any], features: int) -> bool:
    """Whether a list holds arrays of several frames, not frames."""
    # An array of numbers is a frame, and where a frame is one number it is several.
    least = 1 if features == 1 else 2
    return any(isinstance(one, np.ndarray) and one.ndim >= least for one in listed)


def chunks_of(
    signal: Signal, source: Any, sample_rate: int | None, channel: int | None = None, chunk_s: float | None = None
) -> SoundChunks | FrameChunks:
    """The chunks of a source; iterate over them within its context.

    Args:
        signal: the model's input signal.
        source: for sound, see `streamrnn.audio.open_source`; otherwise frames, or an iterable of chunks of frames.
        sample_rate: for sound sources that do not know their own.
        channel: for sound, the channel to use, counted from 0; None: the mean of all.
        chunk_s: chunk length in seconds, for sources that allow a choice.

    Raises:
        TypeError: a file, a sample rate or a channel was passed to a model that does not take sound.
        FileNotFoundError, AudioError: as for `open_source`.
    """
    if isinstance(signal, Sound):
        chosen: dict[str, Any] = {} if chunk_s is None else {"chunk_ms": 1000 * chunk_s}
        return SoundChunks(open_source(source, sample_rate=sample_rate, **chosen), channel)
    is_frames = isinstance(source, Iterable) and not isinstance(source, str | bytes | Source)
    if (sample_rate, channel) != (None, None) or not is_frames:
        raise TypeError(
            f"this model takes {signal}, not sound. Pass an array or iterable of frames, and no sample_rate."
        )
    return FrameChunks(source, signal.features)


__all__ = ["FrameChunks", "SoundChunks", "chunks_of"]
