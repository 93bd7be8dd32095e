"""Sound that was fed and not yet processed, for all streams of a pool in one array."""

import threading
import time

import numpy as np
from jaxtyping import Float, Int


class QueueFull(RuntimeError):
    """A stream's sound waits for the pool, and no more fits. The message says how much waits and what to do."""


class BlockQueues:
    """A bounded queue of samples per slot, from which whole blocks of many slots are taken at once.

    Thread-safe: sound may be pushed while blocks are taken.

    Args:
        slots: how many queues.
        block_samples: samples per block.
        blocks: whole blocks that each queue takes.
        reserve: blocks beyond these, for the end of a stream.
    """

    def __init__(self, slots: int, block_samples: int, blocks: int, reserve: int):
        self.block_samples, self.limit_samples = block_samples, blocks * block_samples
        # Zeros take no memory before they are written to.
        self._blocks = np.zeros((slots, blocks + reserve, block_samples), np.float32)
        self._held_samples = np.zeros(slots, np.int64)
        self._ready_since = np.zeros(slots)
        self._lock = threading.Lock()

    def held_samples(self, slot: int) -> int:
        """Samples that wait."""
        return int(self._held_samples[slot])

    def room(self, slot: int) -> int:
        """Samples that still fit, the reserve not counted."""
        return self.limit_samples - int(self._held_samples[slot])

    def push(self, slot: int, samples: Float[np.ndarray, " samples"]) -> None:
        """Appends samples, for which there must be room (or reserve)."""
        with self._lock:
            start = int(self._held_samples[slot])
            end = start + len(samples)
            self._blocks[slot].reshape(-1)[start:end] = samples
            self._held_samples[slot] = end
            if start < self.block_samples <= end:
                self._ready_since[slot] = time.perf_counter()

    def pad(self, slot: int, blocks: int) -> None:
        """Fills the last block with zeros and appends `blocks` blocks of them."""
        missing = -int(self._held_samples[slot]) % self.block_samples
        self.push(slot, np.zeros(missing + blocks * self.block_samples, np.float32))

    def ready(self, most: int) -> tuple[Int[np.ndarray, " slots"], Int[np.ndarray, " slots"]]:
        """The slots that hold a whole block, and how many each holds, at most `most`; those with most come first."""
        blocks = np.minimum(self._held_samples // self.block_samples, most)
        slots = np.flatnonzero(blocks)
        # Streams that go equally far share a batch, so that none is computed for nothing.
        slots = slots[np.argsort(-blocks[slots], kind="stable")]
        return slots, blocks[slots]

    def take(
        self,
        slots: Int[np.ndarray, " lanes"],
        counts: Int[np.ndarray, " lanes"],
        into: Float[np.ndarray, "lanes most block_samples"],
    ) -> None:
        """Moves the first blocks of each slot, as many as `counts` says, to the front of its row of `into`.

        A slot below 0 has the count 0. What lies behind a row's blocks means nothing.
        """
        longest = int(counts.max(initial=0))
        with self._lock:
            into[:, :longest] = self._blocks[slots, :longest]
            self._forget(slots[counts > 0], counts[counts > 0])

    def held(self, slot: int) -> Float[np.ndarray, " samples"]:
        """A copy of what waits, float32[samples]."""
        return self._blocks[slot].reshape(-1)[: self._held_samples[slot]].copy()

    def clear(self, slot: int) -> None:
        """Forgets what waits."""
        self._held_samples[slot] = 0

    def ages_s(self) -> Float[np.ndarray, " slots"]:
        """How long each slot with a whole block has been waiting for an answer, in seconds."""
        with self._lock:
            waiting = self._held_samples >= self.block_samples
            return time.perf_counter() - self._ready_since[waiting]

    def grow(self, slots: int) -> None:
        """Makes room for more slots; those there are keep their sound."""
        with self._lock:
            more = slots - len(self._blocks)
            old, used = self._blocks, -(-int(self._held_samples.max()) // self.block_samples)
            # Only what is in use is copied, so that the rest still takes no memory.
            self._blocks = np.zeros((slots, *old.shape[1:]), np.float32)
            self._blocks[: len(old), :used] = old[:, :used]
            self._held_samples = np.pad(self._held_samples, (0, more))
            self._ready_since = np.pad(self._ready_since, (0, more))

    def _forget(self, slots: Int[np.ndarray, " taken"], counts: Int[np.ndarray, " taken"]) -> None:
        self._held_samples[slots] -= counts * self.block_samples
        left = self._held_samples[slots]
        slots, counts = slots[left > 0], counts[left > 0]
        # To the front: so blocks are always found there, and the memory in use stays small.
        for block in range(-(-int(left.max(initial=0)) // self.block_samples)):
            last = self._blocks.shape[1] - 1
            self._blocks[slots, block] = self._blocks[slots, np.minimum(counts + block, last)]


__all__ = ["BlockQueues", "QueueFull"]
