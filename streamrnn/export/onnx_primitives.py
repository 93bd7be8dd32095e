"""JAX's primitives as ONNX nodes: the arithmetic. What moves numbers about is in onnx_shapes.py.

A rule takes the graph, the equation and the values of its inputs, and returns the value of each output, or of the only
one. Inputs may be narrower than the equation says, with a dimension of 1 that is to be broadcast: see
onnx_graph.Tensor.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from streamrnn.export.onnx_graph import Equation, Graph, Shape, Value, element_type, plain

Rule = Callable[..., Any]


def broadcast(*shapes: Shape) -> Shape:
    """The shape that arithmetic on arrays of these shapes has."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def arithmetic(graph: Graph, op: str, *inputs: Value, dtype: Any = None, **attributes: Any) -> Value:
    """A node that works number by number, on arrays without the axes that are 1 in all of them.

    Where those axes come and go without a rule that needs them, no reshape is left in the graph, and a runtime sees the
    bias next to its matmul.
    """
    dtype = inputs[0].dtype if dtype is None else dtype
    shape = broadcast(*(value.shape for value in inputs))
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    narrow = [graph.reshape(value, _at(axes, value.shape, len(shape))) for value in inputs]
    found = graph.node(op, *narrow, shape=_at(axes, shape, len(shape)), dtype=dtype, **attributes)
    return graph.reshape(found, shape)


def _at(axes: list[int], shape: Shape, rank: int) -> Shape:
    shape = (1,) * (rank - len(shape)) + tuple(shape)
    return tuple(shape[axis] for axis in axes)


def times(graph: Graph, x: Value, y: Value) -> Value:
    """x y; a number that is known joins one that x was multiplied by before."""
    if isinstance(x, np.ndarray):
        x, y = y, x
    made = graph.made_by(graph.source(x))
    if isinstance(y, np.ndarray) and y.size == 1 and made.op == "Mul" and isinstance(made.inputs[1], np.ndarray):
        return graph.reshape(arithmetic(graph, "Mul", made.inputs[0], made.inputs[1] * y.reshape(())), x.shape)
    return arithmetic(graph, "Mul", x, y)


def is_zero(value: Value) -> bool:
    """Whether the value is known to be 0 throughout."""
    return isinstance(value, np.ndarray) and not value.any()


def elementwise(op: str) -> Rule:
    """The rule of a primitive that is the ONNX operator `op`."""

    def rule(graph: Graph, eqn: Equation, *inputs: Value) -> Value:
        return arithmetic(graph, op, *inputs, dtype=eqn.outputs[0].dtype)

    return rule


def composed(*ops: str) -> Rule:
    """The rule of a primitive that is these operators of one input, one after the other."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        for op in ops:
            x = arithmetic(graph, op, x)
        return x

    return rule


def mul(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    return times(graph, x, y)


def maximum(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    # Runtimes join a Relu with the matmul before it.
    return arithmetic(graph, "Relu", x) if is_zero(y) and x.dtype.kind == "f" else arithmetic(graph, "Max", x, y)


def integer_pow(graph: Graph, eqn: Equation, x: Value) -> Value:
    match eqn.params["y"]:
        case 1:
            return x
        case 2:
            return arithmetic(graph, "Mul", x, x)
        case -1:
            return arithmetic(graph, "Reciprocal", x)
    return arithmetic(graph, "Pow", x, np.array(eqn.params["y"], plain(x.dtype)))


def square(graph: Graph, eqn: Equation, x: Value) -> Value:
    return arithmetic(graph, "Mul", x, x)


def exp2(graph: Graph, eqn: Equation, x: Value) -> Value:
    return arithmetic(graph, "Pow", np.array(2, np.float32), x)


def log1p(graph: Graph, eqn: Equation, x: Value) -> Value:
    return arithmetic(graph, "Log", arithmetic(graph, "Add", x, np.array(1, np.float32)))


def expm1(graph: Graph, eqn: Equation, x: Value) -> Value:
    return arithmetic(graph, "Sub", arithmetic(graph, "Exp", x), np.array(1, np.float32))


def remainder(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    return arithmetic(graph, "Mod", x, y, fmod=1)


def differ(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    return arithmetic(graph, "Not", arithmetic(graph, "Equal", x, y, dtype=np.bool_))


def logic(op: str) -> Rule:
    """The rule of a primitive on truths; on whole numbers it would work bit by bit."""

    def rule(graph: Graph, eqn: Equation, *inputs: Value) -> Value:
        if inputs[0].dtype != np.bool_:
            raise NotImplementedError("the bits of whole numbers")
        return arithmetic(graph, op, *inputs)

    return rule


def is_finite(graph: Graph, eqn: Equation, x: Value) -> Value:
    # NaN and both infinities give NaN, which equals nothing.
    rest = arithmetic(graph, "Sub", x, x)
    return arithmetic(graph, "Equal", rest, rest, dtype=np.bool_)


def select(graph: Graph, eqn: Equation, which: Value, *cases: Value) -> Value:
    if which.dtype != np.bool_ or len(cases) != 2:
        raise NotImplementedError("a choice among more than two")
    if isinstance(which, np.ndarray) and which.size == 1:
        return cases[int(which.item())]
    return arithmetic(graph, "Where", which, cases[1], cases[0], dtype=cases[0].dtype)


def clamp(graph: Graph, eqn: Equation, low: Value, x: Value, high: Value) -> Value:
    return arithmetic(graph, "Min", arithmetic(graph, "Max", x, low), high)


def convert(graph: Graph, eqn: Equation, x: Value) -> Value:
    return cast(graph, x, eqn.params["new_dtype"])


def cast(graph: Graph, x: Value, dtype: Any) -> Value:
    """The value as numbers of another type."""
    if plain(dtype) == plain(x.dtype):
        return x
    return arithmetic(graph, "Cast", x, dtype=dtype, to=element_type(dtype))


def reduction(op: str) -> Rule:
    """The rule of a primitive that sums up some axes."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        aval, axes = eqn.outputs[0], np.array(eqn.params["axes"], np.int64)
        x = graph.expand(x, eqn.inputs[0].shape)
        if aval.dtype == np.bool_:
            number = graph.node(op, cast(graph, x, np.int32), axes, shape=aval.shape, dtype=np.int32, keepdims=0)
            return cast(graph, number, np.bool_)
        return graph.node(op, x, axes, shape=aval.shape, dtype=aval.dtype, keepdims=0)

    return rule


def first_extreme(op: str) -> Rule:
    """The rule of a primitive that gives the first place of the largest or smallest number."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        aval, (axis,) = eqn.outputs[0], eqn.params["axes"]
        x = graph.expand(x, eqn.inputs[0].shape)
        place = graph.node(op, x, shape=aval.shape, dtype=np.int64, axis=axis, keepdims=0)
        return cast(graph, place, aval.dtype)

    return rule


def cumulative_sum(graph: Graph, eqn: Equation, x: Value) -> Value:
    x, axis = graph.expand(x, eqn.inputs[0].shape), np.array(eqn.params["axis"], np.int64)
    return graph.node("CumSum", x, axis, shape=x.shape, dtype=x.dtype, reverse=int(eqn.params["reverse"]))


def dot_general(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    """Each side as [batch axes, free axes, contracted axes]; most often there is nothing to move."""
    (x_summed, y_summed), (x_batch, y_batch) = eqn.params["dimension_numbers"]
    x, y = (graph.expand(value, var.shape) for value, var in zip((x, y), eqn.inputs, strict=True))
    aval, rank = eqn.outputs[0], len(x.shape)
    if (x_batch, tuple(x_summed), tuple(y_summed), len(y.shape)) == ((), (rank - 1,), (0,), 2):
        return _times_matrix(graph, x, y)
    x_free, y_free = ([a for a in range(len(v.shape)) if a not in (*s, *b)] for v, s, b in _sides(x, y, eqn))
    x = _as_matrices(graph, x, x_batch, x_free, x_summed)
    y = _as_matrices(graph, y, y_batch, y_summed, y_free)
    product = graph.node("MatMul", x, y, shape=(*x.shape[:-1], y.shape[-1]), dtype=aval.dtype)
    return graph.reshape(product, aval.shape)


def _times_matrix(graph: Graph, x: Value, y: Value) -> Value:
    """x[..., in] y[in, out]; a single frame per stream is a matrix of streams, which runtimes join with the bias."""
    shape = (*x.shape[:-1], y.shape[1])
    if len(x.shape) == 3 and x.shape[1] == 1:
        x = graph.reshape(x, (x.shape[0], x.shape[2]))
    product = graph.node("MatMul", x, y, shape=(*x.shape[:-1], y.shape[1]), dtype=x.dtype)
    return graph.reshape(product, shape)


def _sides(x: Value, y: Value, eqn: Equation) -> list[tuple[Value, Any, Any]]:
    (x_summed, y_summed), (x_batch, y_batch) = eqn.params["dimension_numbers"]
    return [(x, x_summed, x_batch), (y, y_summed, y_batch)]


def _as_matrices(graph: Graph, x: Value, batch: Any, rows: Any, columns: Any) -> Value:
    x = transposed(graph, x, (*batch, *rows, *columns))
    sizes, start = x.shape, len(batch)
    middle = start + len(rows)
    return graph.reshape(x, (*sizes[:start], prod(sizes[start:middle]), prod(sizes[middle:])))


def transposed(graph: Graph, x: Value, permutation: tuple[int, ...]) -> Value:
    """The axes in another order; where only axes of 1 move, that is a reshape."""
    if isinstance(x, np.ndarray):
        return x.transpose(permutation)
    shape = tuple(x.shape[axis] for axis in permutation)
    moving = [axis for axis in permutation if x.shape[axis] != 1]
    if moving == sorted(moving):
        return graph.reshape(x, shape)
    return graph.node("Transpose", x, shape=shape, dtype=x.dtype, perm=[int(axis) for axis in permutation])


def convolution(graph: Graph, eqn: Equation, x: Value, kernel: Value) -> Value:
    """ONNX wants [batch, channels, time], kernels [out, in, time]."""
    params = eqn.params
    if any(size != 1 for size in params["lhs_dilation"]) or params["batch_group_count"] != 1:
        raise NotImplementedError("a transposed convolution")
    x = transposed(graph, graph.expand(x, eqn.inputs[0].shape), params["dimension_numbers"].lhs_spec)
    kernel = transposed(graph, kernel, params["dimension_numbers"].rhs_spec)
    out, aval = params["dimension_numbers"].out_spec, eqn.outputs[0]
    y = graph.node(
        "Conv", x, kernel, shape=tuple(aval.shape[axis] for axis in out), dtype=aval.dtype, **_window(params)
    )
    return transposed(graph, y, tuple(int(axis) for axis in np.argsort(out)))


def _window(params: Mapping[str, Any]) -> dict[str, Any]:
    before, after = zip(*params["padding"], strict=True)
    return {
        "strides": [int(n) for n in params["window_strides"]],
        "dilations": [int(n) for n in params["rhs_dilation"]],
        "pads": [int(n) for n in (*before, *after)],
        "group": int(params["feature_group_count"]),
    }


ELEMENTWISE: dict[str, Rule] = {
    "add": elementwise("Add"),
    "add_any": elementwise("Add"),
    "sub": elementwise("Sub"),
    "mul": mul,
    "div": elementwise("Div"),
    "max": maximum,
    "min": elementwise("Min"),
    "pow": elementwise("Pow"),
    "rem": remainder,
    "neg": elementwise("Neg"),
    "abs": elementwise("Abs"),
    "sign": elementwise("Sign"),
    "floor": elementwise("Floor"),
    "ceil": elementwise("Ceil"),
    "exp": elementwise("Exp"),
    "exp2": exp2,
    "expm1": expm1,
    "log": elementwise("Log"),
    "log1p": log1p,
    "sqrt": elementwise("Sqrt"),
    "rsqrt": composed("Sqrt", "Reciprocal"),
    "square": square,
    "integer_pow": integer_pow,
    "logistic": elementwise("Sigmoid"),
    "tanh": elementwise("Tanh"),
    "sin": elementwise("Sin"),
    "cos": elementwise("Cos"),
    "tan": elementwise("Tan"),
    "sinh": elementwise("Sinh"),
    "cosh": elementwise("Cosh"),
    "atan": elementwise("Atan"),
    "erf": elementwise("Erf"),
    "is_finite": is_finite,
    "eq": elementwise("Equal"),
    "ne": differ,
    "lt": elementwise("Less"),
    "le": elementwise("LessOrEqual"),
    "gt": elementwise("Greater"),
    "ge": elementwise("GreaterOrEqual"),
    "and": logic("And"),
    "or": logic("Or"),
    "xor": logic("Xor"),
    "not": logic("Not"),
    "select_n": select,
    "clamp": clamp,
    "convert_element_type": convert,
}
SUMMING: dict[str, Rule] = {
    "reduce_sum": reduction("ReduceSum"),
    "reduce_max": reduction("ReduceMax"),
    "reduce_min": reduction("ReduceMin"),
    "reduce_prod": reduction("ReduceProd"),
    "reduce_and": reduction("ReduceMin"),
    "reduce_or": reduction("ReduceMax"),
    "argmax": first_extreme("ArgMax"),
    "argmin": first_extreme("ArgMin"),
    "cumsum": cumulative_sum,
    "dot_general": dot_general,
    "conv_general_dilated": convolution,
}

__all__ = ["ELEMENTWISE", "SUMMING", "Rule", "arithmetic", "broadcast", "cast", "is_zero", "times", "transposed"]
