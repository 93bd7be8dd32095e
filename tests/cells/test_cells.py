"""How cells start, and what they keep. tests/test_golden.py holds their equations to PyTorch's."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import GRU, LSTM, Elman

IN, HIDDEN, PROJECTION, BATCH, TIME = 3, 6, 4, 2, 12


def elman(**settings):
    return Elman(IN, HIDDEN, rngs=nnx.Rngs(0), **settings)


def gru(**settings):
    return GRU(IN, HIDDEN, rngs=nnx.Rngs(0), **settings)


def lstm(**settings):
    return LSTM(IN, HIDDEN, rngs=nnx.Rngs(0), **settings)


def projected_lstm(**settings):
    return lstm(projection=PROJECTION, **settings)


CELLS = [elman, gru, lstm, projected_lstm]


def frames():
    return jnp.asarray(np.random.default_rng(0).standard_normal((TIME, BATCH, IN)), jnp.float32)


@cache
def heard(make, dtype=jnp.float32):
    """A cell, its final state and its outputs y[time, batch, out] after a few frames."""
    cell = make(dtype=dtype)
    return cell, *jax.lax.scan(cell.advance, cell.init_state(BATCH), cell.project(frames()))


@pytest.mark.parametrize(
    ("make", "state", "projected", "out"),
    [
        (elman, (BATCH, HIDDEN), HIDDEN, HIDDEN),
        (gru, (BATCH, HIDDEN), 3 * HIDDEN, HIDDEN),
        (lstm, ((BATCH, HIDDEN), (BATCH, HIDDEN)), 4 * HIDDEN, HIDDEN),
        (projected_lstm, ((BATCH, HIDDEN), (BATCH, PROJECTION)), 4 * HIDDEN, PROJECTION),
    ],
)
def test_states_projections_and_outputs_have_the_declared_shapes(make, state, projected, out):
    cell, final, y = heard(make)
    assert jax.tree.map(jnp.shape, cell.init_state(BATCH)) == jax.tree.map(jnp.shape, final) == state
    assert cell.project(frames()).shape == (TIME, BATCH, projected)
    assert y.shape == (TIME, BATCH, out)
    assert (cell.in_features, cell.out_features) == (IN, out)


@pytest.mark.parametrize("make", CELLS)
def test_a_fresh_stream_has_heard_nothing(make):
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(make().init_state(BATCH)))


@pytest.mark.parametrize("projection", [-1, 0, HIDDEN, HIDDEN + 1])
def test_an_lstm_projects_to_fewer_numbers_than_its_memory_has(projection):
    with pytest.raises(ValueError, match=rf"projection={projection} with hidden=6; pass 1 to 5, or None"):
        lstm(projection=projection)


@pytest.mark.parametrize("projection", [1, HIDDEN - 1])
def test_an_lstm_may_project_to_any_fewer_numbers(projection):
    assert nnx.eval_shape(lambda: lstm(projection=projection)).out_features == projection


@pytest.mark.parametrize("make", CELLS)
def test_bfloat16_compute_keeps_parameters_and_state_in_float32(make):
    cell, state, y = heard(make, jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves((state, nnx.state(cell)))} == {jnp.dtype(jnp.float32)}
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("make", CELLS)
def test_bfloat16_compute_gives_nearly_the_same_outputs(make):
    """bfloat16 has 8 bits of precision: one rounding is 0.4 % of a value, and values here are below 1."""
    (*_, exact), (*_, rounded) = heard(make), heard(make, jnp.bfloat16)
    assert 0 < np.abs(np.asarray(exact) - np.asarray(rounded, np.float32)).max() < 0.03


@pytest.mark.parametrize("make", [lstm, projected_lstm])
def test_an_lstm_starts_with_forget_gates_open_and_all_other_biases_zero(make):
    cell = make()
    i, f, g, o = np.split(np.asarray(cell.input.bias[...]), 4)
    np.testing.assert_array_equal(f, 1.0)
    np.testing.assert_array_equal([i, g, o], 0.0)
    np.testing.assert_array_equal(cell.recurrent.bias[...], 0.0)


@pytest.mark.parametrize(("make", "gates"), [(elman, 1), (gru, 3), (lstm, 4)])
def test_the_recurrent_matrix_of_each_gate_starts_orthogonal_and_unlike_the_others(make, gates):
    matrices = np.split(np.asarray(make().recurrent.kernel[...]), gates, axis=1)
    for matrix in matrices:
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(HIDDEN), atol=1e-5)
    assert len(np.unique(np.stack(matrices), axis=0)) == gates
