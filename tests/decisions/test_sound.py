"""The figure of noise suppression."""

import math

import numpy as np
import pytest

from streamrnn.decisions import si_sdr_db


def noise(seed, samples=4000):
    return np.random.default_rng(seed).normal(size=samples)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 25.0])
def test_noise_that_has_nothing_of_the_sound_counts_by_its_energy(snr_db):
    clean, other = noise(1), noise(2)
    other -= clean * (other @ clean) / (clean @ clean)
    other *= 10 ** (-snr_db / 20) * np.linalg.norm(clean) / np.linalg.norm(other)
    assert si_sdr_db(clean + other, clean) == pytest.approx(snr_db, abs=1e-9)


def test_loudness_and_sign_do_not_matter():
    clean, estimate = noise(1), noise(1) + 0.1 * noise(2)
    expected = si_sdr_db(estimate, clean)
    for gain in (0.01, -3.0):
        assert si_sdr_db(gain * estimate, clean) == pytest.approx(expected, abs=1e-9)
        assert si_sdr_db(estimate, gain * clean) == pytest.approx(expected, abs=1e-9)


def test_an_offset_counts_as_distortion():
    clean = noise(1)
    assert si_sdr_db(clean + 1.0, clean) < 1.0


def test_the_clean_sound_itself_is_infinitely_good_and_silence_infinitely_bad():
    clean = noise(1).astype(np.float32)
    assert si_sdr_db(clean, clean) == math.inf
    assert si_sdr_db(np.zeros_like(clean), clean) == -math.inf


def test_a_silent_reference_is_refused():
    with pytest.raises(ValueError, match="silent clean recording"):
        si_sdr_db(noise(1), np.zeros(4000))


@pytest.mark.parametrize(("one", "other"), [((4,), (5,)), ((2, 4), (2, 4))])
def test_recordings_of_other_shapes_are_refused(one, other):
    with pytest.raises(ValueError, match="same shape"):
        si_sdr_db(np.ones(one), np.ones(other))
