"""The max-pooling losses against their formulas in plain NumPy, and what may and may not reach them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import max_pooling_loss, spotting_loss

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


@pytest.fixture
def running() -> dict[str, np.ndarray]:
    """2 rows of 14 frames and 5 classes: words in frames 2 to 5 and 7 to 9 of the first, none in the second."""
    rng = np.random.default_rng(0)
    places = np.zeros((2, 3, 14), bool)
    places[0, 0, 2:6] = places[0, 1, 7:10] = True
    weights = np.ones((2, 14), np.float32)
    weights[0, 2:10], weights[1, :5] = 0, 0.5
    quiet = np.zeros((2, 14), bool)
    quiet[1, 8:] = True
    logits = (2 * rng.standard_normal((2, 14, 5))).astype(np.float32)
    return {"logits": logits, "labels": np.int32([[3, 1, 0], [0, 0, 0]]), "places": places} | {
        "weights": weights,
        "quiet": quiet,
    }


def spotting(rows: dict[str, np.ndarray], **settings) -> float:
    given = {name: jnp.asarray(array) for name, array in rows.items()}
    return float(spotting_loss(**given, smoothing_frames=SMOOTHING_FRAMES, **settings).value)


def test_the_loss_of_running_sound_is_that_of_each_word_in_its_place_and_of_what_is_none(running):
    p, n = posteriors(running["logits"]), SMOOTHING_FRAMES
    smoothed = np.stack([[row[max(0, t - n + 1) : t + 1].sum(0) / n for t in range(14)] for row in p])
    first, second = smoothed[0, 2:6].max(0)[1:], smoothed[0, 7:10].max(0)[1:]
    said = -0.7 * np.log(first[2] / first.sum()) - 0.3 * np.log(first[2]), -np.log(second[0] / second.sum())
    alarm = -np.log(p[..., 0] + p[..., 1]) * running["weights"]
    mean = np.where(running["quiet"], -np.log(p[..., 0]), alarm).mean(1)
    none = mean + 0.5 * np.sort(alarm, axis=1)[:, -5:].mean(1)
    expected = np.mean(said) + np.mean(none)
    assert spotting(running, detection_share=0.3, hardness=0.5) == pytest.approx(expected, rel=1e-5)


def test_rows_in_which_no_word_is_said_have_the_loss_of_their_alarms_alone(running):
    running["places"][:] = False
    silent = np.full((2, 14, 5), -30, np.float32)
    silent[..., 0] = 30
    assert spotting(running) > 0.5
    assert spotting(running | {"logits": silent}) == pytest.approx(0, abs=1e-6)


def test_a_word_outside_of_its_place_does_not_count_and_is_an_alarm(running):
    early = running["logits"].copy()
    early[0, 0] = [-9, -9, -9, 9, -9]
    assert spotting(running | {"logits": early}) > spotting(running)
