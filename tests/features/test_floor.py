"""The floor of a band falls fast, rises slowly, and stays where it is in digital silence."""

import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.contract import aligned
from streamrnn.features import AboveFloor

LAYER = AboveFloor(2, fall_frames=5, rise_frames=100, start_db=-50, silence_db=-79)


def above(*levels_db: float, frames: int = 50) -> np.ndarray:
    """Height above the floor of both bands, which have one level after the other for so many frames each."""
    x = np.repeat(np.array(levels_db, np.float32), frames)[None, :, None] * np.ones(2, np.float32)
    y = np.asarray(aligned(LAYER, jnp.asarray(x)))
    np.testing.assert_array_equal(y[..., :2], x)
    return y[0, :, 2]


def test_a_noise_that_begins_stands_above_the_floor_for_long():
    height = above(-50, -30)
    assert height[49] == 0 and height[50] == 20
    np.testing.assert_allclose(height[99], 20 * np.exp(-49 / 100), rtol=1e-4)


def test_the_floor_follows_a_noise_that_ends():
    height = above(-50, -70)
    assert height[50] == -20 and abs(height[99]) < 0.01


def test_the_floor_waits_in_digital_silence():
    height = above(-60, -80, -60)
    np.testing.assert_allclose(height[100], height[49], atol=1e-4)
    assert above(-60, -75, -60)[100] > 10


@pytest.mark.parametrize("wrong", [{"fall_frames": 0.0}, {"rise_frames": -1.0}])
def test_time_constants_must_be_positive(wrong):
    with pytest.raises(ValueError, match="a time constant is above 0"):
        AboveFloor(**{"bands": 2, "fall_frames": 5.0, "rise_frames": 5.0, "start_db": -50, "silence_db": -79} | wrong)
