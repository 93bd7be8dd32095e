"""Complex arithmetic on pairs of reals."""

from typing import Any

import numpy as np

from streamrnn.export.onnx_graph import Complex, Equation, Graph, Value
from streamrnn.export.onnx_primitives import Rule, arithmetic, is_zero, times


def as_complex(x: Any) -> Any:
    """A known complex array as a pair; anything else unchanged."""
    if isinstance(x, np.ndarray) and np.iscomplexobj(x):
        return Complex(np.ascontiguousarray(x.real), np.ascontiguousarray(x.imag))
    return x


def mul(graph: Graph, eqn: Equation, x: Complex, y: Complex) -> Complex:
    # Usually one of the two is real: a mask.
    real = _difference(graph, _product(graph, x.real, y.real), _product(graph, x.imag, y.imag))
    return Complex(real, _sum(graph, _product(graph, x.real, y.imag), _product(graph, x.imag, y.real)))


def add(graph: Graph, eqn: Equation, x: Complex, y: Complex) -> Complex:
    return Complex(_sum(graph, x.real, y.real), _sum(graph, x.imag, y.imag))


def sub(graph: Graph, eqn: Equation, x: Complex, y: Complex) -> Complex:
    return Complex(_difference(graph, x.real, y.real), _difference(graph, x.imag, y.imag))


def magnitude(graph: Graph, eqn: Equation, x: Complex) -> Value:
    """In units of the larger part, since its square may exceed float32's range."""
    zero, one, infinity = (np.array(number, np.float32) for number in (0, 1, np.inf))
    larger = arithmetic(graph, "Max", *(arithmetic(graph, "Abs", part) for part in x))
    edges = (arithmetic(graph, "Equal", larger, edge, dtype=np.bool_) for edge in (zero, infinity))
    unit = arithmetic(graph, "Where", arithmetic(graph, "Or", *edges), one, larger, dtype=np.float32)
    parts = (arithmetic(graph, "Div", part, unit) for part in x)
    root = arithmetic(graph, "Sqrt", _sum(graph, *(arithmetic(graph, "Mul", part, part) for part in parts)))
    return arithmetic(graph, "Mul", root, unit)


def conjugate(graph: Graph, eqn: Equation, x: Complex) -> Complex:
    return Complex(x.real, arithmetic(graph, "Neg", x.imag))


def convert(graph: Graph, eqn: Equation, x: Value | Complex) -> Complex:
    return x if isinstance(x, Complex) else Complex(x, np.zeros((1,) * len(x.shape), np.float32))


def _product(graph: Graph, x: Value, y: Value) -> Value:
    for factor in (x, y):
        if is_zero(factor):
            return factor
    return times(graph, x, y)


def _sum(graph: Graph, x: Value, y: Value) -> Value:
    if is_zero(x):
        return y
    return x if is_zero(y) else arithmetic(graph, "Add", x, y)


def _difference(graph: Graph, x: Value, y: Value) -> Value:
    return x if is_zero(y) else arithmetic(graph, "Sub", x, y)


COMPLEX: dict[str, Rule] = {
    "complex": lambda graph, eqn, real, imag: Complex(real, imag),
    "real": lambda graph, eqn, x: x.real,
    "imag": lambda graph, eqn, x: x.imag,
    "convert_element_type": convert,
    "mul": mul,
    "add": add,
    "sub": sub,
    "abs": magnitude,
    "conj": conjugate,
}

__all__ = ["COMPLEX", "as_complex"]
