"""Frame losses against their formulas in plain NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import frame_binary_cross_entropy, frame_cross_entropy
from streamrnn.losses.frames import highest

binary_and_gradient = jax.jit(jax.value_and_grad(lambda *frames: frame_binary_cross_entropy(*frames).value))
categorical_and_gradient = jax.jit(jax.value_and_grad(lambda *frames: frame_cross_entropy(*frames).value))


def binary(*frames) -> float:
    return float(binary_and_gradient(*frames)[0])


def binary_gradient(*frames) -> np.ndarray:
    return np.asarray(binary_and_gradient(*frames)[1])


def categorical(*frames) -> float:
    return float(categorical_and_gradient(*frames)[0])


def categorical_gradient(*frames) -> np.ndarray:
    return np.asarray(categorical_and_gradient(*frames)[1])


@pytest.fixture
def frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, targets and weights of 3 recordings of 50 frames."""
    rng = np.random.default_rng(0)
    shape = (3, 50)
    drawn = 3 * rng.standard_normal(shape), rng.uniform(size=shape), rng.uniform(0, 2, shape)
    return drawn[0].astype(np.float32), drawn[1].astype(np.float32), drawn[2].astype(np.float32)


@pytest.fixture
def labelled_frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of 5 classes, labels and weights of 3 recordings of 50 frames."""
    rng = np.random.default_rng(1)
    logits, weights = 3 * rng.standard_normal((3, 50, 5)), rng.uniform(0, 2, (3, 50))
    return logits.astype(np.float32), rng.integers(0, 5, (3, 50), np.int32), weights.astype(np.float32)


def binary_cross_entropy(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return np.average(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)), weights=weights)


def cross_entropy(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, smoothing: float = 0.0) -> float:
    p = np.exp(logits.astype(np.float64))
    log_p = np.log(p / p.sum(-1, keepdims=True))
    hit = np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    return np.average(-(1 - smoothing) * hit - smoothing * log_p.mean(-1), weights=weights)


def test_binary_cross_entropy_is_its_formula_weighted(frames):
    assert binary(*frames) == pytest.approx(binary_cross_entropy(*frames), rel=1e-5)


def test_small_weights_weigh_as_large_ones_do(frames):
    logits, targets, weights = frames
    assert binary(logits, targets, weights * np.float32(1e-4)) == pytest.approx(binary(*frames), rel=1e-5)


def test_frames_of_weight_zero_count_neither_in_the_loss_nor_in_its_gradient(frames):
    logits, targets, weights = frames
    weights[:, 20:] = 0
    assert binary(logits, targets, weights) == pytest.approx(
        binary_cross_entropy(logits[:, :20], targets[:, :20], weights[:, :20]), rel=1e-5
    )
    gradient = binary_gradient(logits, targets, weights)
    assert np.all(gradient[:, 20:] == 0) and np.any(gradient[:, :20] != 0)


def test_nan_in_frames_of_weight_zero_reaches_neither_the_binary_loss_nor_its_gradient(frames):
    logits, targets, weights = frames
    weights[:, 20:] = 0
    clean = binary(logits, targets, weights), binary_gradient(logits, targets, weights)
    logits[:, 20:] = targets[:, 20:] = np.nan
    assert binary(logits, targets, weights) == clean[0]
    np.testing.assert_array_equal(binary_gradient(logits, targets, weights), clean[1])


def test_without_any_frame_that_counts_the_binary_loss_is_zero(frames):
    logits, targets, weights = frames
    assert binary(logits, targets, np.zeros_like(weights)) == 0


def test_sure_and_wrong_costs_the_logit_and_sure_and_right_nothing():
    logits, ones = np.float32([[1000, -1000]]), np.ones((1, 2), np.float32)
    assert binary(logits, np.float32([[1, 0]]), ones) == 0
    assert binary(logits, np.float32([[0, 1]]), ones) == 1000


def test_smoothed_binary_targets_lie_closer_to_a_half(frames):
    logits, targets, weights = frames
    expected = binary_cross_entropy(logits, 0.9 * targets + 0.05, weights)
    assert jax.jit(partial(frame_binary_cross_entropy, label_smoothing=0.1))(*frames).value == pytest.approx(
        expected, rel=1e-5
    )


def test_cross_entropy_is_its_formula_weighted(labelled_frames):
    assert categorical(*labelled_frames) == pytest.approx(cross_entropy(*labelled_frames), rel=1e-5)


def test_label_smoothing_shares_the_label_among_all_classes(labelled_frames):
    smoothed = jax.jit(partial(frame_cross_entropy, label_smoothing=0.1))(*labelled_frames).value
    assert smoothed == pytest.approx(cross_entropy(*labelled_frames, smoothing=0.1), rel=1e-5)


def test_nothing_in_frames_of_weight_zero_reaches_the_cross_entropy(labelled_frames):
    logits, labels, weights = labelled_frames
    weights[:, 20:] = 0
    clean = categorical(logits, labels, weights), categorical_gradient(logits, labels, weights)
    assert clean[0] == pytest.approx(cross_entropy(logits[:, :20], labels[:, :20], weights[:, :20]), rel=1e-5)
    logits[:, 20:], labels[:, 20:] = np.nan, -1
    assert categorical(logits, labels, weights) == clean[0]
    np.testing.assert_array_equal(categorical_gradient(logits, labels, weights), clean[1])


def test_without_any_frame_that_counts_the_cross_entropy_is_zero(labelled_frames):
    logits, labels, weights = labelled_frames
    assert categorical(logits, labels, np.zeros_like(weights)) == 0


def test_extreme_logits_cost_their_difference_and_have_finite_gradients(labelled_frames):
    logits, labels, weights = labelled_frames
    logits[:] = 0
    np.put_along_axis(logits, labels[..., None], -1e6, axis=-1)
    assert categorical(logits, labels, weights) == pytest.approx(1e6, rel=1e-5)
    assert np.all(np.isfinite(categorical_gradient(logits, labels, weights)))


def test_bfloat16_logits_are_summed_in_float32(labelled_frames, frames):
    logits, labels, weights = labelled_frames
    rough = jnp.asarray(logits, jnp.bfloat16)
    assert categorical(rough, labels, weights) == categorical(np.asarray(rough, np.float32), labels, weights)
    logits, targets, weights = frames
    rough = jnp.asarray(logits, jnp.bfloat16)
    assert binary(rough, targets, weights) == binary(np.asarray(rough, np.float32), targets, weights)


def test_the_gradient_of_the_highest_number_goes_to_it():
    x = jnp.array([[1.0, 3.0, 3.0], [-jnp.inf, -2.0, -5.0]])
    for axis, expected in ((1, [[0, 1, 0], [0, 1, 0]]), (0, [[1, 1, 1], [0, 0, 0]])):
        np.testing.assert_array_equal(highest(x, axis), x.max(axis=axis))
        np.testing.assert_array_equal(jax.grad(lambda x, axis=axis: highest(x, axis).sum())(x), expected)
