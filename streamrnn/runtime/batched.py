"""The states of many streams on the devices, and the compiled programs that advance some of them by some blocks.

A slot is one row of the state. A batch is gathered from whatever slots have sound, advanced, and scattered back: the
cost follows the streams that have sound, and no other row is touched. The heavy program knows only how many rows there
are, so that pools of any capacity share it.
"""

import threading
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from streamrnn.models import Model
from streamrnn.runtime.compiled import Weights, compiled_step
from streamrnn.runtime.packing import Packed

# Rows that one program advances, per device. Cost grows with the rows, so that a few sizes serve any number of streams.
LANES = (16, 64, 256)
# The most blocks that one call advances a stream by.
MOST_BLOCKS = 16

SLOTS, EVERYWHERE = PartitionSpec("slots"), PartitionSpec()


class _Programs:
    """The programs of one model on one mesh of devices; each is compiled once per shape."""

    def __init__(self, program: Any, out_features: int, mesh: Mesh):
        def advance(weights: Weights, rows: Packed, lengths: jax.Array, x: jax.Array) -> tuple[Packed, jax.Array]:
            def step(t: jax.Array, carry: tuple[Packed, jax.Array]) -> tuple[Packed, jax.Array]:
                rows, y = carry
                after, output = program(weights, rows, x[:, t])
                active = (t < lengths)[:, None]
                rows = jax.tree.map(lambda new, old: jnp.where(active, new, old), after, rows)
                return rows, y.at[:, t].set(output[:, 0])

            y = jnp.zeros((x.shape[0], MOST_BLOCKS, out_features))
            # A bound that is known only at run time: one program serves any number of blocks.
            return jax.lax.fori_loop(0, jnp.max(lengths), step, (rows, y))

        def everywhere(function: Any, inputs: tuple, donated: int | None) -> Any:
            mapped = jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=SLOTS, check_vma=False)
            return jax.jit(mapped, donate_argnums=() if donated is None else donated)

        self.gather = everywhere(_gather, (SLOTS, SLOTS), None)
        self.advance = everywhere(advance, (EVERYWHERE, SLOTS, SLOTS, SLOTS), 1)
        self.scatter = everywhere(_scatter, (SLOTS, SLOTS, SLOTS), 0)


def _gather(states: Packed, slots: jax.Array) -> Packed:
    return {name: leaf.at[slots].get(mode="clip") for name, leaf in states.items()}


def _scatter(states: Packed, slots: jax.Array, rows: Packed) -> Packed:
    # Lanes without a stream have slots beyond the last one, each its own: they are dropped.
    return {name: leaf.at[slots].set(rows[name], mode="drop", unique_indices=True) for name, leaf in states.items()}


# Weakly by model: a model that nobody holds takes its programs along.
_of_models: WeakKeyDictionary[Model, dict[Any, _Programs]] = WeakKeyDictionary()
_lock = threading.Lock()


def _programs(model: Model, program: Any, mesh: Mesh) -> _Programs:
    with _lock:
        of_model = _of_models.setdefault(model, {})
        if (program, mesh) not in of_model:
            of_model[program, mesh] = _Programs(program, model.out_features, mesh)
        return of_model[program, mesh]


class BatchedStates:
    """The states of `capacity` streams, spread evenly over devices. Slot s lies on device s % devices.

    Not thread-safe.

    Args:
        model: any Model.
        capacity: slots, a multiple of the number of devices.
        devices: where the rows lie and are advanced.

    Raises:
        ValueError: there is no slot or no device, or the devices cannot share the slots evenly.
    """

    def __init__(self, model: Model, capacity: int, devices: Sequence[Any]):
        if capacity < 1 or not devices or capacity % len(devices):
            raise ValueError(
                f"A pool got capacity={capacity} on {len(devices)} devices; it needs at least one slot and one device, "
                f"and as many slots on each. Pass a multiple of {max(1, len(devices))}."
            )
        compiled = compiled_step(model)
        mesh = Mesh(np.array(devices), ("slots",))
        self.devices, self.capacity = len(devices), capacity
        self.compiled = compiled
        # In this order leaves stand in a snapshot.
        self._names = sorted(compiled.fresh_state)
        self.fresh_row = tuple(np.asarray(compiled.fresh_state[name]) for name in self._names)
        self.shape = (model.stride, model.hop_samples)
        self._rows = NamedSharding(mesh, SLOTS)
        self._programs = _programs(model, compiled.program, mesh)
        self._weights = jax.device_put(compiled.weights, NamedSharding(mesh, EVERYWHERE))
        self._states = self._fresh(capacity)
        self._inputs: dict[int, np.ndarray] = {}

    def lanes(self, rows: int) -> int:
        """How many lanes per device the next batch is to have where `rows` rows are left to be advanced."""
        return max((lanes for lanes in LANES if lanes <= rows), default=LANES[0])

    def buffer(self, lanes: int) -> Float[np.ndarray, "rows blocks block_samples"]:
        """What `advance` takes its sound from; always the same one for each size, to be overwritten."""
        if lanes not in self._inputs:
            block_samples = self.shape[0] * self.shape[1]
            self._inputs[lanes] = np.zeros((self.devices * lanes, MOST_BLOCKS, block_samples), np.float32)
        return self._inputs[lanes]

    def advance(
        self,
        slots: Int[np.ndarray, " rows"],
        lengths: Int[np.ndarray, " rows"],
        sound: Float[np.ndarray, "rows blocks block_samples"],
    ) -> Float[np.ndarray, "rows blocks out"]:
        """Advances each slot by its own number of blocks, 0 to MOST_BLOCKS; rows of other slots stay bit for bit.

        Args:
            slots: rows = devices x lanes, device by device; below 0 where a lane has no stream.
            lengths: blocks of each; 0 where a lane has no stream.
            sound: the blocks; what lies behind a stream's own counts for nothing.

        Returns:
            The outputs, writable; what lies behind a stream's own means nothing.
        """
        per_device = self.capacity // self.devices
        # Never twice the same row, also among lanes without a stream: scatter relies on it.
        local = np.where(slots < 0, per_device + np.arange(len(slots)), slots // self.devices).astype(np.int32)
        x = sound.reshape(len(slots), MOST_BLOCKS, *self.shape)
        rows = self._programs.gather(self._states, local)
        rows, y = self._programs.advance(self._weights, rows, lengths.astype(np.int32), x)
        self._states = self._programs.scatter(self._states, local, rows)
        return np.array(y)

    def put(self, slot: int, row: Sequence[np.ndarray]) -> None:
        """Gives a slot its state: one row of each array, as `get` gives it."""
        arrays = {name: np.repeat(leaf, self.devices, axis=0) for name, leaf in zip(self._names, row, strict=True)}
        self._states = self._programs.scatter(self._states, self._alone(slot), arrays)

    def get(self, slot: int) -> tuple[np.ndarray, ...]:
        """The state of a slot, one row of each array, as it stands in a stream's snapshot."""
        found = self._programs.gather(self._states, self._alone(slot))
        row = slot % self.devices
        return tuple(np.asarray(found[name])[row : row + 1] for name in self._names)

    def grow(self, capacity: int) -> None:
        """Makes room for more streams, a multiple of the devices; those there are stay in their slots."""
        more = self._fresh(capacity - self.capacity)
        shape = (self.devices, -1)

        def appended(old: jax.Array, new: jax.Array) -> jax.Array:
            parts = [leaf.reshape(*shape, leaf.shape[-1]) for leaf in (old, new)]
            return jnp.concatenate(parts, axis=1).reshape(capacity, -1)

        join = jax.jit(lambda old, new: jax.tree.map(appended, old, new), out_shardings=self._rows)
        self._states, self.capacity = join(self._states, more), capacity

    def warm_up(self) -> None:
        """Compiles every program that this capacity needs, so that no later call does."""
        for lanes in {self.lanes(rows) for rows in (1, *LANES) if rows <= self.capacity // self.devices}:
            nobody = np.full(self.devices * lanes, -1)
            self.advance(nobody, np.zeros(len(nobody), int), self.buffer(lanes))
        self.put(0, self.get(0))

    def _fresh(self, slots: int) -> Packed:
        rows = {name: leaf.repeat(slots, axis=0) for name, leaf in zip(self._names, self.fresh_row, strict=True)}
        return jax.device_put(rows, self._rows)

    def _alone(self, slot: int) -> Int[np.ndarray, " devices"]:
        """The slot on its device, and on each other one a slot that is not there."""
        slots = np.full(self.devices, self.capacity, np.int32)
        slots[slot % self.devices] = slot // self.devices
        return slots


__all__ = ["LANES", "MOST_BLOCKS", "BatchedStates"]
