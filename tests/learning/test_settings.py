"""Settings that make no sense are refused, and the optimiser does what the others say."""

import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.learning import TrainingSettings
from streamrnn.learning.optimizer import make_optimizer, make_schedule


@pytest.mark.parametrize("name", ["steps", "learning_rate", "clip_norm", "accumulate", "validate_every", "log_every"])
def test_settings_that_must_be_positive_say_so(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be above 0"):
        TrainingSettings(**{name: 0})


@pytest.mark.parametrize("name", ["warmup_steps", "weight_decay", "patience"])
def test_settings_that_must_not_be_negative_say_so(name):
    with pytest.raises(ValueError, match=f"{name} is -1; it must be 0 or above"):
        TrainingSettings(**{name: -1})


def test_a_seed_that_stands_for_a_smaller_one_is_refused():
    with pytest.raises(ValueError, match=r"seed is 4294967296; it must be below 4,294,967,296"):
        TrainingSettings(seed=2**32)


def test_a_learning_rate_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="learning_rate is nan"):
        TrainingSettings(learning_rate=float("nan"))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_an_average_that_never_moves_is_refused(decay):
    with pytest.raises(ValueError, match=f"ema_decay is {decay}; it must be 0 or above and below 1"):
        TrainingSettings(ema_decay=decay)


def updates_of(gradients: list[float], **settings) -> list[float]:
    """How far each gradient moves one weight that stays at 0."""
    optimizer = make_optimizer(TrainingSettings(**settings))
    weight = jnp.float32(0)
    state, moved = optimizer.init(weight), []
    for gradient in gradients:
        update, state = optimizer.update(jnp.float32(gradient), state, weight)
        moved.append(float(update))
    return moved


def rates_of(steps: int, warmup_steps: int, **settings) -> list[float]:
    schedule = make_schedule(TrainingSettings(steps=steps, learning_rate=0.1, warmup_steps=warmup_steps, **settings))
    return [float(schedule(step)) for step in range(steps + 1)]


def test_the_learning_rate_rises_from_zero_to_its_peak_and_falls_to_a_hundredth_along_a_cosine():
    expected = [0, 0.05, 0.1] + [0.001 + 0.099 * (1 + np.cos(np.pi * part / 4)) / 2 for part in (1, 2, 3, 4)]
    np.testing.assert_allclose(rates_of(6, 2), expected, rtol=1e-5, atol=1e-9)


def test_the_learning_rate_falls_along_a_line_or_stays():
    np.testing.assert_allclose(rates_of(4, 2, schedule="linear"), [0, 0.05, 0.1, 0.0505, 0.001], rtol=1e-5)
    np.testing.assert_allclose(rates_of(4, 2, schedule="constant"), [0, 0.05, 0.1, 0.1, 0.1], rtol=1e-5)


def test_a_warm_up_longer_than_the_training_ends_in_its_middle():
    assert np.argmax(rates_of(4, 50)) == 2


def test_updates_are_as_long_as_the_learning_rate():
    # Adam's are, on a constant gradient.
    moved = updates_of([1.0] * 5, steps=4, learning_rate=0.1, warmup_steps=2)
    np.testing.assert_allclose(np.negative(moved), rates_of(4, 2), rtol=1e-4, atol=1e-9)


def test_long_gradients_are_cut_to_the_given_length():
    settings = {"steps": 4, "warmup_steps": 0, "clip_norm": 2.0}
    assert updates_of([1.0, 500.0, 1.0], **settings) == updates_of([1.0, 2.0, 1.0], **settings)
    assert updates_of([1.0, 1.9, 1.0], **settings) != updates_of([1.0, 2.0, 1.0], **settings)
