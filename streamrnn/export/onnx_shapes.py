"""Rules from JAX's primitives to ONNX nodes: reshapes, slices, joins. onnx_primitives.py explains rules."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode

from streamrnn.export.onnx_graph import Equation, Graph, Shape, Tensor, Value
from streamrnn.export.onnx_primitives import Rule, arithmetic, cast, is_zero, times, transposed


def broadcast_in_dim(graph: Graph, eqn: Equation, x: Value, *_: Value) -> Value:
    # Only the positions of the axes matter here: arithmetic broadcasts anyway, other rules call Graph.expand.
    shape = [1] * len(eqn.outputs[0].shape)
    for axis, place in enumerate(eqn.params["broadcast_dimensions"]):
        shape[place] = x.shape[axis]
    return graph.reshape(x, tuple(shape))


def reshape(graph: Graph, eqn: Equation, x: Value, *_: Value) -> Value:
    return graph.reshape(graph.expand(x, eqn.inputs[0].shape), eqn.outputs[0].shape)


def squeeze(graph: Graph, eqn: Equation, x: Value) -> Value:
    return graph.reshape(x, _without(x.shape, eqn.params["dimensions"]))


def transpose(graph: Graph, eqn: Equation, x: Value) -> Value:
    return transposed(graph, x, eqn.params["permutation"])


def concatenate(graph: Graph, eqn: Equation, *parts: Value) -> Value:
    aval, axis = eqn.outputs[0], eqn.params["dimension"]
    with_numbers = [var.shape for var in eqn.inputs if 0 not in var.shape]
    parts = tuple(graph.expand(part, shape) for part, shape in zip(parts, with_numbers, strict=True))
    return joined(graph, parts, axis, aval.shape)


def joined(graph: Graph, parts: tuple[Value, ...], axis: int, shape: Shape) -> Value:
    """Concatenates parts along an axis. Frames that were split only for that become one reshape."""
    if len(parts) == 1:
        return parts[0]
    whole = _cut_into(graph, parts, axis - 1)
    if whole is not None:
        return graph.reshape(whole, shape)
    return graph.node("Concat", *parts, shape=shape, dtype=parts[0].dtype, axis=axis)


def _cut_into(graph: Graph, parts: tuple[Value, ...], axis: int) -> Value | None:
    """The value that was split into exactly these parts of size 1 along the axis, if there is one."""
    made = [graph.made_by(part) for part in parts]
    if axis < 0 or any(each.op != "Slice" or each.inputs[0] is not made[0].inputs[0] for each in made):
        return None
    cuts = [tuple(np.asarray(each.inputs[k]).tolist() for k in (1, 2, 3)) for each in made]
    whole = made[0].inputs[0]
    expected = [([number], [number + 1], [axis]) for number in range(len(parts))]
    return whole if cuts == expected and whole.shape[axis] == len(parts) else None


def stack(graph: Graph, eqn: Equation, *parts: Value) -> Value:
    aval, axis = eqn.outputs[0], eqn.params["axis"]
    shape = (*aval.shape[:axis], 1, *aval.shape[axis + 1 :])
    parts = tuple(graph.reshape(graph.expand(p, _without(shape, [axis])), shape) for p in parts)
    return joined(graph, parts, axis, aval.shape)


def slice_(graph: Graph, eqn: Equation, x: Value) -> Value:
    starts, limits = eqn.params["start_indices"], eqn.params["limit_indices"]
    x = graph.expand(x, eqn.inputs[0].shape)
    return cut(graph, x, starts, limits, eqn.params["strides"] or (1,) * len(starts))


def cut(graph: Graph, x: Value, starts: Any, limits: Any, steps: Any) -> Value:
    """x[start:limit:step] along every axis."""
    if isinstance(x, np.ndarray):
        return x[tuple(slice(*each) for each in zip(starts, limits, steps, strict=True))]
    found = list(zip(starts, limits, steps, x.shape, strict=True))
    axes = [a for a, (start, limit, step, size) in enumerate(found) if (start, step) != (0, 1) or limit != size]
    if not axes:
        return x
    each = [np.array([int(found[a][k]) for a in axes], np.int64) for k in (0, 1)]
    sizes = {a: len(range(*(int(n) for n in found[a][:3]))) for a in axes}
    shape = tuple(sizes.get(a, size) for a, size in enumerate(x.shape))
    # Without the axes of 1, as in onnx_primitives.arithmetic: slices are often parts of joined frames.
    kept = [a for a, size in enumerate(x.shape) if size != 1]
    places = np.array([kept.index(a) for a in axes], np.int64), np.array([int(found[a][2]) for a in axes], np.int64)
    narrow = graph.reshape(x, tuple(x.shape[a] for a in kept))
    part = graph.node("Slice", narrow, *each, *places, shape=tuple(shape[a] for a in kept), dtype=x.dtype)
    return graph.reshape(part, shape)


def dynamic_slice(graph: Graph, eqn: Equation, x: Value, *starts: Value) -> Value:
    if not all(isinstance(start, np.ndarray) for start in starts):
        raise NotImplementedError("a cut at a place that is only known when it runs")
    x, sizes = graph.expand(x, eqn.inputs[0].shape), eqn.params["slice_sizes"]
    # As in JAX: a slice that would reach past the end begins earlier.
    whole = [size == length for size, length in zip(sizes, x.shape, strict=True)]
    first = [
        0 if all_of_it else min(max(int(np.asarray(start)), 0), length - size)
        for all_of_it, start, length, size in zip(whole, starts, x.shape, sizes, strict=True)
    ]
    limits = [size if start == 0 else start + size for start, size in zip(first, sizes, strict=True)]
    return cut(graph, x, first, limits, (1,) * len(first))


def batch_size(graph: Graph, eqn: Equation) -> Value:
    return graph.reshape(cast(graph, graph.batch_size(), eqn.outputs[0].dtype), ())


def split(graph: Graph, eqn: Equation, x: Value) -> list[Tensor]:
    x = graph.expand(x, eqn.inputs[0].shape)
    sizes = np.array([int(size) for size in eqn.params["sizes"]], np.int64)
    return graph.nodes("Split", [x, sizes], [var.shape for var in eqn.outputs], x.dtype, axis=eqn.params["axis"])


def pad(graph: Graph, eqn: Equation, x: Value, filling: Value) -> Value:
    before, after, between = ([int(n) for n in ns] for ns in zip(*eqn.params["padding_config"], strict=True))
    if any(between) or min(before + after) < 0:
        raise NotImplementedError("padding between numbers, or with fewer than none")
    if not any(before + after):
        return x
    x = graph.expand(x, eqn.inputs[0].shape)
    return graph.node("Pad", x, np.array(before + after), filling, shape=eqn.outputs[0].shape, dtype=x.dtype)


def reverse(graph: Graph, eqn: Equation, x: Value) -> Value:
    axes = np.array(eqn.params["dimensions"], np.int64)
    x, ends = graph.expand(x, eqn.inputs[0].shape), np.full(len(axes), np.iinfo(np.int64).min)
    return graph.node(
        "Slice", x, np.full(len(axes), -1), ends, axes, np.full(len(axes), -1), shape=x.shape, dtype=x.dtype
    )


def iota(graph: Graph, eqn: Equation) -> Value:
    axis, shape = eqn.params["dimension"], [1] * len(eqn.params["shape"])
    shape[axis] = -1
    return np.arange(eqn.params["shape"][axis], dtype=eqn.params["dtype"]).reshape(shape)


def gather(graph: Graph, eqn: Equation, x: Value, indices: Value) -> Value:
    """Slices at known positions, and rows of a table."""
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    if numbers.operand_batching_dims:
        raise NotImplementedError("indices that differ from row to row")
    x = graph.expand(x, eqn.inputs[0].shape)
    if isinstance(indices, np.ndarray) and indices.ndim == 1:
        return _cut_at(graph, x, indices, numbers, sizes)
    return _rows(graph, eqn, x, indices)


def _cut_at(graph: Graph, x: Value, indices: np.ndarray, numbers: Any, sizes: Any) -> Value:
    starts = [0] * len(x.shape)
    for axis, start in zip(numbers.start_index_map, indices.tolist(), strict=True):
        starts[axis] = start
    if any(start and not 0 < start <= x.shape[axis] - sizes[axis] for axis, start in enumerate(starts)):
        raise NotImplementedError("a cut that reaches past the end")
    limits = [size if start == 0 else start + size for start, size in zip(starts, sizes, strict=True)]
    part = cut(graph, x, starts, limits, (1,) * len(starts))
    return graph.reshape(part, _without(part.shape, numbers.collapsed_slice_dims))


def _rows(graph: Graph, eqn: Equation, x: Value, indices: Value) -> Value:
    numbers, aval = eqn.params["dimension_numbers"], eqn.outputs[0]
    (axis, *others), rank = numbers.start_index_map, len(eqn.inputs[1].shape) - 1
    whole = all(s == (1 if a == axis else x.shape[a]) for a, s in enumerate(eqn.params["slice_sizes"]))
    offsets = tuple(a for a in range(len(aval.shape)) if not axis <= a < axis + rank)
    if others or not whole or numbers.collapsed_slice_dims != (axis,) or numbers.offset_dims != offsets:
        raise NotImplementedError("anything but whole rows of a table")
    indices = graph.expand(indices, eqn.inputs[1].shape)
    places = graph.reshape(indices, indices.shape[:-1])
    # As in JAX, indices past either end are clamped. ONNX counts negative ones from the end and fails at others.
    last = np.array(x.shape[axis] - 1, places.dtype)
    nearest = arithmetic(graph, "Min", arithmetic(graph, "Max", places, np.zeros_like(last)), last)
    found = graph.node("Gather", x, nearest, shape=aval.shape, dtype=x.dtype, axis=int(axis))
    if eqn.params["mode"] != GatherScatterMode.FILL_OR_DROP:
        return found
    inside = arithmetic(graph, "Equal", places, nearest, dtype=np.bool_)
    inside = graph.reshape(inside, (*[1] * axis, *places.shape, *[1] * (len(aval.shape) - axis - rank)))
    return arithmetic(graph, "Where", inside, found, _filling(eqn, x.dtype), dtype=x.dtype)


def _filling(eqn: Equation, dtype: np.dtype) -> np.ndarray:
    """JAX's fill value for rows that are out of range."""
    if (told := eqn.params["fill_value"]) is not None:
        return np.array(told, dtype)
    if dtype.kind == "f":
        return np.array(np.nan, dtype)
    return np.array(dtype.kind == "b" or (np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max), dtype)


def scatter(write: Callable[[Graph, Value, Value, np.ndarray], Value]) -> Rule:
    """The rule of a primitive that changes one column at a known place."""

    def rule(graph: Graph, eqn: Equation, x: Value, indices: Value, column: Value) -> Value:
        numbers, shape = eqn.params["dimension_numbers"], eqn.inputs[0].shape
        if (
            not isinstance(indices, np.ndarray)
            or indices.shape != (1,)
            or numbers.inserted_window_dims != numbers.scatter_dims_to_operand_dims
        ):
            raise NotImplementedError("anything but one column whose place is known")
        (axis,) = numbers.inserted_window_dims
        here = (np.arange(shape[axis]) == indices[0]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        column = graph.reshape(column, (*column.shape[:axis], 1, *column.shape[axis:]))
        return write(graph, x, column, here)

    return rule


def _add_column(graph: Graph, x: Value, column: Value, here: np.ndarray) -> Value:
    if is_zero(column):
        return x
    one_hot = here.astype(x.dtype)
    increment = column * one_hot if isinstance(column, np.ndarray) else times(graph, column, one_hot)
    return arithmetic(graph, "Add", x, increment)


def _set_column(graph: Graph, x: Value, column: Value, here: np.ndarray) -> Value:
    return arithmetic(graph, "Where", here, column, x, dtype=x.dtype)


def _without(shape: Shape, axes: Any) -> Shape:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def identity(graph: Graph, eqn: Equation, *inputs: Value) -> Any:
    return inputs[0] if len(inputs) == 1 else list(inputs)


MOVING: dict[str, Rule] = {
    "broadcast_in_dim": broadcast_in_dim,
    "reshape": reshape,
    "squeeze": squeeze,
    "transpose": transpose,
    "concatenate": concatenate,
    "stack": stack,
    "slice": slice_,
    "dynamic_slice": dynamic_slice,
    "dim_as_value": batch_size,
    "split": split,
    "pad": pad,
    "rev": reverse,
    "iota": iota,
    "gather": gather,
    "scatter-add": scatter(_add_column),
    "scatter": scatter(_set_column),
    "copy": identity,
    "copy_p": identity,
    "stop_gradient": identity,
    "optimization_barrier": identity,
}

__all__ = ["MOVING", "cut", "joined"]
