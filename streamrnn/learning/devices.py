"""Data parallelism: every device has all weights and its share of each batch; XLA adds up the gradients.

Only this module deals with several processes (`jax.distributed`). Each process makes the same batches and takes its
rows; only process 0 writes, prints and validates.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def join_processes(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins the processes of one training. To be called before any other use of JAX.

    Args:
        coordinator: HOST:PORT of process 0, the same in all; None: JAX finds all three (SLURM, Open MPI, Cloud TPU).
        num_processes: number of processes.
        process_id: index of this one, from 0.

    Raises:
        ValueError: some of the three are missing, or JAX found no cluster.
        RuntimeError: JAX was already used in this process.
    """
    given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    missing = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is None]
    if 0 < len(missing) < len(given):
        raise ValueError(
            f"{' and '.join(missing)} missing. Each process needs all of --coordinator HOST:PORT and "
            "--num-processes N, the same for all, and its own --process-id, from 0 to N - 1."
        )
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except ValueError as error:
        raise ValueError(
            f"JAX found no cluster to join ({error}). "
            "Name the processes: --coordinator HOST:PORT --num-processes N --process-id I."
        ) from error


def is_main() -> bool:
    """Whether this process writes and prints."""
    return jax.process_index() == 0


def is_alone() -> bool:
    """Whether this process is the only one."""
    return jax.process_count() == 1


def from_main(figure: Callable[[], float]) -> float:
    """The result of `figure()` in process 0, in all processes, so that all make the same decisions."""
    if is_alone():
        return figure()
    # As bytes: JAX would round a double to single precision.
    own = np.array([figure() if is_main() else 0.0]).view(np.uint8)
    return float(np.asarray(multihost_utils.broadcast_one_to_all(own)).view(np.float64)[0])


class Devices:
    """All devices of all processes, as one mesh with the axis "batch".

    Attributes:
        rows: sharding of arrays whose axis 0 is split over the devices.
        everywhere: sharding of arrays that are replicated on every device.
    """

    def __init__(self):
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        self.count = mesh.size
        self.rows = NamedSharding(mesh, PartitionSpec("batch"))
        self.everywhere = NamedSharding(mesh, PartitionSpec())

    def share(self, batch: Any, parts: int = 1) -> Any:
        """The arrays of a batch with their rows split over the devices; scalars are replicated.

        Args:
            parts: number of equal parts into which a device's share must be divisible.

        Raises:
            ValueError: the rows can't be split evenly.
        """
        return jax.tree.map(lambda leaf: self._place(np.asarray(leaf), parts), batch)

    def copy_everywhere(self, tree: Any) -> Any:
        """A copy of the arrays on every device."""
        return jax.jit(lambda leaves: jax.tree.map(jnp.copy, leaves), out_shardings=self.everywhere)(tree)

    def copy_here(self, tree: Any) -> Any:
        """A copy, for this process alone, of replicated arrays."""
        # np.array copies: updates write into the buffers of these arrays.
        return jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf)), tree)

    def _place(self, array: np.ndarray, parts: int) -> jax.Array:
        array = array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
        if array.ndim and array.shape[0] % (self.count * parts):
            raise ValueError(
                f"A batch has {array.shape[0]} rows; it needs a multiple of {self.count * parts} "
                f"(devices: {self.count}, parts to accumulate: {parts}). Choose another batch size."
            )
        return jax.make_array_from_callback(
            array.shape, self.rows if array.ndim else self.everywhere, lambda index: array[index]
        )


__all__ = ["Devices", "from_main", "is_alone", "is_main", "join_processes"]
