"""All that a pool keeps per slot: sound that waits, the model's state, and how many outputs are still warm-up."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from streamrnn.models import Model
from streamrnn.runtime.batched import MOST_BLOCKS, BatchedStates
from streamrnn.runtime.queues import BlockQueues

# More than the live resampler holds back.
RESAMPLER_TAIL_S = 0.005


class Slots:
    """Sound in, outputs out, for many rows of one state; it knows no streams and no decisions.

    Not thread-safe, except that `queues` may be pushed to at any time.

    Args:
        model: any Model.
        capacity: how many slots, a multiple of the devices.
        queue_s: seconds of sound that may wait in each, one block or more.
        devices: what they are spread over.

    Raises:
        ValueError: one of these is out of range.
    """

    def __init__(self, model: Model, capacity: int, queue_s: float, devices: Sequence[Any]):
        blocks = int(queue_s / model.frame_s + 1e-6)
        if blocks < 1:
            raise ValueError(f"A pool got queue_s={queue_s}; one block is {model.frame_s} s. Pass 1.0, for instance.")
        self.model = model
        self.delayed = model.lookahead // model.stride
        self.states = BatchedStates(model, capacity, devices)
        reserve = self.delayed + 2 + int(RESAMPLER_TAIL_S / model.frame_s)
        self.queues = BlockQueues(capacity, model.block_samples, blocks, reserve)
        self._warm_up = np.full(capacity, self.delayed)

    @property
    def capacity(self) -> int:
        """How many slots there are."""
        return self.states.capacity

    def reset(self, slot: int) -> None:
        """Makes a slot that of a fresh stream."""
        self.restore(slot, self.states.fresh_row, np.zeros(0, np.float32), self.delayed)

    def restore(self, slot: int, row: Sequence[np.ndarray], sound: Float[np.ndarray, " samples"], warm_up: int) -> None:
        """Makes a slot one whose state is `row`, where `sound` waits and `warm_up` outputs are still to be dropped."""
        self.queues.clear(slot)
        self.queues.push(slot, sound)
        self.states.put(slot, row)
        self._warm_up[slot] = warm_up

    def warm_up(self, slot: int) -> int:
        """Outputs of a slot that are still to be dropped."""
        return int(self._warm_up[slot])

    def advance(self) -> Iterator[tuple[np.ndarray, np.ndarray, list[Float[np.ndarray, "frames out"]]]]:
        """Advances every slot that has a whole block, by up to 16 of them; batch by batch, those with most first.

        Yields:
            the slots of a batch, int[n]; by how many blocks each, int[n]; their aligned outputs.
        """
        for slots, counts in self._batches(*self.queues.ready(MOST_BLOCKS)):
            sound = self.states.buffer(len(slots) // self.states.devices)
            self.queues.take(slots, counts, into=sound)
            outputs = self.states.advance(slots, counts, sound)
            used = np.flatnonzero(counts)
            slots, counts = slots[used], counts[used]
            dropped = np.minimum(self._warm_up[slots], counts)
            self._warm_up[slots] -= dropped
            rows = zip(used.tolist(), dropped.tolist(), counts.tolist(), strict=True)
            yield slots, counts, [outputs[row, first:last] for row, first, last in rows]

    def grow(self, capacity: int) -> None:
        """Makes room for more; the slots there are keep what they hold."""
        self._warm_up = np.pad(self._warm_up, (0, capacity - self.capacity))
        self.queues.grow(capacity)
        self.states.grow(capacity)

    def _batches(
        self, slots: Int[np.ndarray, " ready"], counts: Int[np.ndarray, " ready"]
    ) -> Iterator[tuple[Int[np.ndarray, " lanes"], Int[np.ndarray, " lanes"]]]:
        """Batches of slots and blocks, device by device; -1 and 0 in lanes that nobody needs."""
        devices = self.states.devices
        of_device = [np.flatnonzero(slots % devices == device) for device in range(devices)]
        start, most = 0, max(map(len, of_device))
        while start < most:
            lanes = self.states.lanes(most - start)
            parts = [places[start : start + lanes] for places in of_device]
            at = np.concatenate([np.pad(part, (0, lanes - len(part)), constant_values=-1) for part in parts])
            yield np.where(at < 0, -1, slots[at]), np.where(at < 0, 0, counts[at])
            start += lanes


__all__ = ["Slots"]
