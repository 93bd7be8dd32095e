"""The states of many streams on the devices, and the compiled programs that advance them.

A slot is one row of the state. A batch is gathered from the slots that have sound, advanced, and scattered back: the
cost follows the streams that have sound, and no other row is touched. The expensive program depends only on the number
of rows in a batch, so pools of any capacity share it.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int, Shaped

from streamrnn.models import Model
from streamrnn.runtime.compiled import Compiled, Weights
from streamrnn.runtime.packing import Packed
from streamrnn.runtime.rows import MOST_BLOCKS, Batch
from streamrnn.runtime.steps import State

# Rows that one program advances per device. Cost grows with the rows; a few sizes serve any number of streams.
LANES = (16, 64, 256)

SLOTS, EVERYWHERE = PartitionSpec("slots"), PartitionSpec()


class _Programs:
    """The programs of one model on one mesh of devices; each is compiled once per shape."""

    def __init__(self, program: Any, out_features: int, mesh: Mesh):
        # `rows` is donated: it was gathered for this call.
        def advance(weights: Weights, rows: Packed, lengths: jax.Array, x: jax.Array) -> tuple[Packed, jax.Array]:
            def step(t: jax.Array, carry: tuple[Packed, jax.Array]) -> tuple[Packed, jax.Array]:
                rows, y = carry
                after, output = program(weights, rows, x[:, t])
                active = (t < lengths)[:, None]
                rows = jax.tree.map(lambda new, old: jnp.where(active, new, old), after, rows)
                return rows, y.at[:, t].set(output[:, 0])

            y = jnp.zeros((x.shape[0], MOST_BLOCKS, out_features))
            # The bound is known only at run time: one program serves any number of blocks.
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
    # Lanes without a stream have distinct slots beyond the last one, and are dropped.
    return {name: leaf.at[slots].set(rows[name], mode="drop", unique_indices=True) for name, leaf in states.items()}


# Weak by model: a model's programs are freed along with it.
_of_models: WeakKeyDictionary[Model, dict[Any, _Programs]] = WeakKeyDictionary()
_lock = threading.Lock()


def _programs(model: Model, program: Any, mesh: Mesh) -> _Programs:
    with _lock:
        of_model = _of_models.setdefault(model, {})
        if (program, mesh) not in of_model:
            of_model[program, mesh] = _Programs(program, model.out_features, mesh)
        return of_model[program, mesh]


class DeviceRows:
    """Rows on JAX's devices, spread evenly over them: slot s lies on device s % devices. See `Rows`.

    Args:
        model: any Model.
        compiled: its compiled step.
        capacity: number of slots, a multiple of the number of devices.
        devices: the devices that hold and advance the rows.

    Raises:
        ValueError: there are no devices, or they cannot share the slots evenly.
    """

    def __init__(self, model: Model, compiled: Compiled, capacity: int, devices: Sequence[Any]):
        _require_shares(capacity, len(devices))
        mesh = Mesh(np.array(devices), ("slots",))
        self.devices, self.capacity = len(devices), capacity
        self.fresh = {name: np.asarray(leaf) for name, leaf in sorted(compiled.fresh_state.items())}
        self._shape, self._dtype = (model.stride, model.signal.features), model.signal.dtype
        self._sharding = NamedSharding(mesh, SLOTS)
        self._programs = _programs(model, compiled.program, mesh)
        self._weights = jax.device_put(compiled.weights, NamedSharding(mesh, EVERYWHERE))
        self._states = self._fresh(capacity)
        self._inputs: dict[int, np.ndarray] = {}

    def batches(self, slots: Int[np.ndarray, " ready"], counts: Int[np.ndarray, " ready"]) -> Iterator[Batch]:
        """Device by device, in one of a few sizes; unused lanes have slot -1 and count 0."""
        of_device = [np.flatnonzero(slots % self.devices == device) for device in range(self.devices)]
        start, most = 0, max(map(len, of_device))
        while start < most:
            lanes = self._lanes(most - start)
            parts = [places[start : start + lanes] for places in of_device]
            at = np.concatenate([np.pad(part, (0, lanes - len(part)), constant_values=-1) for part in parts])
            yield np.where(at < 0, -1, slots[at]), np.where(at < 0, 0, counts[at])
            start += lanes

    def buffer(self, rows: int) -> Shaped[np.ndarray, "rows blocks numbers"]:
        if rows not in self._inputs:
            stride, features = self._shape
            self._inputs[rows] = np.zeros((rows, MOST_BLOCKS, stride * features), self._dtype)
        return self._inputs[rows]

    def advance(
        self,
        slots: Int[np.ndarray, " rows"],
        counts: Int[np.ndarray, " rows"],
        x: Shaped[np.ndarray, "rows blocks numbers"],
    ) -> tuple[Float[np.ndarray, "rows blocks out"], Callable[[], None]]:
        per_device = self.capacity // self.devices
        # No row twice, not even among lanes without a stream: scatter relies on it.
        local = np.where(slots < 0, per_device + np.arange(len(slots)), slots // self.devices).astype(np.int32)
        rows = self._programs.gather(self._states, local)
        blocks = x.reshape(len(slots), MOST_BLOCKS, *self._shape)
        after, y = self._programs.advance(self._weights, rows, counts.astype(np.int32), blocks)

        def commit() -> None:
            self._states = self._programs.scatter(self._states, local, after)

        return np.array(y), commit

    def put(self, slot: int, row: State) -> None:
        arrays = {name: np.repeat(row[name], self.devices, axis=0) for name in self.fresh}
        self._states = self._programs.scatter(self._states, self._alone(slot), arrays)

    def get(self, slot: int) -> dict[str, np.ndarray]:
        found = self._programs.gather(self._states, self._alone(slot))
        row = slot % self.devices
        return {name: np.array(found[name][row : row + 1]) for name in self.fresh}

    def get_all(self, slots: list[int]) -> list[dict[str, np.ndarray]]:
        found: dict[int, dict[str, np.ndarray]] = {}
        ones = np.ones(len(slots), int)
        # The batch sizes of ticks, whose programs are already compiled.
        for at, _ in self.batches(np.array(slots, int), ones):
            local = np.where(at < 0, self.capacity // self.devices, at // self.devices).astype(np.int32)
            rows = {name: np.asarray(leaf) for name, leaf in self._programs.gather(self._states, local).items()}
            for row, slot in enumerate(at.tolist()):
                if slot >= 0:
                    found[slot] = {name: leaf[row : row + 1].copy() for name, leaf in rows.items()}
        return [{name: found[slot][name] for name in self.fresh} for slot in slots]

    def grown(self, capacity: int) -> "DeviceRows":
        """Recompiles small programs, but not the model's.

        Raises:
            ValueError: the devices cannot share the slots evenly.
        """
        _require_shares(capacity, self.devices)
        more, shape = self._fresh(capacity - self.capacity), (self.devices, -1)

        def appended(old: jax.Array, new: jax.Array) -> jax.Array:
            parts = [leaf.reshape(*shape, leaf.shape[-1]) for leaf in (old, new)]
            return jnp.concatenate(parts, axis=1).reshape(capacity, -1)

        join = jax.jit(lambda old, new: jax.tree.map(appended, old, new), out_shardings=self._sharding)
        grown = copy.copy(self)
        grown._states, grown.capacity, grown._inputs = join(self._states, more), capacity, {}
        return grown

    def warm_up(self) -> None:
        for lanes in {self._lanes(rows) for rows in (1, *LANES) if rows <= self.capacity // self.devices}:
            nobody = np.full(self.devices * lanes, -1)
            _, commit = self.advance(nobody, np.zeros(len(nobody), int), self.buffer(len(nobody)))
            commit()
        self.put(0, self.get(0))

    def _lanes(self, rows: int) -> int:
        """Lanes per device in the next batch, with `rows` rows still to be advanced."""
        return max((lanes for lanes in LANES if lanes <= rows), default=LANES[0])

    def _fresh(self, slots: int) -> Packed:
        return jax.device_put({name: leaf.repeat(slots, axis=0) for name, leaf in self.fresh.items()}, self._sharding)

    def _alone(self, slot: int) -> Int[np.ndarray, " devices"]:
        """The slot on its device, and on every other device a slot that does not exist."""
        slots = np.full(self.devices, self.capacity, np.int32)
        slots[slot % self.devices] = slot // self.devices
        return slots


def _require_shares(capacity: int, devices: int) -> None:
    if not devices or capacity % devices:
        raise ValueError(
            f"A pool got capacity={capacity} on {devices} devices; it needs at least one device, and as many slots on "
            f"each. Pass a multiple of {max(1, devices)}."
        )


__all__ = ["LANES", "DeviceRows"]
