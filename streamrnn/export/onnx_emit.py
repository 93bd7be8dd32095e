"""A traced function as nodes of an ONNX graph, equation by equation."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from streamrnn.export.onnx_complex import COMPLEX, as_complex
from streamrnn.export.onnx_fourier import fft
from streamrnn.export.onnx_graph import Complex, Equation, Graph
from streamrnn.export.onnx_gru import gru_rule
from streamrnn.export.onnx_primitives import ELEMENTWISE, SUMMING, Rule
from streamrnn.export.onnx_shapes import MOVING, cut, joined

RULES: dict[str, Rule] = {**ELEMENTWISE, **SUMMING, **MOVING, "fft": fft, "gru": gru_rule}
# Functions within functions.
CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call"}
# Longest loop over frames, which is unrolled.
LONGEST_LOOP = 64

# Empty arrays are left out.
Absent = None


class UnsupportedOperation(ValueError):
    """An operation of the model has no ONNX equivalent here."""


def emit(graph: Graph, closed: ClosedJaxpr, inputs: Sequence[Any]) -> list[Any]:
    """Emits the function's operations, and returns the values of its outputs.

    Raises:
        UnsupportedOperation: a primitive has no rule; the message names it and its source.
    """
    try:
        return _emit_closed(graph, closed, inputs)
    except _Missing as missing:
        raise missing.at("a place that JAX does not tell") from None


class _Missing(NotImplementedError):
    """A primitive without a rule, until a caller knows its source, which JAX's own functions hide."""

    def at(self, place: str) -> UnsupportedOperation:
        name, what = self.args
        return UnsupportedOperation(
            f"The model uses JAX's {name!r} at {place}, and there is no ONNX here for {what}. Write that layer's step "
            "with other operations, or export to a .stablehlo file, which takes everything that JAX has."
        )


def _emit_closed(graph: Graph, closed: ClosedJaxpr, inputs: Sequence[Any]) -> list[Any]:
    return _emit(graph, closed.jaxpr, [_array(const) for const in closed.consts], inputs)


def _array(const: Any) -> Any:
    # Random keys are not arrays; an operation that uses one has no rule, and is reported.
    return const if _is_key(const) else np.asarray(const)


def _is_key(value: Any) -> bool:
    return jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)


def _emit(graph: Graph, jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    values: dict[Var, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

    def read(atom: Var | Literal) -> Any:
        return np.asarray(atom.val, _aval(atom).dtype) if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        values.update(zip(eqn.outvars, _apply(graph, eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _aval(atom: Var | Literal) -> Any:
    return atom.aval


def _apply(graph: Graph, eqn: JaxprEqn, inputs: list[Any]) -> list[Any]:
    equation = Equation(eqn.primitive.name, eqn.params, tuple(map(_aval, eqn.invars)), tuple(map(_aval, eqn.outvars)))
    if all(0 in output.shape for output in equation.outputs):
        return [Absent] * len(equation.outputs)
    known = _computed(eqn, equation, inputs)
    if known is not None:
        return known
    try:
        if equation.name in CALLS:
            return _called(graph, equation, inputs)
        return _unrolled(graph, equation, inputs) if equation.name == "scan" else _ruled(graph, equation, inputs)
    except NotImplementedError as error:
        missing = error if isinstance(error, _Missing) else _Missing(equation.name, str(error))
        place = source_info_util.summarize(eqn.source_info)
        raise (missing.at(place) if place else missing) from None


def _computed(eqn: JaxprEqn, equation: Equation, inputs: list[Any]) -> list[np.ndarray] | None:
    """The outputs, if they do not depend on the input."""
    if equation.name in CALLS or not inputs or not all(isinstance(value, np.ndarray) for value in inputs):
        return None
    if any(map(_is_key, equation.outputs)):
        return None
    if equation.name in ELEMENTWISE:
        arrays = np.broadcast_arrays(*inputs)
    elif all(isinstance(size, int) for each in (*equation.inputs, *equation.outputs) for size in each.shape):
        arrays = [np.broadcast_to(value, aval.shape) for value, aval in zip(inputs, equation.inputs, strict=True)]
    else:
        return None
    found = eqn.primitive.bind(*map(jax.numpy.asarray, arrays), **eqn.params)
    return [np.asarray(array) for array in (found if eqn.primitive.multiple_results else [found])]


def _called(graph: Graph, equation: Equation, inputs: list[Any]) -> list[Any]:
    function = equation.params.get("jaxpr") or equation.params["call_jaxpr"]
    if isinstance(function, ClosedJaxpr):
        return _emit_closed(graph, function, inputs)
    return _emit(graph, function, [], inputs)


def _unrolled(graph: Graph, equation: Equation, inputs: list[Any]) -> list[Any]:
    """Unrolls a loop over the few frames of a block."""
    closed, length, consts, carried = (equation.params[n] for n in ("jaxpr", "length", "num_consts", "num_carry"))
    if not isinstance(length, int) or length > LONGEST_LOOP:
        raise NotImplementedError(f"a loop over {length} frames: a block has at most {LONGEST_LOOP}")
    fixed, carry, rows = inputs[:consts], inputs[consts : consts + carried], inputs[consts + carried :]
    found: list[list[Any]] = [[]] * length
    for number in range(length)[:: -1 if equation.params["reverse"] else 1]:
        frames = [
            _row(graph, x, number, aval.shape)
            for x, aval in zip(rows, equation.inputs[consts + carried :], strict=True)
        ]
        outputs = _emit_closed(graph, closed, [*fixed, *carry, *frames])
        carry, found[number] = outputs[:carried], outputs[carried:]
    stacks = zip(zip(*found, strict=True), equation.outputs[carried:], strict=True)
    return [*carry, *(_stacked(graph, parts, aval.shape) for parts, aval in stacks)]


def _row(graph: Graph, x: Any, number: int, shape: Any) -> Any:
    """x[number] of an array with that shape."""
    if isinstance(x, Complex):
        return Complex(*(_row(graph, part, number, shape) for part in x))
    if x is Absent:
        return Absent
    x = graph.expand(x, shape)
    starts, limits = [number] + [0] * (len(shape) - 1), [number + 1, *shape[1:]]
    return graph.reshape(cut(graph, x, starts, limits, [1] * len(shape)), tuple(shape[1:]))


def _stacked(graph: Graph, rows: Sequence[Any], shape: Any) -> Any:
    if isinstance(rows[0], Complex):
        return Complex(*(_stacked(graph, [row[part] for row in rows], shape) for part in (0, 1)))
    if rows[0] is Absent:
        return Absent
    parts = (graph.reshape(graph.expand(row, tuple(shape[1:])), (1, *shape[1:])) for row in rows)
    return joined(graph, tuple(parts), 0, shape)


def _ruled(graph: Graph, equation: Equation, inputs: list[Any]) -> list[Any]:
    name = equation.name
    if name != "concatenate" and any(value is Absent for value in inputs):
        raise NotImplementedError("arrays without numbers")
    inputs = [as_complex(value) for value in inputs if value is not Absent]
    if name in COMPLEX and any(
        np.issubdtype(a.dtype, np.complexfloating) for a in (*equation.inputs, *equation.outputs)
    ):
        found = COMPLEX[name](graph, equation, *inputs)
    elif name != "fft" and any(isinstance(value, Complex) for value in inputs):
        found = _part_by_part(graph, equation, inputs)
    elif name in RULES:
        found = RULES[name](graph, equation, *inputs)
    else:
        raise NotImplementedError("it")
    return found if isinstance(found, list) else [found]


def _part_by_part(graph: Graph, equation: Equation, inputs: list[Any]) -> list[Complex]:
    """Rules that move numbers without arithmetic, applied to real and imaginary parts alike."""
    if equation.name not in MOVING and equation.name != "select_n":
        raise NotImplementedError("complex numbers in it")
    both = [
        RULES[equation.name](graph, equation, *(x[part] if isinstance(x, Complex) else x for x in inputs))
        for part in (0, 1)
    ]
    real, imag = (found if isinstance(found, list) else [found] for found in both)
    return [Complex(*pair) for pair in zip(real, imag, strict=True)]


__all__ = ["RULES", "UnsupportedOperation", "emit"]
