"""Amount of computation, independent of the machine: counted in the traced program."""

import math
from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr


def multiply_adds(jaxpr: Jaxpr) -> int:
    """Multiply-adds of all matrix products and convolutions that one call of a traced program runs.

    Loops count as often as they run, which XLA's own cost analysis does not do: it counts the body of a loop once. Of
    branches the cheapest counts, so the sum is never above what runs. Fourier transforms and what is done number by
    number do not count.

    Raises:
        ValueError: the program multiplies in a loop whose end is not known before it runs.
    """
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    match equation.primitive.name:
        case "dot_general":
            return _of_product(equation)
        case "conv_general_dilated":
            return _of_convolution(equation)
        case "scan":
            return equation.params["length"] * multiply_adds(equation.params["jaxpr"].jaxpr)
        case "cond":
            return min(multiply_adds(branch.jaxpr) for branch in equation.params["branches"])
    inside = sum(map(multiply_adds, _inner(equation.params.values())))
    if inside and equation.primitive.name == "while":
        raise ValueError("A loop without a fixed number of rounds multiplies matrices; write it as jax.lax.scan.")
    return inside


def _of_product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)


def _of_convolution(equation: Any) -> int:
    kernel = equation.invars[1].aval
    out_features = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return equation.outvars[0].aval.size * (kernel.size // out_features)


def _inner(values: Any) -> Iterator[Jaxpr]:
    """The programs among the parameters of an equation."""
    for value in values:
        match value:
            case ClosedJaxpr():
                yield value.jaxpr
            case Jaxpr():
                yield value
            case tuple() | list():
                yield from _inner(value)


__all__ = ["multiply_adds"]
