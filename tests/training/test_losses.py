"""Losses against their formulas in plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.training.losses import frame_binary_cross_entropy


@pytest.fixture
def frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, targets and weights of 3 recordings of 50 frames."""
    rng = np.random.default_rng(0)
    shape = (3, 50)
    drawn = 3 * rng.standard_normal(shape), rng.uniform(size=shape), rng.uniform(0, 2, shape)
    return drawn[0].astype(np.float32), drawn[1].astype(np.float32), drawn[2].astype(np.float32)


def cross_entropy(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return np.average(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)), weights=weights)


def loss(*arrays: np.ndarray) -> float:
    return float(frame_binary_cross_entropy(*map(jnp.asarray, arrays)))


def test_binary_cross_entropy_is_its_formula_weighted(frames):
    assert loss(*frames) == pytest.approx(cross_entropy(*frames), rel=1e-5)


def test_small_weights_weigh_as_large_ones_do(frames):
    logits, targets, weights = frames
    assert loss(logits, targets, weights * np.float32(1e-4)) == pytest.approx(loss(*frames), rel=1e-5)


def test_frames_of_weight_zero_count_neither_in_the_loss_nor_in_its_gradient(frames):
    logits, targets, weights = frames
    weights[:, 20:] = 0
    assert loss(logits, targets, weights) == pytest.approx(
        cross_entropy(logits[:, :20], targets[:, :20], weights[:, :20]), rel=1e-5
    )
    gradient = jax.grad(frame_binary_cross_entropy)(*map(jnp.asarray, (logits, targets, weights)))
    assert np.all(gradient[:, 20:] == 0) and np.any(gradient[:, :20] != 0)


def test_without_any_frame_that_counts_the_loss_is_zero(frames):
    logits, targets, weights = frames
    assert loss(logits, targets, np.zeros_like(weights)) == 0


def test_sure_and_wrong_costs_the_logit_and_sure_and_right_nothing():
    logits, ones = np.float32([[1000, -1000]]), np.ones((1, 2), np.float32)
    assert loss(logits, np.float32([[1, 0]]), ones) == 0
    assert loss(logits, np.float32([[0, 1]]), ones) == 1000
