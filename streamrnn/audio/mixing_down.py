"""Mixing down to one channel: a chosen one, or the mean of all, with a warning if the mean cancels the sound."""

import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from streamrnn.audio.chunks import AudioError, AudioWarning, Chunk, as_channels, as_mono

# Windows of this length are judged separately, at fixed places in the stream, so that chunking does not matter.
WINDOW_MS = 100
LOUD_POWER = 1e-5
# The mean of independent channels of equal power keeps 1/channels of it. If it keeps this much less, they cancel.
CANCELLED_SHARE = 0.06
CANCELLED_WINDOWS = 5


def mono(chunks: Iterable[Chunk], sample_rate: int, channel: int | None = None) -> Iterator[np.ndarray]:
    """A stream's chunks, as for `as_samples`, in mono: the chosen channel, or the mean of all.

    If one channel is the inverse of the other, as with crossed wires, the mean is silence. After half a second of such
    sound, one AudioWarning is issued; the output does not change.

    Args:
        chunks: a source, or any iterable.
        sample_rate: Hz.
        channel: index of the channel, from 0; default: the mean of all.

    Yields:
        float32[n] for every chunk; it may share memory with the chunk.

    Raises:
        AudioError, TypeError: as for `as_samples`; or there is no such channel.
    """
    watch = Cancellation(sample_rate, "Choose one: channel=0 (on the command line --channel 0).")
    for chunk in chunks:
        samples = as_channels(chunk)
        if channel is not None:
            yield one_channel(samples, channel)
            continue
        if samples.ndim == 2 and samples.shape[1] > 1:
            watch.hear(samples)
        yield as_mono(samples)


def one_channel(samples: np.ndarray, channel: int) -> np.ndarray:
    """float32[n] or [n, channels] -> float32[n], one channel, counted from 0.

    Raises:
        AudioError: there is no such channel.
    """
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if not 0 <= channel < channels:
        there = "only channel 0" if channels == 1 else f"channels 0 to {channels - 1}"
        raise AudioError(f"channel {channel} was asked for; the sound has {there}.")
    return samples if samples.ndim == 1 else np.ascontiguousarray(samples[:, channel])


class Cancellation:
    """Detects channels whose mean is far below each of them, and warns once.

    Args:
        sample_rate: Hz.
        advice: what to do, the end of the warning.
    """

    def __init__(self, sample_rate: int, advice: str):
        self._advice = advice
        # Rates may also be floats, or NumPy's short integers, which the product would overflow.
        self._window_samples = max(1, int(sample_rate) * WINDOW_MS // 1000)
        self._held: list[np.ndarray] = []
        self._held_samples = self._loud = self._cancelled = 0
        self._warned = False

    def hear(self, samples: np.ndarray) -> None:
        """Takes float32[n, channels]. Issues an AudioWarning after half a second of sound that cancels in the mean."""
        if self._warned:
            return
        if self._held and self._held[0].shape[1] != samples.shape[1]:
            self._held, self._held_samples = [], 0
        self._held.append(samples)
        self._held_samples += len(samples)
        if self._held_samples < self._window_samples:
            # Sources may reuse their buffer.
            self._held[-1] = samples.copy()
            return
        held = np.concatenate(self._held)
        whole = len(held) - len(held) % self._window_samples
        self._judge(held[:whole].reshape(-1, self._window_samples, held.shape[1]))
        self._held, self._held_samples = [held[whole:].copy()], len(held) - whole

    def _judge(self, windows: np.ndarray) -> None:
        levels = np.mean(np.square(windows, dtype=np.float64), axis=(1, 2))
        mixed = np.mean(np.square(windows.mean(axis=2), dtype=np.float64), axis=1)
        loud = levels > LOUD_POWER
        cancelled = loud & (mixed < levels * CANCELLED_SHARE / windows.shape[2])
        for is_loud, is_cancelled in zip(loud, cancelled, strict=True):
            self._loud += int(is_loud)
            self._cancelled += int(is_cancelled)
            if self._cancelled >= CANCELLED_WINDOWS and 2 * self._cancelled >= self._loud:
                self._warn()
                return

    def _warn(self) -> None:
        self._warned, self._held = True, []
        warnings.warn(
            "the channels cancel each other in their mean: one of them is inverted, so that next to nothing is heard. "
            + self._advice,
            AudioWarning,
            stacklevel=2,
        )


__all__ = ["Cancellation", "mono", "one_channel"]
