"""Kernels that split their work by rows: over a GPU's multiprocessors, and over devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

# Rows of a tile: the fewest that a matrix unit multiplies at once.
TILE_ROWS = 16


def over_rows(
    body: Callable[..., None],
    outputs: Sequence[jax.ShapeDtypeStruct],
    inputs: Sequence[Any],
    whole: int,
    interpret: bool,
) -> tuple[jax.Array, ...]:
    """Runs a Pallas kernel on tiles of 16 rows.

    Arrays with rows are [time, rows, features] or [rows, features]. If their rows are split over devices, each device
    runs the kernel on its own rows; without a rule for this, XLA would gather all rows on each device.

    Args:
        body: the kernel; its arguments are references to a tile of rows of each input, then of each output.
        outputs: their shapes and dtypes.
        inputs: arrays; the first `whole` of them have no rows, and each tile receives them whole.
        interpret: run the kernel's operations one by one, on any platform.
    """
    from jax.experimental.custom_partitioning import custom_partitioning

    def run(*inputs: Any) -> tuple[jax.Array, ...]:
        return _on_one_device(body, outputs, inputs, whole, interpret)

    def partition(mesh: Mesh, arguments: Any, results: Any) -> tuple[Any, ...]:
        axis = next((each for given in arguments[whole:] if (each := _row_axis(given)) is not None), None)
        specs = [PartitionSpec()] * whole + [_row_spec(each, axis) for each in arguments[whole:]]
        found = tuple(NamedSharding(mesh, _row_spec(each, axis)) for each in results)
        return mesh, run, found, tuple(NamedSharding(mesh, spec) for spec in specs)

    spread = custom_partitioning(run)
    spread.def_partition(partition=partition, sharding_rule=_sharding_rule(inputs, outputs, whole))
    return spread(*inputs)


def _on_one_device(
    body: Callable[..., None], outputs: Sequence[Any], inputs: Sequence[Any], whole: int, interpret: bool
) -> tuple[jax.Array, ...]:
    # Importing Pallas takes a while, and only this function needs it.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    rows = inputs[whole].shape[-2]
    padding = -rows % TILE_ROWS
    padded = [jnp.pad(each, [(0, 0)] * (each.ndim - 2) + [(0, padding), (0, 0)]) for each in inputs[whole:]]
    shapes = [jax.ShapeDtypeStruct((*each.shape[:-2], rows + padding, each.shape[-1]), each.dtype) for each in outputs]

    def tile(array: Any) -> Any:
        if array.ndim == 3:
            return pl.BlockSpec((array.shape[0], TILE_ROWS, array.shape[2]), lambda i: (0, i, 0))
        return pl.BlockSpec((TILE_ROWS, array.shape[1]), lambda i: (i, 0))

    found = pl.pallas_call(
        body,
        grid=((rows + padding) // TILE_ROWS,),
        in_specs=[pl.BlockSpec(each.shape, lambda i, n=each.ndim: (0,) * n) for each in inputs[:whole]]
        + [tile(each) for each in padded],
        out_specs=[tile(shape) for shape in shapes],
        out_shape=shapes,
        compiler_params=None if interpret else triton.CompilerParams(num_warps=4, num_stages=1),
        interpret=interpret,
    )(*inputs[:whole], *padded)
    return tuple(each[..., :rows, :] for each in found)


def _row_axis(array: Any) -> Any:
    """The mesh axes over which the rows of an array are split."""
    spec = tuple(array.sharding.spec) + (None,) * array.ndim
    return spec[array.ndim - 2]


def _row_spec(array: Any, axis: Any) -> PartitionSpec:
    return PartitionSpec(*[None] * (array.ndim - 2), axis, None)


def _sharding_rule(inputs: Sequence[Any], outputs: Sequence[Any], whole: int) -> str:
    """The axes in einsum's notation: the rows are shared by all arrays, all other axes are independent."""

    def axes(array: Any, name: str, has_rows: bool) -> str:
        names = [f"{name}{axis}" for axis in range(array.ndim)]
        if has_rows:
            names[-2] = "rows"
        return " ".join(names)

    left = ", ".join(axes(each, f"in{place}x", place >= whole) for place, each in enumerate(inputs))
    return f"{left} -> {', '.join(axes(each, f'out{place}x', True) for place, each in enumerate(outputs))}"


__all__ = ["TILE_ROWS", "over_rows"]
