"""Signals: what frames are, how long they last, and what cannot be one."""

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
    with pytest.raises(ValueError, match="describes no signal"):
        signal_from(description)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sound(0, 160), "sample_rate=0"),
        (lambda: Sound(16_000, 0), "hop_samples=0"),
        (lambda: Series(0, 10.0), "features=0"),
        (lambda: Series(1, 0.0), "frames_per_s=0"),
        (lambda: Series(1, 10.0, "float64"), "'float32', or 'int32' for ids"),
        (lambda: Series(1, 10.0, "int32", padding=0.5), "padding=0.5"),
        (lambda: Series(1, 10.0, padding=float("nan")), "padding=nan"),
        (lambda: Series(1, 10.0, padding=-1e39), "padding=-1e.39"),
        (lambda: Series(1, 10.0, "int32", padding=2**31), "padding=2147483648"),
        (lambda: Series(1, 10.0, "int32", padding=float("inf")), "padding=inf"),
        (lambda: Series(1, 10.0, ids=3), "ids are int32"),
        (lambda: Series(1, 10.0, "int32", padding=3, ids=3), "the padding is one of them"),
    ],
)
def test_what_can_be_no_signal_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
