"""The states of many streams side by side, some of which are advanced at a time."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from streamrnn.runtime.steps import State, Step

# The most blocks by which one call advances a stream.
MOST_BLOCKS = 16
# The most streams that a step outside JAX advances at once: their data fits the cache.
MOST_ROWS = 256

# Slots and their numbers of blocks: int[rows], int[rows]; rows without a stream have a slot below 0 and the count 0.
Batch = tuple[np.ndarray, np.ndarray]


@runtime_checkable
class Rows(Protocol):
    """A state per slot. Not thread-safe.

    Attributes:
        capacity: number of slots.
        devices: number of devices that share them; capacity is a multiple of it.
        fresh: the state of a fresh stream, as returned by `get`.
    """

    capacity: int
    devices: int
    fresh: dict[str, np.ndarray]

    def batches(self, slots: np.ndarray, counts: np.ndarray) -> Iterator[Batch]:
        """Splits slots with their numbers of whole blocks, those with the most first, into batches for `advance`."""
        ...

    def buffer(self, rows: int) -> np.ndarray:
        """Input buffer for `advance`, [rows, MOST_BLOCKS, numbers]; reused, so overwrite it."""
        ...

    def advance(self, slots: np.ndarray, counts: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Callable[[], None]]:
        """Advances each slot by its own number of blocks, 0 to MOST_BLOCKS, once the returned function is called.

        Args:
            slots, counts: a batch.
            x: the blocks; what follows a row's own blocks is ignored.

        Returns:
            The outputs, [rows, MOST_BLOCKS, out], writable; what follows a row's own outputs is meaningless. And a
            function that stores the new states: until it is called nothing has changed. All other slots stay the same
            bit for bit.
        """
        ...

    def put(self, slot: int, row: State) -> None:
        """Sets a slot's state: arrays [1, ...], as returned by `get`."""
        ...

    def get(self, slot: int) -> dict[str, np.ndarray]:
        """The state of a slot, as stored in a snapshot."""
        ...

    def get_all(self, slots: list[int]) -> list[dict[str, np.ndarray]]:
        """The states of many slots, at less cost than one by one."""
        ...

    def grown(self, capacity: int) -> "Rows":
        """A copy with more slots. This object stays as it is."""
        ...

    def warm_up(self) -> None:
        """Compiles everything, so that no later call does."""
        ...


class HostRows:
    """Rows of a step that takes NumPy arrays of any batch size: see `Rows`.

    Args:
        step: advances them.
        capacity: number of slots.
    """

    devices = 1

    def __init__(self, step: Step, capacity: int):
        self.step, self.capacity = step, capacity
        self.fresh = {name: np.asarray(leaf) for name, leaf in step.fresh_state.items()}
        self._states = {name: leaf.repeat(capacity, axis=0) for name, leaf in self.fresh.items()}
        self._shape = step.stride, step.signal.features
        self._inputs = np.zeros((0, MOST_BLOCKS, step.stride * step.signal.features), step.signal.dtype)

    def batches(self, slots: np.ndarray, counts: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(slots), MOST_ROWS):
            yield slots[start : start + MOST_ROWS], counts[start : start + MOST_ROWS]

    def buffer(self, rows: int) -> np.ndarray:
        if len(self._inputs) < rows:
            self._inputs = np.zeros((rows, *self._inputs.shape[1:]), self._inputs.dtype)
        return self._inputs[:rows]

    def advance(self, slots: np.ndarray, counts: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Callable[[], None]]:
        after = {name: leaf[slots] for name, leaf in self._states.items()}
        outputs = np.zeros((len(slots), MOST_BLOCKS, self.step.out_features), np.float32)
        for block in range(int(counts.max(initial=0))):
            # Slots with the most blocks come first, so that those with none left drop out of the batch.
            rows = int(np.count_nonzero(counts > block))
            states, y = self.step(
                {name: leaf[:rows] for name, leaf in after.items()}, x[:rows, block].reshape(rows, *self._shape)
            )
            outputs[:rows, block] = np.asarray(y)[:, 0]
            for name, leaf in after.items():
                leaf[:rows] = states[name]

        def commit() -> None:
            for name, leaf in self._states.items():
                leaf[slots] = after[name]

        return outputs, commit

    def put(self, slot: int, row: State) -> None:
        for name, leaf in self._states.items():
            leaf[slot] = row[name][0]

    def get(self, slot: int) -> dict[str, np.ndarray]:
        return {name: leaf[slot : slot + 1].copy() for name, leaf in self._states.items()}

    def get_all(self, slots: list[int]) -> list[dict[str, np.ndarray]]:
        return [self.get(slot) for slot in slots]

    def grown(self, capacity: int) -> "HostRows":
        rows = HostRows(self.step, capacity)
        for name, leaf in self._states.items():
            rows._states[name][: self.capacity] = leaf
        return rows

    def warm_up(self) -> None:
        zeros: Any = np.full((1, *self._shape), self.step.signal.padding, self.step.signal.dtype)
        self.step(self.step.fresh_state, zeros)


__all__ = ["MOST_BLOCKS", "Batch", "HostRows", "Rows"]
