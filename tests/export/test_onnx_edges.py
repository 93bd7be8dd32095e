"""Every rule of arithmetic at the edges of float32: in ONNX Runtime as in JAX, wherever JAX is defined.

JAX takes numbers below 1.2e-38 for zeros, and ONNX Runtime does not: there the two may differ.
"""

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import nnx
from jax import lax

from streamrnn.cells import RGLRU
from streamrnn.export.onnx import onnx_step
from streamrnn.export.onnx_emit import emit
from streamrnn.export.onnx_graph import Graph, make_model
from streamrnn.export.onnx_primitives import ELEMENTWISE
from streamrnn.layers import Chain, Recurrent

SMALLEST = np.finfo(np.float32).tiny
POSITIVE = [
    0,
    1e-37,
    1e-30,
    1e-7,
    1e-4,
    0.3,
    0.5,
    1,
    1.5,
    2,
    3.7,
    9,
    17,
    30,
    88,
    89,
    104,
    1e4,
    3e9,
    1e30,
    3e38,
    np.inf,
]
REALS = np.float32([*POSITIVE, *(-x for x in POSITIVE), np.nan])
WHOLE = np.int32([0, 1, -1, 2, -2, 3, -7, 100, 2**31 - 1, -(2**31)])
TRUTHS = np.array([False, True])

ONE = ["neg", "abs", "sign", "floor", "ceil", "exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "tanh"]
ONE += ["logistic", "sin", "cos", "tan", "sinh", "cosh", "atan", "erf", "is_finite"]
TWO = ["add", "sub", "mul", "div", "max", "min", "pow", "rem", "eq", "ne", "lt", "le", "gt", "ge"]
# Relative, unless it says otherwise: MLAS, in ONNX Runtime, takes a sigmoid from -18 to 18 alone.
TOLERANCE = 2e-6
OTHER_TOLERANCES = {"exp2": {"rtol": 6e-6}, "logistic": {"rtol": TOLERANCE, "atol": 1e-7}}

FUNCTIONS = {name: (getattr(lax, name), REALS) for name in ONE}
FUNCTIONS |= {name: (getattr(lax, name), REALS, REALS) for name in TWO}
FUNCTIONS |= {
    "add_any": (jax.grad(lambda x: (x * jnp.tanh(x)).sum()), np.float32([-2, 0, 1])),
    "and": (jnp.logical_and, TRUTHS, TRUTHS),
    "or": (jnp.logical_or, TRUTHS, TRUTHS),
    "xor": (jnp.logical_xor, TRUTHS, TRUTHS),
    "not": (jnp.logical_not, TRUTHS),
    "select_n": (lambda x, y: lax.select(x > y, x, -y), REALS, REALS),
    "clamp": (lambda x: lax.clamp(-1.0, x, 1.0), REALS),
    "integer_pow": (lambda x: jnp.stack([lax.integer_pow(x, n) for n in (-3, -2, -1, 1, 2, 3, 4)], -1), REALS),
    "convert_element_type": (lambda x: (x.astype(jnp.int32), x.astype(jnp.uint8), x.astype(bool)), REALS),
}
MORE = {
    "relu": (lambda x: jnp.maximum(x, 0.0), REALS),
    "softplus and log_sigmoid": (lambda x: (jax.nn.softplus(x), jax.nn.log_sigmoid(x)), REALS),
    "whole numbers divided": (lambda n, m: (lax.div(n, m), lax.rem(n, m)), WHOLE, WHOLE),
    "whole numbers divided by a known one": (lambda n: (lax.div(n, jnp.int32(-7)), lax.rem(n, jnp.int32(-1))), WHOLE),
    "factors out of range": (lambda x: ((x * 1e30) * 1e30, (x * 1e-30) * 1e30, (x * 1e30) * 1e-30), REALS[:-1]),
    "magnitude": (
        lambda x, y: jnp.abs(lax.complex(x, y)),
        np.float32([0, 1e-30, -1, 3, 1e30]),
        np.float32([0, 2, -1e30]),
    ),
    "extremes of frames": (lambda x: (x.max(-1), x.min(-1), x.sum(-1), x.prod(-1)), REALS[:20]),
}


def pairs(*arrays):
    """All combinations, each a row of one number."""
    return [grid.reshape(-1, 1) for grid in np.meshgrid(*arrays, indexing="ij")]


def both_ways(function, *inputs):
    (batch,) = jax.export.symbolic_shape("batch")
    closed = jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct((batch, 1), each.dtype) for each in inputs))
    graph = Graph()
    values = emit(graph, closed, [graph.input(f"x{n}", (batch, 1), each.dtype) for n, each in enumerate(inputs)])
    values = [graph.expand(value, aval.shape) for value, aval in zip(values, closed.out_avals, strict=True)]
    model = make_model(graph.finish("test", [(f"y{n}", value) for n, value in enumerate(values)]), {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {f"x{n}": each for n, each in enumerate(inputs)})
    used = {equation.primitive.name for equation in closed.jaxpr.eqns}
    # Not compiled as a whole: XLA, too, would join factors.
    return theirs, jax.tree.leaves(function(*map(jnp.asarray, inputs))), used


def without_tiny(array):
    array = np.asarray(array)
    return np.where(np.abs(array) < SMALLEST, 0, array) if array.dtype.kind == "f" else array


@pytest.mark.parametrize("name", FUNCTIONS | MORE)
def test_a_rule_gives_what_jax_gives_at_the_edges(name):
    function, *inputs = (FUNCTIONS | MORE)[name]
    theirs, ours, used = both_ways(function, *pairs(*inputs))
    assert name in used or name not in ELEMENTWISE
    tolerance = OTHER_TOLERANCES.get(name, {"rtol": TOLERANCE})
    for found, expected in zip(theirs, ours, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(without_tiny(found), without_tiny(expected), **tolerance)


def test_no_rule_of_arithmetic_is_missing_here():
    assert set(FUNCTIONS) == set(ELEMENTWISE)


def test_a_gate_that_is_shut_is_as_exact_as_an_open_one(one_layer):
    cell = RGLRU(8, 8, rngs=nnx.Rngs(0))
    cell.input.bias[...] = jnp.repeat(jnp.float32([-30, 5, 0]), 8)
    model = one_layer(Chain(Recurrent(cell)), 8)
    session = onnxruntime.InferenceSession(onnx_step(model).SerializeToString(), providers=["CPUExecutionProvider"])
    pcm, state = np.full((1, 8), 0.5, np.float32), np.zeros((1, 8), np.float32)
    names = [each.name for each in session.get_inputs()]
    found = session.run(["outputs"], dict(zip(names, (pcm, state), strict=True)))[0]
    _, expected = model.step(model.init_state(1), jnp.asarray(pcm)[:, None])
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-5)
