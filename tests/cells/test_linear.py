"""The linear cells' equations, written out a second time in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import RGLRU, MinGRU, MinLSTM

IN, HIDDEN = 3, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def positive(x):
    return np.where(x >= 0, x + 0.5, sigmoid(x))


def min_gru(cell, h, z, v):
    z = sigmoid(z)
    return (1 - z) * h + z * positive(v)


def min_lstm(cell, h, f, i, v):
    f, i = sigmoid(f), sigmoid(i)
    return f / (f + i) * h + i / (f + i) * positive(v)


def rg_lru(cell, h, r, i, v):
    a = np.exp(-8 * np.log1p(np.exp(np.asarray(cell.decay[...], np.float64))) * sigmoid(r))
    return a * h + np.sqrt(1 - a**2) * sigmoid(i) * v


@pytest.mark.parametrize(("make", "equation"), [(MinGRU, min_gru), (MinLSTM, min_lstm), (RGLRU, rg_lru)])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_step_is_the_equation(make, equation, scale):
    cell, rng = make(IN, HIDDEN, rngs=nnx.Rngs(0)), np.random.default_rng(1)
    x, h = (rng.standard_normal((2, n)).astype(np.float32) for n in (IN, HIDDEN))
    kernel, bias = np.asarray(cell.input.kernel[...]), np.asarray(cell.input.bias[...])
    projections = np.split(scale * x @ kernel + bias, cell.gates, axis=-1)
    state, y = cell.advance(jnp.asarray(h), cell.project(jnp.asarray(scale * x)))
    np.testing.assert_allclose(state, equation(cell, h, *projections), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(y, state)


def test_the_decay_of_rg_lru_starts_between_nine_tenths_and_one():
    cell = RGLRU(IN, 1000, rngs=nnx.Rngs(0))
    a, _ = cell.coefficients(jnp.full((1, 3000), 50.0))
    assert 0.9 <= float(a.min()) < 0.91 and 0.998 < float(a.max()) <= 0.9991


@pytest.mark.parametrize("make", [MinGRU, MinLSTM, RGLRU])
def test_states_stay_in_bounds_for_loud_inputs(make):
    cell = make(IN, HIDDEN, rngs=nnx.Rngs(0))
    a, b = cell.coefficients(jnp.asarray([[-1e4] * cell.gates * HIDDEN, [1e4] * cell.gates * HIDDEN]))
    assert np.isfinite(a).all() and np.isfinite(b).all() and (a >= 0).all() and (a <= 1).all()
