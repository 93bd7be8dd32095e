"""Chunks of any length in, blocks of one exact length out."""

import numpy as np

from streamrnn.audio.chunks import AudioError


class BlockBuffer:
    """Cuts a stream of samples into blocks, whatever the lengths of the chunks.

    It holds less than one block, copies every sample at most twice and never grows. Not thread-safe.

    Args:
        block_samples: samples per block, at least 1.

    Raises:
        ValueError: block_samples is below 1.
    """

    def __init__(self, block_samples: int):
        if block_samples < 1:
            raise ValueError(f"block_samples is {block_samples}; a block needs at least 1 sample.")
        self.block_samples = block_samples
        self._held = np.zeros(block_samples, np.float32)
        self._pending = 0

    @property
    def pending(self) -> int:
        """Samples held: those that do not fill a block yet."""
        return self._pending

    def push(self, samples: np.ndarray) -> np.ndarray:
        """float32[n] -> the blocks that are now complete, float32[k, block_samples]; k may be 0.

        The blocks may share memory with `samples`: read them, do not write to them.
        """
        count = (self._pending + len(samples)) // self.block_samples
        if self._pending == 0 and count * self.block_samples == len(samples):
            return samples.reshape(count, self.block_samples)
        if count == 0:
            self._hold(samples)
            return np.empty((0, self.block_samples), np.float32)
        cut = count * self.block_samples - self._pending
        blocks = np.concatenate((self._held[: self._pending], samples[:cut]), dtype=np.float32, casting="same_kind")
        self._pending = 0
        self._hold(samples[cut:])
        return blocks.reshape(count, self.block_samples)

    def flush(self) -> np.ndarray:
        """The rest, zero-padded to one block: float32[1, block_samples], or [0, block_samples] when nothing is held."""
        if self._pending == 0:
            return np.empty((0, self.block_samples), np.float32)
        return self.push(np.zeros(self.block_samples - self._pending, np.float32))

    def reset(self) -> None:
        """Forgets what is held."""
        self._pending = 0

    def snapshot(self) -> np.ndarray:
        """A copy of what is held, float32[pending], for `restore`."""
        return self._held[: self._pending].copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Goes on from a `snapshot`.

        Raises:
            AudioError: the snapshot holds a whole block or more, so it is that of another block length.
        """
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
