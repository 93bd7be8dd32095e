"""How much of the original stays."""

import pytest

from streamrnn.decisions.attenuation import SoundSettings


def test_the_share_that_stays_is_the_attenuation_in_decibels():
    assert SoundSettings(20).original_share == pytest.approx(0.1)
    assert SoundSettings(0).original_share == 1
    assert SoundSettings(float("inf")).original_share == 0


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_noise_cannot_be_made_louder(wrong):
    with pytest.raises(ValueError, match="0 or above"):
        SoundSettings(wrong)
