"""The max-pooling loss against its formula in plain NumPy, and what may and may not reach it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import max_pooling_loss

SMOOTHING_FRAMES = 3

loss_and_gradient = jax.jit(jax.value_and_grad(lambda *clips: max_pooling_loss(*clips).value), static_argnums=3)


def loss(*clips) -> float:
    return float(loss_and_gradient(*clips)[0])


def gradient(*clips) -> np.ndarray:
    return np.asarray(loss_and_gradient(*clips)[1])


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """4 clips of 12 frames and 4 classes, one of them silence; the words may be detected in frames 3 to 9."""
    rng = np.random.default_rng(0)
    weights = np.zeros((4, 12), np.float32)
    weights[:, 3:10] = rng.uniform(0.5, 2, (4, 7))
    logits = (2 * rng.standard_normal((4, 12, 4))).astype(np.float32)
    return logits, np.int32([2, 0, 1, 3]), weights, SMOOTHING_FRAMES


def posteriors(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits.astype(np.float64))
    return p / p.sum(-1, keepdims=True)


def clip_loss(logits: np.ndarray, label: int, weights: np.ndarray, n: int, smoothing: float = 0.0) -> float:
    p = posteriors(logits)
    if label == 0:
        losses = -(1 - smoothing) * np.log(p[:, 0]) - smoothing * np.log(p).mean(-1)
        return np.average(losses, weights=weights)
    smoothed = np.array([p[max(0, t - n + 1) : t + 1].sum(0) / n for t in range(len(p))])
    best = smoothed[weights > 0].max(0)[1:]
    log_share = np.log(best / best.sum())
    return -(1 - smoothing) * log_share[label - 1] - smoothing * log_share.mean()


def mean_loss(logits, labels, weights, n, smoothing=0.0) -> float:
    return np.mean([clip_loss(*clip, n, smoothing) for clip in zip(logits, labels, weights, strict=True)])


def test_the_loss_is_that_of_the_best_smoothed_posteriors(clips):
    assert loss(*clips) == pytest.approx(mean_loss(*clips), rel=1e-5)


def test_label_smoothing_spreads_over_the_words_that_compete(clips):
    smoothed = jax.jit(partial(max_pooling_loss, label_smoothing=0.1), static_argnums=3)(*clips).value
    assert smoothed == pytest.approx(mean_loss(*clips, smoothing=0.1), rel=1e-5)


def test_the_gradient_equals_finite_differences(clips):
    logits, *rest = clips
    direction = np.random.default_rng(1).standard_normal(logits.shape)
    ahead, behind = (mean_loss(logits + step * direction, *rest) for step in (1e-5, -1e-5))
    assert np.sum(gradient(*clips) * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_a_lower_loss_is_a_higher_share_of_the_right_word(clips):
    logits, labels, *rest = clips
    better = logits - np.float32(0.1) * gradient(*clips)
    assert loss(better, labels, *rest) < loss(*clips)


def test_frames_after_the_last_weighted_one_never_matter(clips):
    logits, labels, weights, n = clips
    clean = loss(*clips), gradient(*clips)
    for left in (7.0, -1e9, np.nan):
        logits[:, 10:] = left
        assert loss(logits, labels, weights, n) == clean[0]
        np.testing.assert_array_equal(gradient(logits, labels, weights, n), clean[1])


def test_frames_before_the_word_are_smoothed_over_but_never_chosen(clips):
    logits, labels, weights, n = clips
    sure = np.float32([-20, 20, -20, -20])
    logits[2, 0] = sure
    untouched = loss(logits, labels, weights, n)
    assert untouched == loss(*clips), "frame 0 lies before every window that counts"
    logits[2, 2] = sure
    assert loss(logits, labels, weights, n) < untouched, "windows that end at frames 3 and 4 reach back to frame 2"


def test_padding_a_clip_changes_nothing(clips):
    logits, labels, weights, n = clips
    longer = np.pad(logits, ((0, 0), (0, 4), (0, 0))), labels, np.pad(weights, ((0, 0), (0, 4))), n
    assert loss(*longer) == pytest.approx(loss(*clips), rel=1e-6)


def test_a_clip_without_weighted_frames_is_left_out_of_the_mean(clips):
    logits, labels, weights, n = clips
    weights[0] = 0
    assert loss(*clips) == pytest.approx(mean_loss(logits[1:], labels[1:], weights[1:], n), rel=1e-5)
    assert np.all(gradient(*clips)[0] == 0)
    assert loss(logits, labels, np.zeros_like(weights), n) == 0


def test_a_word_that_the_model_rules_out_costs_the_logits_and_still_has_a_gradient():
    logits = np.zeros((1, 6, 3), np.float32)
    logits[..., 2] = -1000
    clip = logits, np.int32([2]), np.ones((1, 6), np.float32), SMOOTHING_FRAMES
    assert loss(*clip) == pytest.approx(1000, rel=1e-3)
    assert gradient(*clip)[..., 2].sum() == pytest.approx(-1, rel=1e-3)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("scale", [1e6, -1e6])
def test_extreme_logits_give_finite_losses_and_gradients(clips, label, scale):
    logits, labels, weights, n = clips
    clip = np.float32(scale) * logits, np.full_like(labels, label), weights, n
    assert np.isfinite(loss(*clip)) and np.all(np.isfinite(gradient(*clip)))


@pytest.mark.parametrize(
    ("classes", "smoothing_frames", "message"),
    [(2, 3, "got 2 classes.*class for unknown"), (4, 0, "got smoothing_frames 0")],
)
def test_what_cannot_compete_or_be_smoothed_is_refused(classes, smoothing_frames, message):
    clip = jnp.zeros((1, 5, classes)), jnp.ones(1, jnp.int32), jnp.ones((1, 5))
    with pytest.raises(ValueError, match=message):
        max_pooling_loss(*clip, smoothing_frames)
