"""The layers for streams that are not sound, beyond the laws: what their formulas say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import aligned
from streamrnn.layers import (
    MADE,
    Dense,
    Dilated,
    EmbeddingBag,
    PerFeature,
    Recurrent,
    RunningMax,
    RunningMean,
    Window,
    run_recurrences,
)


def frames(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("time", [2, 6, 8])
def test_a_dilated_cell_runs_each_phase_by_itself(time):
    cell, x = GRU(3, 4, rngs=nnx.Rngs(0)), frames(2, time, 3)
    y = aligned(Dilated(cell, 3), x)
    for phase in range(min(3, time)):
        np.testing.assert_allclose(y[:, phase::3], aligned(Recurrent(cell), x[:, phase::3]), atol=1e-6)


def test_a_dilation_of_one_is_recurrent_and_none_is_refused():
    cell, x = GRU(3, 4, rngs=nnx.Rngs(0)), frames(2, 5, 3)
    np.testing.assert_allclose(aligned(Dilated(cell, 1), x), aligned(Recurrent(cell), x), atol=1e-6)
    with pytest.raises(ValueError, match="dilation=0; it must be 1 or more"):
        Dilated(cell, 0)


def test_the_backend_of_a_dilated_cell_can_be_chosen():
    layer = Dilated(GRU(3, 4, rngs=nnx.Rngs(0)), 2)
    run_recurrences(layer, "scan", 5)
    assert (layer.recurrent.chosen_backend, layer.recurrent.remat_frames) == ("scan", 5)


def test_running_statistics_are_those_of_all_frames_so_far():
    x = frames(2, 9, 3)
    np.testing.assert_allclose(aligned(RunningMax(3), x), np.maximum.accumulate(x, axis=1))
    expected = np.cumsum(x, axis=1) / np.arange(1, 10)[:, None]
    np.testing.assert_allclose(aligned(RunningMean(3), x), expected, atol=1e-6)


def test_a_running_mean_keeps_its_digits_over_a_million_frames():
    layer = RunningMean(1)
    state = jnp.full((1, 1), 1000.0), jnp.full(1, 10**6, jnp.int32)
    state, _ = layer.scan(state, jnp.full((1, 10**4, 1), 1000.0))
    assert float(state[0][0, 0]) == pytest.approx(1000.0, abs=1e-2) and int(state[1][0]) == 1_010_000


def test_a_window_has_the_last_frames_and_zeros_before_the_stream():
    y = aligned(Window(3, 2), jnp.arange(1.0, 9).reshape(1, 4, 2))
    np.testing.assert_array_equal(y[0, 0], [0, 0, 0, 0, 1, 2])
    np.testing.assert_array_equal(y[0, 3], [3, 4, 5, 6, 7, 8])
    with pytest.raises(ValueError, match="frames=0; it must be 1 or more"):
        Window(0, 2)


def test_each_feature_is_heard_alone_by_the_same_layer():
    layer, x = Dense(1, 2, rngs=nnx.Rngs(0)), frames(2, 4, 3)
    y = aligned(PerFeature(layer, 3), x).reshape(2, 4, 3, 2)
    for feature in range(3):
        np.testing.assert_allclose(y[:, :, feature], layer(x[..., feature : feature + 1]), atol=1e-6)


def test_a_bag_is_the_mean_of_the_ids_that_there_are():
    layer = EmbeddingBag(5, 3, rngs=nnx.Rngs(0))
    y, vectors = layer(jnp.array([[[2, 4, 0], [0, 0, 0], [3, 0, 99]]])), np.asarray(layer.vectors[...])
    np.testing.assert_allclose(y[0, 0], (vectors[2] + vectors[4]) / 2, atol=1e-6)
    np.testing.assert_array_equal(y[0, 1], np.zeros(3))
    np.testing.assert_allclose(y[0, 2], (vectors[3] + vectors[4]) / 2, atol=1e-6)


def test_each_logit_of_a_made_depends_on_the_context_and_the_values_before_it():
    made = MADE(3, 5, 16, rngs=nnx.Rngs(0))
    made.direct[...] = jnp.ones((5, 5))
    slopes = np.asarray(jax.jacobian(made.logits)(jax.random.normal(jax.random.key(0), (8,))))
    assert (slopes[:, :3] != 0).all()
    np.testing.assert_array_equal(slopes[:, 3:] != 0, np.tril(np.ones((5, 5), bool), -1))


def test_the_probabilities_of_a_made_sum_to_one_and_are_drawn_by():
    made, context = MADE(2, 3, 12, rngs=nnx.Rngs(1)), jnp.array([0.5, -1.0])
    every = jnp.array([[n >> 2 & 1, n >> 1 & 1, n & 1] for n in range(8)], jnp.float32)
    likely = np.exp(made.log_probability(jnp.broadcast_to(context, (8, 2)), every))
    assert likely.sum() == pytest.approx(1, abs=1e-5)
    drawn = made.draw(jnp.broadcast_to(context, (4000, 2)), jax.random.uniform(jax.random.key(2), (4000, 3)), 1.0)
    shares = np.bincount(np.asarray(drawn @ jnp.array([4, 2, 1])).astype(int), minlength=8) / 4000
    np.testing.assert_allclose(shares, likely, atol=0.03)
