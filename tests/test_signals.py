"""Signals: what frames are, how long they last, and what cannot be one."""

import json

import numpy as np
import pytest

from streamrnn.signals import Series, Sound, described, signal_from

SIGNALS = [Sound(16_000, 160), Series(3, 12.5, padding=-1.0), Series(1, 4.0, "int32", padding=7, ids=8)]


def test_frames_last_as_long_as_the_rate_says():
    assert Sound(8000, 80).duration_s(5) == 0.05
    assert Series(3, 12.5).duration_s(5) == 0.4


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_survives_its_description(signal):
    assert signal_from(described(signal)) == signal


@pytest.mark.parametrize("description", [{}, {"kind": "smell"}, {"kind": "sound"}, {"kind": "series", "hop": 1}])
def test_what_describes_no_signal_is_refused(description):
    with pytest.raises(ValueError, match="does not describe a signal"):
        signal_from(description)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sound(0, 160), "sample_rate=0"),
        (lambda: Sound(16_000, 0), "hop_samples=0"),
        (lambda: Sound(16_000.5, 160), "sample_rate=16000.5; it must be a whole number"),
        (lambda: Sound(16_000, float("nan")), "hop_samples=nan"),
        (lambda: Series(6.5, 10.0), "features=6.5; it must be a whole number"),
        (lambda: Series(1, 10.0, "int32", ids=2.5), "ids=2.5; it must be a whole number"),
        (lambda: Series(0, 10.0), "features=0"),
        (lambda: Series(1, 0.0), "frames_per_s=0"),
        (lambda: Series(1, 10.0, "float64"), "'float32', or 'int32' for ids"),
        (lambda: Series(1, 10.0, "int32", padding=0.5), "padding=0.5"),
        (lambda: Series(1, 10.0, padding=float("nan")), "padding=nan"),
        (lambda: Series(1, 10.0, padding=-1e39), "padding=-1e.39"),
        (lambda: Series(1, 10.0, "int32", padding=2**31), "padding=2147483648"),
        (lambda: Series(1, 10.0, "int32", padding=float("inf")), "padding=inf"),
        (lambda: Series(1, 10.0, ids=3), "ids must be int32"),
        (lambda: Series(1, 10.0, "int32", padding=3, ids=3), "the padding one of them"),
    ],
)
def test_what_can_be_no_signal_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: Sound("16000", 160), lambda: Series("6", 1.0), lambda: Series(6, None)])
def test_texts_are_no_numbers_of_a_signal(make):
    with pytest.raises(TypeError, match="it must be a number, such as"):
        make()


def test_whole_floats_and_the_numbers_of_numpy_become_plain_ones():
    made = Sound(np.float64(16_000), 160.0), Series(np.int64(1), np.float32(4), "int32", padding=np.int32(7), ids=8.0)
    assert made == (SIGNALS[0], SIGNALS[2])
    assert list(map(repr, made)) == [repr(SIGNALS[0]), repr(SIGNALS[2])]
    assert json.loads(json.dumps(described(made[1]))) == described(SIGNALS[2])
