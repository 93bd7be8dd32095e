"""Cuts chunks of any length into blocks of one length."""

import numpy as np
from numpy.typing import DTypeLike

from streamrnn.audio.chunks import AudioError


class BlockBuffer:
    """Cuts a stream of samples (or of other numbers) into blocks, whatever the lengths of the chunks.

    The buffer holds less than one block, copies every sample at most twice and never grows. Not thread-safe.

    Args:
        block_samples: samples per block, at least 1.
        dtype: of the numbers.

    Raises:
        ValueError: block_samples is below 1.
    """

    def __init__(self, block_samples: int, dtype: DTypeLike = np.float32):
        if block_samples < 1:
            raise ValueError(f"block_samples is {block_samples}; a block needs at least 1 sample.")
        self.block_samples = block_samples
        self._held = np.zeros(block_samples, dtype)
        self._pending = 0

    @property
    def pending(self) -> int:
        """Number of samples in the buffer that do not fill a block yet."""
        return self._pending

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Samples, [n], -> the blocks now complete, [k, block_samples]; k may be 0.

        The blocks may share memory with `samples`: do not write to them.
        """
        count = (self._pending + len(samples)) // self.block_samples
        if self._pending == 0 and count * self.block_samples == len(samples):
            return samples.reshape(count, self.block_samples)
        if count == 0:
            self._hold(samples)
            return np.empty((0, self.block_samples), self._held.dtype)
        cut = count * self.block_samples - self._pending
        parts = self._held[: self._pending], samples[:cut]
        blocks = np.concatenate(parts, dtype=self._held.dtype, casting="same_kind")
        self._pending = 0
        self._hold(samples[cut:])
        return blocks.reshape(count, self.block_samples)

    def flush(self) -> np.ndarray:
        """The rest, zero-padded to one block: [1, block_samples], or [0, block_samples] if the buffer is empty."""
        if self._pending == 0:
            return np.empty((0, self.block_samples), self._held.dtype)
        return self.push(np.zeros(self.block_samples - self._pending, self._held.dtype))

    def reset(self) -> None:
        """Discards the buffered samples."""
        self._pending = 0

    def snapshot(self) -> np.ndarray:
        """A copy of the buffered samples, [pending], for `restore`."""
        return self._held[: self._pending].copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Resumes from a `snapshot`.

        Raises:
            AudioError: the snapshot has a whole block or more, so it comes from another block length; or it is not an
                array of finite numbers.
        """
        good = isinstance(snapshot, np.ndarray) and snapshot.ndim == 1 and snapshot.dtype == self._held.dtype
        if not good or not np.isfinite(snapshot).all():
            raise AudioError(
                f"snapshot is no array of finite numbers, {self._held.dtype}[n]. Pass what snapshot() returned."
            )
        if len(snapshot) >= self.block_samples:
            raise AudioError(
                f"snapshot holds {len(snapshot)} samples; with blocks of {self.block_samples} it holds fewer. "
                "Restore it into a buffer of the block length that it was taken from."
            )
        self._pending = 0
        self._hold(snapshot)

    def _hold(self, samples: np.ndarray) -> None:
        end = self._pending + len(samples)
        self._held[self._pending : end] = samples
        self._pending = end


__all__ = ["BlockBuffer"]
