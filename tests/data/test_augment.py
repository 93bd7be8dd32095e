"""Augmentation: each change by itself is what it says, and all together stay sound.

The sounds are chosen so that changes can be told apart: the clip is a tone, backgrounds are constants.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError
from streamrnn.data import Augment, AugmentSettings
from streamrnn.data.augment import change_tempo, coloured

RATE = 1000
STILL = {
    "speed": (1.0, 1.0),
    "room_share": 0.0,
    "shift_ms": 0.0,
    "noise_share": 0.0,
    "music_share": 0.0,
    "babble_share": 0.0,
    "band_limit_share": 0.0,
    "gain_db": (0.0, 0.0),
}
TONE = (0.1 * np.resize([1, 1, -1, -1], 1000)).astype(np.float32)


def constant(level: float) -> np.ndarray:
    return np.full(5000, round(level * 32768), np.int16)


def augment(noise=(), music=(), rooms=(), voices=(), **settings) -> Augment:
    return Augment(noise, music, rooms, voices, RATE, AugmentSettings(**(STILL | settings)))


def drawn(changed: Augment, count: int = 40, samples=TONE, length: int | None = None) -> list[np.ndarray]:
    return [changed(np.random.default_rng([3, seed]), samples, length) for seed in range(count)]


def rms_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def frequency(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) / len(samples))


def test_with_all_changes_off_a_clip_stays_as_it_is():
    np.testing.assert_array_equal(augment()(np.random.default_rng(0), TONE), TONE)


def test_clips_of_int16_are_taken_as_they_lie_in_memory():
    stored = np.round(TONE * 32768).astype(np.int16)
    np.testing.assert_allclose(augment()(np.random.default_rng(0), stored), TONE, atol=1e-4)


def test_speed_changes_length_and_pitch_together():
    for heard in drawn(augment(speed=(0.8, 1.25)), 20):
        factor = 1000 / len(heard)
        assert 0.79 < factor < 1.26
        assert frequency(heard[100:-100]) == pytest.approx(0.25 * factor, abs=0.003)
    lengths = [len(heard) for heard in drawn(augment(speed=(0.8, 1.25)))]
    assert min(lengths) < 850 and max(lengths) > 1150


def test_a_clip_is_laid_into_the_middle_of_a_longer_place():
    (heard,) = drawn(augment(), 1, length=1500)
    np.testing.assert_array_equal(heard, np.pad(TONE, 250))


def test_a_clip_longer_than_its_place_keeps_its_middle():
    (heard,) = drawn(augment(), 1, length=600)
    np.testing.assert_array_equal(heard, TONE[200:800])


def test_a_shift_moves_a_clip_either_way_and_cuts_what_sticks_out():
    click = np.eye(1, 1000, 500, dtype=np.float32)[0]
    places = [int(np.argmax(heard)) for heard in drawn(augment(shift_ms=100), samples=click, length=1000)]
    assert 400 <= min(places) < 430 and 570 < max(places) <= 600
    for heard in drawn(augment(shift_ms=5000), samples=click / 2, length=1000):
        assert heard.shape == (1000,) and heard.sum() in (0, 0.5)


@pytest.mark.parametrize("kind", ["noise", "music"])
def test_a_background_lies_below_the_clip_by_the_ratio_that_was_drawn(kind):
    mixed = drawn(augment(**{kind: [constant(0.3)], f"{kind}_share": 1.0, "snr_db": (-5.0, 20.0)}))
    ratios = [rms_db(TONE) - 20 * np.log10(heard.mean()) for heard in mixed]
    assert -5.1 < min(ratios) < -2 and 17 < max(ratios) < 20.1


def test_pauses_do_not_lower_the_level_that_the_ratio_is_taken_from():
    pausing = np.concatenate([np.zeros(2000), TONE, np.zeros(7000)]).astype(np.float32)
    (heard,) = drawn(augment([constant(0.3)], noise_share=1.0, snr_db=(10.0, 10.0)), 1, pausing)
    assert rms_db(TONE) - 20 * np.log10(heard[:2000].mean()) == pytest.approx(10.0, abs=0.1)


def test_kinds_of_background_come_as_often_as_asked():
    clips = drawn(augment([constant(0.3)], [-constant(0.3)], noise_share=0.5, music_share=0.3, snr_db=(0.0, 0.0)), 300)
    means = np.array([heard.mean() for heard in clips])
    assert np.mean(means > 0.05) == pytest.approx(0.5, abs=0.08)
    assert np.mean(means < -0.05) == pytest.approx(0.3, abs=0.08)
    assert np.mean(np.abs(means) < 1e-6) == pytest.approx(0.2, abs=0.08)


def test_babble_is_several_voices_equally_loud():
    # Each voice is a tone of its own; one is recorded a hundred times as loud.
    tones = [np.sin(2 * np.pi * k / 50 * np.arange(5000)) for k in range(1, 9)]
    voices = [np.round(tone * (300 if k else 30000)).astype(np.int16) for k, tone in enumerate(tones)]
    changed = augment(voices=voices, babble_share=1.0, babble_voices=(2, 4), snr_db=(0.0, 0.0))
    counts = []
    for heard in drawn(changed):
        spectrum = np.abs(np.fft.rfft(heard - TONE))[20:180:20]
        counts.append(int(np.sum(spectrum > 0.2 * spectrum.max())))
        assert rms_db(heard - TONE) == pytest.approx(rms_db(TONE), abs=0.1)
    assert set(counts) <= {1, 2, 3, 4} and {2, 3, 4} <= set(counts)


def test_noise_is_made_where_none_is_recorded():
    (heard,) = drawn(augment(noise_share=1.0, snr_db=(0.0, 0.0)), 1)
    assert rms_db(heard - TONE) == pytest.approx(rms_db(TONE), abs=0.1)


def test_without_music_voices_or_rooms_clips_stay_without():
    for share in ("music_share", "babble_share", "room_share"):
        for heard in drawn(augment(**{share: 1.0}), 3):
            np.testing.assert_array_equal(heard, TONE)


def test_a_silent_clip_becomes_background_at_its_recorded_level():
    (heard,) = drawn(augment([constant(0.25)], noise_share=1.0), 1, np.zeros(800, np.float32))
    np.testing.assert_allclose(heard, np.full(800, 0.25), atol=1e-3)


def test_a_room_echoes_and_leaves_the_direct_sound_in_its_place():
    room = np.zeros(200, np.float32)
    room[[20, 70]] = -0.8, 0.4
    click = np.eye(1, 300, 100, dtype=np.float32)[0]
    (heard,) = drawn(augment(rooms=[room], room_share=1.0), 1, click)
    assert np.argmax(np.abs(heard)) == 100
    assert heard[150] / heard[100] == pytest.approx(-0.5, abs=1e-4)
    assert np.linalg.norm(heard) == pytest.approx(1.0, abs=1e-4)


def test_of_a_long_room_only_the_beginning_is_heard_and_it_fades_out():
    click = np.eye(1, 900, 100, dtype=np.float32)[0]
    room = np.concatenate([np.float32([0, 0, 1]), np.full(3000, 0.1, np.float32)])
    (heard,) = drawn(augment(rooms=[room], room_share=1.0), 1, click)
    tail = heard[101:] / heard[100]
    np.testing.assert_allclose(tail[:199], 0.1, atol=1e-4)
    assert 0.03 < tail[250] < 0.07
    np.testing.assert_allclose(tail[300:], 0, atol=1e-4)


def test_an_empty_room_is_refused():
    with pytest.raises(AudioError, match="impulse response is empty"):
        drawn(augment(rooms=[np.zeros(0, np.float32)], room_share=1.0), 1)


def test_a_narrow_line_cuts_the_highest_sounds():
    hiss = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
    changed = Augment([], [], [], [], 16_000, AugmentSettings(**(STILL | {"band_limit_share": 1.0})))
    (heard,) = drawn(changed, 1, hiss)
    power = np.abs(np.fft.rfft(heard)) ** 2
    assert power[4500:].sum() < 1e-3 * power.sum()


def test_levels_fill_their_range_and_nothing_ever_clips():
    changes_db = [rms_db(heard) - rms_db(TONE) for heard in drawn(augment(gain_db=(-12.0, 6.0)), 80)]
    assert -12.01 < min(changes_db) < -11 and 5 < max(changes_db) < 6.01
    (loud,) = drawn(augment(gain_db=(60.0, 60.0)), 1)
    assert np.abs(loud).max() == pytest.approx(0.99)


ALL = Augment(
    [constant(0.1)],
    [constant(0.2)],
    [np.float32([0.1, 1, 0.5])],
    [constant(0.3)],
    RATE,
    AugmentSettings(room_share=0.5),
)


@given(n=st.integers(0, 300), length=st.none() | st.integers(0, 300), seed=st.integers(0, 99))
def test_any_clip_in_any_place_gives_sound_numbers_and_the_same_ones_again(n, length, seed):
    clip = np.random.default_rng(0).uniform(-1, 1, n).astype(np.float32)
    first, again = (ALL(np.random.default_rng(seed), clip, length) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32 and np.abs(first).max(initial=0) <= 1
    assert len(first) == length if length is not None else 0.9 * n - 1 <= len(first) <= n / 0.9 + 1


@pytest.mark.parametrize("share", ["noise_share", "music_share", "babble_share", "room_share", "band_limit_share"])
def test_an_empty_clip_stays_empty(share):
    changed = augment([TONE], [TONE], [np.float32([1])], [TONE], **{share: 1.0})
    assert changed(np.random.default_rng(0), TONE[:0]).shape == (0,)


def test_other_draws_give_other_results_and_leave_the_recording_alone():
    clip = TONE.copy()
    heard = drawn(ALL, 10, clip, 1000)
    assert len({samples.tobytes() for samples in heard}) == 10
    np.testing.assert_array_equal(clip, TONE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_share": 1.5}, r"noise_share is 1\.5; it must be a probability from 0 to 1"),
        ({"noise_share": 0.9, "music_share": 0.3}, "noise_share .* it must be at most 1"),
        ({"snr_db": (20.0, 0.0)}, r"snr_db is \(20\.0, 0\.0\); it must be a range"),
        ({"speed": (0.0, 1.0)}, "speed is .* it must be positive"),
        ({"babble_voices": (0, 3)}, "babble_voices is .* at least one voice"),
        ({"shift_ms": -1.0}, "shift_ms is .* 0 or above"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AugmentSettings(**settings)


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.3])
def test_another_tempo_changes_the_length_and_neither_pitch_nor_level(factor):
    rate, hz = 8000, 210.0
    voice = (0.1 * np.sin(2 * np.pi * hz * np.arange(8000) / rate)).astype(np.float32)
    changed = change_tempo(voice, factor, rate)
    assert changed.dtype == np.float32 and len(changed) == round(8000 / factor)
    middle = changed[400:5400]
    assert np.argmax(np.abs(np.fft.rfft(middle * np.hanning(5000)))) * rate / 5000 == pytest.approx(hz, abs=2)
    assert np.std(middle) == pytest.approx(np.std(voice), rel=0.03)


def test_the_tempo_of_one_changes_nothing():
    noise = np.random.default_rng(0).normal(0, 0.1, 3000).astype(np.float32)
    np.testing.assert_allclose(change_tempo(noise, 1.0, 8000), noise, atol=1e-6)


@given(length=st.integers(0, 700), factor=st.floats(0.5, 2.0))
def test_any_length_can_be_spoken_at_any_tempo(length, factor):
    changed = change_tempo(np.full(length, 0.1, np.float32), factor, 8000)
    assert len(changed) == round(length / factor) and np.isfinite(changed).all()


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan])
def test_a_tempo_that_is_not_positive_is_refused(factor):
    with pytest.raises(AudioError, match="must be positive"):
        change_tempo(TONE, factor, RATE)


def test_a_random_filter_raises_some_frequencies_over_others_and_keeps_the_length():
    click = np.eye(1, 512, dtype=np.float32)[0]
    gains = [np.abs(np.fft.rfft(coloured(np.random.default_rng(seed), click))) for seed in range(20)]
    tilts_db = [20 * np.log10(gain.max() / gain.min()) for gain in gains]
    assert all(len(gain) == 257 for gain in gains)
    assert 1 < np.median(tilts_db) < 15 and max(tilts_db) < 25
