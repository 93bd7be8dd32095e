"""Each rule by itself: a small function in ONNX Runtime against JAX, for batches of 1 and of 3."""

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import nnx
from jax import lax

from streamrnn.export.onnx_emit import emit
from streamrnn.export.onnx_fourier import factors
from streamrnn.export.onnx_graph import Graph, make_model
from streamrnn.layers import Embedding


def exported(function, *rows):
    """The function of arrays [batch, *row.shape] as a session; the batch stays open."""
    (batch,) = jax.export.symbolic_shape("batch")
    shapes = [jax.ShapeDtypeStruct((batch, *row.shape), row.dtype) for row in rows]
    closed, graph = jax.make_jaxpr(function)(*shapes), Graph()
    inputs = [graph.input(f"x{n}", shape.shape, shape.dtype) for n, shape in enumerate(shapes)]
    values = [graph.expand(v, a.shape) for v, a in zip(emit(graph, closed, inputs), closed.out_avals, strict=True)]
    model = make_model(graph.finish("test", [(f"y{n}", value) for n, value in enumerate(values)]), {})
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def agree(function, *rows, atol=2e-6):
    session, draw = exported(function, *rows), np.random.default_rng(0)
    # Shuffled, so that rows differ.
    arrays = [np.stack([draw.permutation(row.ravel()).reshape(row.shape) for _ in range(3)]) for row in rows]
    theirs, first = (
        session.run(None, {f"x{n}": array[:streams] for n, array in enumerate(arrays)}) for streams in (3, 1)
    )
    ours = jax.tree.leaves(jax.jit(function)(*arrays))
    assert len(theirs) == len(ours)
    for found, alone, expected in zip(theirs, first, ours, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=atol)
        assert np.asarray(found).dtype == expected.dtype
        if expected.shape[:1] == (3,):
            np.testing.assert_allclose(alone, expected[:1], rtol=2e-6, atol=atol)


X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(4, 6)
POSITIVE = np.linspace(0.1, 3, 24, dtype=np.float32).reshape(4, 6)
COUNTS = np.arange(-3, 21, dtype=np.int32).reshape(4, 6)
W = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)

ARITHMETIC = {
    "add, sub, mul, div": lambda x: (x + 1.5) * (x - 2) / 3,
    "constants times constants": lambda x: 10.0 * (0.4343 * x) * jnp.arange(6.0),
    "powers": lambda x: x**2 + x**3 + jnp.square(x),
    "max, min, clamp": lambda x: jnp.maximum(x, 0.5) + jnp.minimum(x, 0.1) + jnp.clip(x, -1, 1),
    "relu of a bias": lambda x: jax.nn.relu(x @ W + jnp.arange(5.0)),
    "neg, abs, sign, floor, ceil": lambda x: -x + jnp.abs(x) + jnp.sign(x) + jnp.floor(x) + jnp.ceil(x),
    "exp, tanh, sigmoid": lambda x: jnp.exp(x) + jnp.tanh(x) + jax.nn.sigmoid(x),
    "exp2, expm1": lambda x: jnp.exp2(x) + jnp.expm1(x),
    "sin, cos, tan, erf": lambda x: jnp.sin(x) + jnp.cos(x) + jnp.tan(x / 2) + lax.erf(x),
    "sinh, cosh, atan": lambda x: jnp.sinh(x) + jnp.cosh(x) + jnp.atan(x),
    "gelu, silu, softplus": lambda x: jax.nn.gelu(x) + jax.nn.silu(x) + jax.nn.softplus(x),
    "softmax": lambda x: jax.nn.softmax(x),
    "log_softmax": lambda x: jax.nn.log_softmax(x, axis=1),
    "comparisons": lambda x: (x < 0, x <= 0.5, x > 1, x >= -1, x == x[:, :1], x != 0),
    "logic": lambda x: ((x > 0) & (x < 1)) | ~(x > -1) ^ (x > 0.5),
    "where": lambda x: jnp.where(x > 0, x, -1.0),
    "where of a frame": lambda x: jnp.where(x[:, :, :1] > 0, x, 2 * x),
    "is_finite": lambda x: jnp.isfinite(x / jnp.maximum(x, 0)),
    "sums": lambda x: (x.sum(), x.sum(axis=1), x.mean(axis=(1, 2)), x.max(axis=2), x.min(axis=1), x.prod(axis=2)),
    "any, all": lambda x: (jnp.any(x > 1, axis=1), jnp.all(x > -1, axis=2)),
    "argmax, argmin": lambda x: (jnp.argmax(x, axis=1), jnp.argmin(x, axis=2)),
    "cumsum": lambda x: (jnp.cumsum(x, axis=1), lax.cumsum(x, axis=2, reverse=True)),
    "variance": lambda x: (x - x.mean(axis=-1, keepdims=True)) * lax.rsqrt(x.var(axis=-1, keepdims=True) + 1e-5),
    "functions of constants": lambda x: x * jax.nn.relu(jnp.arange(6.0) - 2) + jax.nn.softmax(jnp.arange(6.0)),
    "bfloat16 in float32": lambda x: (x.astype(jnp.bfloat16).astype(jnp.float32) > 0).astype(jnp.float32),
}
MOVES = {
    "reshape": lambda x: x.reshape(x.shape[0], 2, -1),
    "reshape over the batch": lambda x: (x.reshape(-1, 6) @ W).reshape(x.shape[0], 4, 5),
    "transpose": lambda x: jnp.moveaxis(x, 1, 2) + 0,
    "transpose over the batch": lambda x: jnp.moveaxis(jnp.moveaxis(x, 1, 0) + 1, 0, 1),
    "slices": lambda x: (x[:, 1:3], x[:, :, ::2], x[:, -1], x[..., 2:5]),
    "reverse": lambda x: x[:, ::-1],
    "cuts at known places": lambda x: lax.dynamic_slice_in_dim(x, 2, 2, axis=1),
    "frames joined": lambda x: jnp.concatenate([x[:, n : n + 1] for n in range(4)], axis=-1),
    "frames joined out of order": lambda x: jnp.concatenate([x[:, n : n + 1] for n in (1, 0, 2, 3)], axis=-1),
    "some frames joined": lambda x: jnp.concatenate([x[:, n : n + 1] for n in range(3)], axis=-1),
    "concatenate with what is known": lambda x: jnp.concatenate([x, jnp.ones((x.shape[0], 2, 6))], axis=1),
    "concatenate with nothing": lambda x: jnp.concatenate([x[:, :0], x], axis=1),
    "stack": lambda x: jnp.stack([x[:, 0], x[:, 1]], axis=2),
    "split": lambda x: jnp.split(x, [1, 4], axis=-1),
    "pad": lambda x: jnp.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=3.0),
    "broadcast, then summed": lambda x: jnp.broadcast_to(x[:, :1], x.shape).sum(axis=1),
    "a constant for every stream": lambda x: jnp.zeros((x.shape[0], 3)) + jnp.arange(3.0),
    "the input itself": lambda x: (x, x),
    "set and add a column": lambda x: x.at[:, 1].set(7.0).at[:, :, 2].add(-1.5),
    "add nothing to a column": lambda x: x.at[:, 1].add(0.0),
    "iota": lambda x: x * jnp.arange(6) + lax.broadcasted_iota(jnp.float32, (4, 6), 0),
    "a loop over frames": lambda x: lax.scan(lambda c, r: (c + r, c * r), x[:, 0], jnp.moveaxis(x, 1, 0)),
    "a loop backwards": lambda x: lax.scan(lambda c, r: (c + r, c), x[:, 0], jnp.moveaxis(x, 1, 0), reverse=True),
}
PRODUCTS = {
    "frames times a matrix": lambda x: x @ W,
    "a frame times a matrix": lambda x: x[:, :1] @ W + 1,
    "contracted over time": lambda x: jnp.einsum("bti,to->boi", x, W[:4]),
    "each stream by itself": lambda x: jnp.einsum("bti,bsi->bts", x, x),
    "over two axes": lambda x: jnp.einsum("bti,tio->bo", x, jnp.stack([W] * 4)),
    "in heads": lambda x: jnp.einsum("bthi,bshi->bhts", *[x.reshape(x.shape[0], 4, 2, 3)] * 2),
    "a matrix times frames": lambda x: jnp.einsum("oi,bti->bto", W.T, x),
}
COMPLEX = {
    "a spectrum's power": lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2,
    "real and imaginary": lambda x: (jnp.fft.rfft(x).real, jnp.fft.rfft(x).imag),
    "there and back": lambda x: jnp.fft.irfft(jnp.fft.rfft(x), n=6),
    "a longer transform": lambda x: jnp.fft.rfft(x, n=10).real,
    "a shorter one back": lambda x: jnp.fft.irfft(jnp.fft.rfft(x), n=4),
    "a masked spectrum": lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * jax.nn.sigmoid(x[..., :4])),
    "products and sums": lambda x: ((z := jnp.fft.rfft(x)) * z + z.conj() - 2 * z).imag,
    "moved about": lambda x: jnp.concatenate([z := jnp.fft.rfft(x), z[:, ::2]], axis=1).transpose(0, 2, 1).real,
    "chosen": lambda x: jnp.where(x[..., :4] > 0, jnp.fft.rfft(x), 0).imag,
    "made of two": lambda x: lax.complex(x, 2 * x).imag,
    "phase turned by a known one": lambda x: (jnp.fft.rfft(x) * jnp.exp(1j * jnp.arange(4))).real,
}


def cases(functions):
    return pytest.mark.parametrize("function", functions.values(), ids=functions)


@cases(ARITHMETIC | MOVES | PRODUCTS)
def test_a_function_of_frames_gives_what_jax_gives(function):
    agree(function, X)


@cases(COMPLEX)
def test_complex_numbers_are_pairs_of_reals(function):
    agree(function, X, atol=1e-5)


def test_logarithms_and_roots():
    agree(lambda x: jnp.log(x) + jnp.log1p(x) + jnp.log10(x) + jnp.sqrt(x) + 1 / x + x**0.3 + x**-1, POSITIVE)


def test_whole_numbers():
    agree(lambda n: (n // 3, n % 5, lax.rem(n, jnp.int32(4)), jnp.minimum(n + 1, 9), n.astype(jnp.float32) / 2), COUNTS)


def test_rows_of_a_table():
    table = jnp.asarray(W)
    agree(lambda n: jnp.take(table, n, axis=0), np.array([0, 5, 3], np.int32))
    agree(lambda n: table[n[:, 0]], np.array([4], np.int32))


def test_truths_are_chosen_compared_and_counted():
    agree(lambda x: (jnp.where(x > 0, x > 1, x < -1), jnp.where(x[:, :, :1] > 0, False, x > 1)), X)
    agree(lambda x: ((x > 0) < (x > 1), jnp.maximum(x > 0, x < -1), jnp.argmax(x > 1, axis=2)), X)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "uint32"])
def test_whole_numbers_of_any_size_are_those_of_jax(kind):
    def function(n):
        n = n.astype(kind)
        few = (jnp.maximum(n, 2), jnp.where(n > 3, n, 1), -n, n // 3, n.max(1), n.sum(2, dtype=kind), n.cumsum(1, kind))
        return (jnp.argmax(n, axis=1), *(found.astype(jnp.int32) for found in few))

    agree(function, 9 * COUNTS)


@pytest.mark.parametrize("mode", ["clip", "fill", None])
def test_a_row_past_the_end_of_a_table_is_the_one_that_jax_gives(mode):
    beyond = np.array([0, 5, 6, -1, -9, 100], np.int32)
    agree(lambda n: jnp.take(jnp.asarray(W), n, axis=0, mode=mode), beyond)
    agree(lambda n: jnp.asarray(W).astype(jnp.int32).at[n].get(mode=mode), beyond)
    agree(lambda n: jnp.asarray(W.T).at[:, n].get(mode=mode), beyond)


def test_ids_past_either_end_count_as_an_embedding_says():
    embedding = Embedding(6, 3, rngs=nnx.Rngs(0))
    agree(embedding, np.array([[0, 5], [-1, 3], [9, -100]], np.int32))


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 3)], ids=str)
def test_convolutions(stride, dilation, groups):
    kernel = np.random.default_rng(2).normal(size=(2, 6 // groups, 9)).astype(np.float32)

    def convolve(x):
        numbers = lax.conv_dimension_numbers(x.shape, kernel.shape, ("NHC", "HIO", "NHC"))
        window = {"rhs_dilation": (dilation,), "feature_group_count": groups}
        return lax.conv_general_dilated(
            x, jnp.asarray(kernel), (stride,), [(1, 0)], dimension_numbers=numbers, **window
        )

    agree(convolve, X)


@pytest.mark.parametrize("points", [2, 7, 12, 30, 400])
def test_a_transform_in_two_steps_is_that_in_one(points):
    first, second = factors(points)
    n1, n2, k2 = factors(points).sizes
    x = np.random.default_rng(0).normal(size=points).astype(np.float32)
    steps = (first @ x.reshape(n1, n2)).reshape(n1, 1, 2 * n2) @ second
    real, imag = (steps.reshape(n1, 2, k2)[:, part].T.ravel()[: points // 2 + 1] for part in (0, 1))
    np.testing.assert_allclose(real + 1j * imag, np.fft.rfft(x), atol=2e-5)


def test_a_spectrum_s_matrices_are_a_small_part_of_the_whole_one():
    assert sum(matrix.size for matrix in factors(400)) < 400 * 402 / 8


def test_equal_parts_are_made_once_and_what_nothing_needs_is_left_out():
    session = exported(lambda x: (jnp.exp(x) + jnp.exp(x), jnp.sin(x))[0], X)
    assert [output.name for output in session.get_outputs()] == ["y0"]
    closed, graph = jax.make_jaxpr(lambda x: jnp.exp(x) * jnp.exp(x))(X), Graph()
    (value,) = emit(graph, closed, [graph.input("x", X.shape, X.dtype)])
    assert [node.op_type for node in graph.finish("test", [("y", value)]).node] == ["Exp", "Mul"]
