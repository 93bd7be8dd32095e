"""Rules from JAX's primitives to ONNX nodes: arithmetic. Reshapes, slices and the like are in onnx_shapes.py.

A rule takes the graph, the equation and the values of its inputs, and returns the value of each output, or of the only
one. Inputs may have a dimension of 1 in place of the equation's, which is then broadcast: see onnx_graph.Tensor.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from streamrnn.export.onnx_graph import Equation, Graph, Shape, Value, element_type, plain, wide

Rule = Callable[..., Any]

# Operators that runtimes lack for some types; see onnx_graph.wide.
COMPARING = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual"}
LACKING = {*COMPARING, "Max", "Min", "Neg", "Where"}


def broadcast(*shapes: Shape) -> Shape:
    """The shape of the result of arithmetic on arrays of these shapes."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def arithmetic(graph: Graph, op: str, *inputs: Value, dtype: Any = None, **attributes: Any) -> Value:
    """An element-wise node, on arrays without the axes that are 1 in all of them.

    If no rule needs those axes, this leaves no reshape in the graph, and a runtime sees the bias next to its matmul.
    """
    dtype = inputs[0].dtype if dtype is None else dtype
    if op in LACKING and wide(inputs[-1].dtype) != inputs[-1].dtype:
        choice, numbers = (inputs[:1], inputs[1:]) if op == "Where" else ((), inputs)
        wider = [cast(graph, value, wide(value.dtype)) for value in numbers]
        found = arithmetic(graph, op, *choice, *wider, dtype=dtype if op in COMPARING else wider[0].dtype)
        return cast(graph, found, dtype)
    shape = broadcast(*(value.shape for value in inputs))
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    narrow = [graph.reshape(value, _at(axes, value.shape, len(shape))) for value in inputs]
    found = graph.node(op, *narrow, shape=_at(axes, shape, len(shape)), dtype=dtype, **attributes)
    return graph.reshape(found, shape)


def _at(axes: list[int], shape: Shape, rank: int) -> Shape:
    shape = (1,) * (rank - len(shape)) + tuple(shape)
    return tuple(shape[axis] for axis in axes)


def times(graph: Graph, x: Value, y: Value) -> Value:
    """x y; a known factor is combined with an earlier known factor of x."""
    if isinstance(x, np.ndarray):
        x, y = y, x
    made = graph.made_by(graph.source(x))
    if isinstance(y, np.ndarray) and y.size == 1 and made.op == "Mul" and isinstance(made.inputs[1], np.ndarray):
        known = (made.inputs[1], y, made.inputs[1].astype(np.float64) * y.reshape(()).astype(np.float64))
        if all(map(_is_moderate, known)):
            return graph.reshape(arithmetic(graph, "Mul", made.inputs[0], made.inputs[1] * y.reshape(())), x.shape)
    return arithmetic(graph, "Mul", x, y)


def _is_moderate(factors: np.ndarray) -> bool:
    """Whether factors of a product may be combined first without leaving float32's range."""
    return bool(np.all((np.abs(factors) > 1e-9) & (np.abs(factors) < 1e9)))


def is_zero(value: Value) -> bool:
    """Whether the value is known to be all zeros."""
    return isinstance(value, np.ndarray) and not value.any()


def elementwise(op: str) -> Rule:
    """The rule of a primitive that is the ONNX operator `op`."""

    def rule(graph: Graph, eqn: Equation, *inputs: Value) -> Value:
        return arithmetic(graph, op, *inputs, dtype=eqn.outputs[0].dtype)

    return rule


def composed(*ops: str) -> Rule:
    """The rule of a primitive that is a sequence of these operators of one input."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        for op in ops:
            x = arithmetic(graph, op, x)
        return x

    return rule


def mul(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    return times(graph, x, y)


def maximum(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    # Runtimes fuse a Relu with the matmul before it.
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
    """Exact for small x, too: log(1 + x), corrected for the rounding of 1 + x (Goldberg, "What every computer
    scientist should know about floating-point arithmetic", 1991, theorem 4)."""
    one = np.array(1, np.float32)
    sum_ = arithmetic(graph, "Add", x, one)
    kept = arithmetic(graph, "Sub", sum_, one)
    # Infinity has no rounding error, either.
    whole = arithmetic(graph, "Equal", kept, x, dtype=np.bool_)
    ratio = arithmetic(graph, "Where", whole, one, arithmetic(graph, "Div", x, kept), dtype=np.float32)
    found = arithmetic(graph, "Mul", arithmetic(graph, "Log", sum_), ratio)
    none_kept = arithmetic(graph, "Equal", kept, np.array(0, np.float32), dtype=np.bool_)
    return arithmetic(graph, "Where", none_kept, x, found, dtype=np.float32)


def expm1(graph: Graph, eqn: Equation, x: Value) -> Value:
    """tanh(x / 2) (e^x + 1), which is exact for e^x near 1."""
    sum_ = arithmetic(graph, "Add", arithmetic(graph, "Exp", x), np.array(1, np.float32))
    return arithmetic(
        graph, "Mul", arithmetic(graph, "Tanh", arithmetic(graph, "Mul", x, np.array(0.5, np.float32))), sum_
    )


def divide(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    if x.dtype.kind == "f":
        return arithmetic(graph, "Div", x, y)
    # As in JAX: x / 0 is -1, and the lowest number is its own negative. On a CPU, either would trap.
    safe, by_zero, by_minus_one = _divisor(graph, y)
    found = arithmetic(graph, "Div", x, safe)
    if by_minus_one is not None:
        found = arithmetic(graph, "Where", by_minus_one, arithmetic(graph, "Neg", x), found, dtype=x.dtype)
    return found if by_zero is None else arithmetic(graph, "Where", by_zero, _minus_one(y), found, dtype=x.dtype)


def remainder(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    if x.dtype.kind == "f":
        return arithmetic(graph, "Mod", x, y, fmod=1)
    # As in JAX: the remainder of a division by 0 is the dividend.
    safe, by_zero, _ = _divisor(graph, y)
    found = arithmetic(graph, "Mod", x, safe, fmod=1)
    return found if by_zero is None else arithmetic(graph, "Where", by_zero, x, found, dtype=x.dtype)


def _divisor(graph: Graph, y: Value) -> tuple[Value, Value | None, Value | None]:
    """An integer divisor with 1 in place of 0 and -1, and masks of these; None if there are known to be none."""
    zero, minus_one, one = np.array(0, y.dtype), _minus_one(y), np.array(1, y.dtype)
    if isinstance(y, np.ndarray) and not np.isin(y, (zero, minus_one)).any():
        return y, None, None
    by_zero, by_minus_one = (arithmetic(graph, "Equal", y, each, dtype=np.bool_) for each in (zero, minus_one))
    either = arithmetic(graph, "Or", by_zero, by_minus_one)
    return arithmetic(graph, "Where", either, one, y, dtype=y.dtype), by_zero, by_minus_one


def _minus_one(y: Value) -> np.ndarray:
    return np.array(-1).astype(y.dtype)


def differ(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    return arithmetic(graph, "Not", arithmetic(graph, "Equal", x, y, dtype=np.bool_))


def logic(op: str) -> Rule:
    """The rule of a primitive on booleans; on integers it would be bitwise."""

    def rule(graph: Graph, eqn: Equation, *inputs: Value) -> Value:
        if inputs[0].dtype != np.bool_:
            raise NotImplementedError("the bits of whole numbers")
        return arithmetic(graph, op, *inputs)

    return rule


def is_finite(graph: Graph, eqn: Equation, x: Value) -> Value:
    # NaN and both infinities give NaN here, which never equals itself.
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
    dtype = np.dtype(eqn.params["new_dtype"])
    if x.dtype.kind != "f" or dtype.kind not in "iu":
        return cast(graph, x, dtype)
    # As in JAX: NaN becomes 0, and numbers out of range are clipped. In other runtimes that is undefined.
    bounds, found = np.iinfo(dtype), cast(graph, x, dtype)
    beyond = {"GreaterOrEqual": (float(bounds.max) + 1, bounds.max), "Less": (float(bounds.min), bounds.min)}
    for op, (bound, nearest) in beyond.items():
        outside = arithmetic(graph, op, x, np.array(bound, np.float32), dtype=np.bool_)
        found = arithmetic(graph, "Where", outside, np.array(nearest, dtype), found, dtype=dtype)
    number = arithmetic(graph, "Equal", x, x, dtype=np.bool_)
    return arithmetic(graph, "Where", number, found, np.array(0, dtype), dtype=dtype)


def cast(graph: Graph, x: Value, dtype: Any) -> Value:
    """The value converted to another type."""
    if plain(dtype) == plain(x.dtype):
        return x
    return arithmetic(graph, "Cast", x, dtype=dtype, to=element_type(dtype))


def reduction(op: str) -> Rule:
    """The rule of a primitive that sums over some axes."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        aval, axes = eqn.outputs[0], np.array(eqn.params["axes"], np.int64)
        if eqn.name in ("reduce_and", "reduce_or") and x.dtype != np.bool_:
            raise NotImplementedError("the bits of whole numbers")
        x = cast(graph, graph.expand(x, eqn.inputs[0].shape), wide(x.dtype))
        return cast(graph, graph.node(op, x, axes, shape=aval.shape, dtype=x.dtype, keepdims=0), aval.dtype)

    return rule


def first_extreme(op: str) -> Rule:
    """The rule of a primitive for the first index of the largest or smallest number."""

    def rule(graph: Graph, eqn: Equation, x: Value) -> Value:
        aval, (axis,) = eqn.outputs[0], eqn.params["axes"]
        x = cast(graph, graph.expand(x, eqn.inputs[0].shape), wide(x.dtype))
        place = graph.node(op, x, shape=aval.shape, dtype=np.int64, axis=axis, keepdims=0)
        return cast(graph, place, aval.dtype)

    return rule


def cumulative_sum(graph: Graph, eqn: Equation, x: Value) -> Value:
    x = cast(graph, graph.expand(x, eqn.inputs[0].shape), wide(x.dtype))
    axis, reverse = np.array(eqn.params["axis"], np.int64), int(eqn.params["reverse"])
    found = graph.node("CumSum", x, axis, shape=x.shape, dtype=x.dtype, reverse=reverse)
    return cast(graph, found, eqn.outputs[0].dtype)


def dot_general(graph: Graph, eqn: Equation, x: Value, y: Value) -> Value:
    """Each side as [batch axes, free axes, contracted axes]; usually nothing needs to be moved."""
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
    """x[..., in] y[in, out]; a single frame per stream is a matrix of streams, which runtimes fuse with the bias."""
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
    """The axes in another order; if only axes of 1 move, that is a reshape."""
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
    if any(size < 0 for sides in params["padding"] for size in sides):
        raise NotImplementedError("padding with fewer than none")
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
    "div": divide,
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
