"""What a training will take, found out without training."""

from dataclasses import dataclass
from typing import Any

import jax

from streamrnn.contract import Layer
from streamrnn.training.batches import without_names
from streamrnn.training.learner import InitialCarry, Learned, Learner, Loss
from streamrnn.training.loop import Batches
from streamrnn.training.settings import TrainingSettings


@dataclass(frozen=True)
class DryRun:
    """Figures of one update. Sizes are in bytes, of one copy; the compiler's are per device.

    Attributes:
        batch: entry -> dtype[shape].
        parameters: numbers that are learned.
        sizes: of the batch and of what is kept between updates: weights, average, optimizer, carry.
        working_memory: what the compiled update needs besides; None where the compiler does not tell.
        flops: floating-point operations of an update as the compiler counts them: a loop's body once; None where it
            does not tell.
        steps, devices: updates to make, and devices that share each.
    """

    batch: dict[str, str]
    parameters: int
    sizes: dict[str, int]
    working_memory: int | None
    flops: float | None
    steps: int
    devices: int

    def __str__(self) -> str:
        working = "unknown" if self.working_memory is None else _megabytes(self.working_memory)
        flops = "unknown" if self.flops is None else f"{self.flops:.3g} operations, the body of each loop counted once"
        rows = [(f"batch {name}".strip(), shape) for name, shape in self.batch.items()]
        rows += [("parameters", f"{self.parameters:,}")]
        rows += [(f"memory, {name}", _megabytes(size)) for name, size in self.sizes.items() if size]
        rows += [("memory, working", working), ("one update", flops)]
        rows += [("updates", f"{self.steps:,}"), ("devices", str(self.devices))]
        return "\n".join(f"{name:<20}{value}" for name, value in rows)


def dry_run(
    model: Layer,
    loss: Loss,
    batches: Batches,
    settings: TrainingSettings,
    *,
    initial_carry: InitialCarry | None = None,
) -> DryRun:
    """Makes the first batch and compiles the update for it, as `fit` would; nothing is trained or written.

    Raises:
        ValueError: there is no batch, or the devices can't share its rows evenly.
        TypeError: see fit.
    """
    learner = Learner(model, loss, settings, initial_carry)
    batch = next(iter(batches(0, settings.steps)), None)
    if batch is None:
        raise ValueError("There is no batch for the first update. Pass batches that give settings.steps of them.")
    arrays, _ = without_names(batch)
    learned = learner.begin(shared := learner.share(arrays))
    compiled = learner.compile(learned, shared)
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    return DryRun(
        batch={jax.tree_util.keystr(path, simple=True): _described(leaf) for path, leaf in _leaves(shared)},
        parameters=sum(leaf.size for leaf in jax.tree.leaves(learned.weights)),
        sizes={"batch": _size(shared)} | {name: _size(getattr(learned, name)) for name in Learned._fields},
        working_memory=None if memory is None else memory.temp_size_in_bytes,
        flops=costs.get("flops"),
        steps=settings.steps,
        devices=learner.devices.count,
    )


def _leaves(tree: Any) -> list[tuple[Any, jax.Array]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _described(leaf: jax.Array) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _size(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.2f} MiB"


__all__ = ["DryRun", "dry_run"]
