"""Queued input of all streams of a pool, in one array."""

import threading
import time
from collections.abc import Callable

import numpy as np

from streamrnn.annotations import Float, Int, Shaped


class QueueFull(RuntimeError):
    """A stream's queue is full. The message says how much is queued and what to do."""


class BlockQueues:
    """A bounded queue of numbers per slot, from which whole blocks of many slots are taken at once.

    Thread-safe: numbers may be pushed while blocks are taken. A call that fails changes nothing.

    Args:
        slots: number of queues.
        block: numbers per block.
        blocks: whole blocks that each queue can hold.
        reserve: blocks beyond these, for the end of a stream.
        dtype: of the numbers.
    """

    def __init__(self, slots: int, block: int, blocks: int, reserve: int, dtype: str = "float32"):
        self.block, self.limit = block, blocks * block
        # Zeros take no memory until they are written to.
        self._blocks = np.zeros((slots, blocks + reserve, block), dtype)
        self._held = np.zeros(slots, np.int64)
        self._ready_since = np.zeros(slots)
        self._lock = threading.Lock()

    def count(self, slot: int) -> int:
        """The number of queued values."""
        return int(self._held[slot])

    def room(self, slot: int) -> int:
        """The number of values that still fit, without the reserve."""
        return self.limit - int(self._held[slot])

    def push(
        self, slot: int, numbers: Shaped[np.ndarray, " numbers"], before: Callable[[], None] | None = None
    ) -> None:
        """Appends numbers, for which there must be room (or reserve).

        `before` is called when nothing else can fail, and before the numbers can be taken.
        """
        with self._lock:
            start = int(self._held[slot])
            end = start + len(numbers)
            self._blocks[slot].reshape(-1)[start:end] = numbers
            if before is not None:
                before()
            self._held[slot] = end
            if start < self.block <= end:
                self._ready_since[slot] = time.perf_counter()

    def replace(self, slot: int, numbers: Shaped[np.ndarray, " numbers"], commit: Callable[[], None]) -> None:
        """Replaces the queue with less than a block; `commit` is called when nothing else can fail."""
        with self._lock:
            commit()
            self._blocks[slot].reshape(-1)[: len(numbers)] = numbers
            self._held[slot] = len(numbers)

    def ready(self, most: int) -> tuple[Int[np.ndarray, " slots"], Int[np.ndarray, " slots"]]:
        """Slots that hold a whole block, and how many each holds, at most `most`; those with the most come first."""
        blocks = np.minimum(self._held // self.block, most)
        slots = np.flatnonzero(blocks)
        # Streams with equally many blocks share a batch, so that little is computed in vain.
        slots = slots[np.argsort(-blocks[slots], kind="stable")]
        return slots, blocks[slots]

    def copy(
        self,
        slots: Int[np.ndarray, " lanes"],
        counts: Int[np.ndarray, " lanes"],
        into: Shaped[np.ndarray, "lanes most block"],
    ) -> None:
        """Copies the first blocks of each slot, as many as `counts` says, to the front of its row of `into`.

        A slot below 0 has the count 0. What follows a row's blocks is meaningless.
        """
        longest = int(counts.max(initial=0))
        with self._lock:
            into[:, :longest] = self._blocks[slots, :longest]

    def drop(
        self, slots: Int[np.ndarray, " taken"], counts: Int[np.ndarray, " taken"], commit: Callable[[], None]
    ) -> None:
        """Drops the first blocks of each slot, at least one; `commit` is called when nothing else can fail."""
        with self._lock:
            left = self._held[slots] - counts * self.block
            some = left > 0
            held, moved, by = left[some], slots[some], counts[some]
            commit()
            self._held[slots] = left
            # To the front: blocks are always found there, and the memory in use stays small.
            last = self._blocks.shape[1] - 1
            for block in range(-(-int(held.max(initial=0)) // self.block)):
                self._blocks[moved, block] = self._blocks[moved, np.minimum(by + block, last)]

    def held(self, slot: int) -> Shaped[np.ndarray, " numbers"]:
        """A copy of the queued values."""
        return self._blocks[slot].reshape(-1)[: self._held[slot]].copy()

    def clear(self, slot: int) -> None:
        """Empties the slot's queue."""
        self._held[slot] = 0

    def ages_s(self) -> Float[np.ndarray, " slots"]:
        """How long each slot with a whole block has been waiting, in seconds."""
        with self._lock:
            waiting = self._held >= self.block
            return time.perf_counter() - self._ready_since[waiting]

    def grow(self, slots: int) -> None:
        """Adds slots; the others keep their values."""
        with self._lock:
            more = slots - len(self._blocks)
            old, used = self._blocks, -(-int(self._held.max()) // self.block)
            # Only the part in use is copied, so that the rest still takes no memory.
            blocks = np.zeros((slots, *old.shape[1:]), old.dtype)
            blocks[: len(old), :used] = old[:, :used]
            held, since = np.pad(self._held, (0, more)), np.pad(self._ready_since, (0, more))
            self._blocks, self._held, self._ready_since = blocks, held, since


__all__ = ["BlockQueues", "QueueFull"]
