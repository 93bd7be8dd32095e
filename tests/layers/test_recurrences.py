"""However a recurrence runs, its outputs, its last state and its gradients are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import GRU, RGLRU, MinGRU, MinLSTM
from streamrnn.layers import Recurrent
from streamrnn.layers.recurrences import PIECE_FRAMES, associative_scan, linear_scan, plain_scan

IN, HIDDEN, BATCH = 3, 4, 2
LINEAR = [MinGRU, MinLSTM, RGLRU]


def heard_and_gradients(run, cell, start, x):
    """(final state, outputs), and the gradients by weights, start and inputs of a scalar of them."""
    graph, weights = nnx.split(cell)

    @jax.jit
    def loss(weights, start, x):
        cell = nnx.merge(graph, weights)
        state, y = run(cell, start, cell.project(x))
        return jnp.sin(3 * y).sum() + (state**2).sum(), (state, y)

    gradients, heard = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(weights, start, x)
    return heard, gradients


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("frames", [1, 7, 2 * PIECE_FRAMES + 3])
@pytest.mark.parametrize("run", [linear_scan, associative_scan])
def test_each_way_gives_the_same_numbers_and_gradients(make, frames, run):
    rng = np.random.default_rng(frames)
    x, start = rng.standard_normal((frames, BATCH, IN), np.float32), rng.standard_normal((BATCH, HIDDEN), np.float32)
    cell = make(IN, HIDDEN, rngs=nnx.Rngs(0))
    expected = heard_and_gradients(plain_scan, cell, jnp.asarray(start), jnp.asarray(x))
    found = heard_and_gradients(run, cell, jnp.asarray(start), jnp.asarray(x))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(jnp.abs(other).max()) + 1e-7)


def test_no_frames_leave_the_state_as_it_is():
    cell, start = MinGRU(IN, HIDDEN, rngs=nnx.Rngs(0)), jnp.ones((BATCH, HIDDEN))
    for run in (linear_scan, associative_scan):
        state, y = run(cell, start, cell.project(jnp.zeros((0, BATCH, IN))))
        assert y.shape == (0, BATCH, HIDDEN)
        np.testing.assert_array_equal(state, start)


@pytest.mark.parametrize("make", LINEAR)
def test_a_row_with_nan_harms_no_other(make):
    layer = Recurrent(make(IN, HIDDEN, rngs=nnx.Rngs(0)), "associative")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((BATCH, 9, IN)), jnp.float32)
    _, clean = layer.scan(layer.init_state(BATCH), x)
    _, y = layer.scan(layer.init_state(BATCH), x.at[0, 4].set(jnp.nan))
    np.testing.assert_array_equal(y[1], clean[1])
    assert not jnp.isfinite(y[0, 4:]).any() and jnp.isfinite(y[0, :4]).all()


@pytest.mark.parametrize(
    ("make", "backend", "known"),
    [(GRU, "associative", "auto, scan"), (MinGRU, "cudnn", "auto, scan, associative")],
)
def test_a_backend_that_cannot_run_a_cell_names_those_that_can(make, backend, known):
    cell = make(IN, HIDDEN, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=rf"{backend!r}; a {make.__name__} runs with {known}\."):
        Recurrent(cell, backend)


def test_auto_says_what_it_chose():
    assert Recurrent(MinGRU(IN, HIDDEN, rngs=nnx.Rngs(0))).chosen_backend == "scan"
    assert Recurrent(MinGRU(IN, HIDDEN, rngs=nnx.Rngs(0)), "associative").chosen_backend == "associative"
