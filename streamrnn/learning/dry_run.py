"""Memory and computation of a training run, determined without training."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax

from streamrnn.contract import Layer
from streamrnn.learning.batches import without_names
from streamrnn.learning.learner import InitialCarry, Learned, Learner, Loss
from streamrnn.learning.loop import Batches
from streamrnn.learning.settings import TrainingSettings


@dataclass(frozen=True)
class DryRun:
    """Figures of one update. Sizes are in bytes, of one copy; the compiler's are per device.

    Attributes:
        batch: entry -> dtype[shape].
        parameters: number of trained parameters.
        sizes: of the batch, and of weights, average, optimizer and carry, which are kept between updates.
        working_memory: additional memory of the compiled update; None if the compiler does not report it.
        flops: floating-point operations of an update, counted by the compiler with each loop's body once; None if it
            does not report them.
        steps, devices: number of updates, and of devices.
        seconds_per_update: of the second update, its batch included.
    """

    batch: dict[str, str]
    parameters: int
    sizes: dict[str, int]
    working_memory: int | None
    flops: float | None
    steps: int
    devices: int
    seconds_per_update: float

    def __str__(self) -> str:
        working = "unknown" if self.working_memory is None else _megabytes(self.working_memory)
        flops = "unknown" if self.flops is None else f"{self.flops:.3g} operations, the body of each loop counted once"
        rows = [(f"batch {name}".strip(), shape) for name, shape in self.batch.items()]
        rows += [("parameters", f"{self.parameters:,}")]
        rows += [(f"memory, {name}", _megabytes(size)) for name, size in self.sizes.items() if size]
        rows += [("memory, working", working), ("one update", flops)]
        rows += [("updates", f"{self.steps:,}"), ("devices", str(self.devices))]
        rows += [
            ("time", f"about {max(1, round(self.steps * self.seconds_per_update / 60)):,} min, as one update took")
        ]
        return "\n".join(f"{name:<20}{value}" for name, value in rows)


def dry_run(
    model: Layer,
    loss: Loss,
    batches: Batches,
    settings: TrainingSettings,
    *,
    initial_carry: InitialCarry | None = None,
) -> DryRun:
    """Makes the first batch, compiles the update for it and runs two, like `fit`; nothing is kept or written.

    Raises:
        ValueError: there is no batch, or its rows can't be split evenly over the devices.
        TypeError: see fit.
    """
    learner = Learner(model, loss, settings, initial_carry)
    coming = iter(batches(0, settings.steps))
    batch = next(coming, None)
    if batch is None:
        raise ValueError("There is no batch for the first update. Pass batches that give settings.steps of them.")
    arrays, _ = without_names(batch)
    learned = learner.begin(shared := learner.share(arrays))
    compiled = learner.compile(learned, shared)
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    sizes = {"batch": _size(shared)} | {name: _size(getattr(learned, name)) for name in Learned._fields}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(learned.weights))
    described = {jax.tree_util.keystr(path, simple=True): _described(leaf) for path, leaf in _leaves(shared)}
    return DryRun(
        batch=described,
        parameters=parameters,
        sizes=sizes,
        working_memory=None if memory is None else memory.temp_size_in_bytes,
        flops=costs.get("flops"),
        steps=settings.steps,
        devices=learner.devices.count,
        seconds_per_update=_seconds_of_the_second(learner, learned, shared, coming),
    )


def _seconds_of_the_second(learner: Learner, learned: Learned, shared: Any, coming: Iterator[Any]) -> float:
    """The first one compiles."""
    learned, _ = learner.update(learned, shared, 0)
    jax.block_until_ready(learned)
    start_s = time.perf_counter()
    batch = next(coming, None)
    again = shared if batch is None else learner.share(without_names(batch)[0])
    jax.block_until_ready(learner.update(learned, again, 1)[0])
    return time.perf_counter() - start_s


def _leaves(tree: Any) -> list[tuple[Any, jax.Array]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _described(leaf: jax.Array) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _size(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.2f} MiB"


__all__ = ["DryRun", "dry_run"]
