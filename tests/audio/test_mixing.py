import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import (
    AudioError,
    band_limit,
    change_speed,
    clip_protect,
    coloured_noise,
    fit_length,
    gain,
    mix_at_snr,
    reverberate,
)

RATE = 16000
SILENCE = np.zeros(RATE, np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(length=RATE, seed=1):
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def tone(frequency_hz, length=RATE):
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(length) / RATE)).astype(np.float32)


def rms(samples):
    return np.sqrt(np.mean(np.square(samples, dtype=float)))


@pytest.mark.parametrize("snr_db", [-5, 0, 20])
def test_the_mixture_has_the_ratio_asked_for(snr_db):
    speech = tone(440)
    mixture = mix_at_snr(speech, noise(), snr_db)
    assert mixture.dtype == np.float32
    assert 20 * np.log10(rms(speech) / rms(mixture - speech)) == pytest.approx(snr_db, abs=0.01)


def test_pauses_do_not_lower_the_level_of_the_speech():
    active = np.arange(RATE) < RATE // 4
    speech = tone(440) * active
    added = mix_at_snr(speech, noise(), 10, active) - speech
    assert 20 * np.log10(rms(speech[active]) / rms(added)) == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("active", [None, np.zeros(RATE, bool)])
def test_silence_has_no_ratio_and_changes_no_level(active):
    np.testing.assert_array_equal(mix_at_snr(SILENCE, noise(), 10, active), noise())
    np.testing.assert_array_equal(mix_at_snr(tone(440), SILENCE, 10), tone(440))
    assert len(mix_at_snr(SILENCE[:0], SILENCE[:0], 10)) == 0


def test_speech_and_noise_of_different_lengths_are_refused():
    with pytest.raises(AudioError, match="fit_length"):
        mix_at_snr(tone(440), noise(100), 10)
    with pytest.raises(AudioError, match="active 5"):
        mix_at_snr(tone(440), noise(), 10, np.ones(5, bool))


def test_reverberation_puts_the_direct_path_at_time_zero():
    room = np.zeros(2000, np.float32)
    room[[300, 1100]] = 1.0, 0.5
    click = np.zeros(4000, np.float32)
    click[1000] = 1
    wet = reverberate(click, room)
    assert np.argmax(wet) == 1000
    assert wet[1800] / wet[1000] == pytest.approx(0.5, abs=1e-5)
    assert np.abs(wet[:990]).max() < 1e-6


@given(length=st.integers(0, 500), room_length=st.integers(1, 900))
def test_reverberation_keeps_length_and_level(length, room_length):
    samples = noise(length)
    wet = reverberate(samples, np.random.default_rng(2).standard_normal(room_length))
    assert wet.shape == samples.shape and wet.dtype == np.float32
    if length:
        assert rms(wet) == pytest.approx(rms(samples), rel=1e-4)


def test_silence_stays_silence():
    room = np.random.default_rng(0).standard_normal(1000)
    for quiet in (
        reverberate(SILENCE, room),
        gain(SILENCE, 20),
        band_limit(SILENCE, 300, 3400, RATE),
        clip_protect(SILENCE),
        change_speed(SILENCE, 1.1),
    ):
        assert not np.any(quiet)


def test_a_silent_room_is_refused():
    with pytest.raises(AudioError, match="impulse response"):
        reverberate(noise(), np.zeros(100))


def test_gain_is_in_decibels():
    np.testing.assert_allclose(gain(noise(), 20), 10 * noise(), rtol=1e-6)
    assert gain(noise(), -6.0).dtype == np.float32


@pytest.mark.parametrize(
    "low_hz, high_hz, kept, removed",
    [(300, 3400, [500, 1000, 3000], [100, 4000, 7000]), (0, 3400, [60, 3000], [4000]), (300, 8000, [500, 7500], [100])],
)
def test_a_band_keeps_its_tones_in_place_and_removes_the_others(low_hz, high_hz, kept, removed):
    middle = slice(1000, -1000)
    for frequency_hz in kept:
        limited = band_limit(tone(frequency_hz), low_hz, high_hz, RATE)
        np.testing.assert_allclose(limited[middle], tone(frequency_hz)[middle], atol=0.01)
    for frequency_hz in removed:
        assert rms(band_limit(tone(frequency_hz), low_hz, high_hz, RATE)[middle]) < 0.005


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_band_limit_keeps_the_length_of_short_recordings(length):
    assert band_limit(noise(length), 300, 3400, RATE).shape == (length,)
    np.testing.assert_array_equal(band_limit(noise(length), 0, 8000, RATE), noise(length))


@pytest.mark.parametrize("band", [(500, 500), (-1, 100), (9000, 9500)])
def test_an_impossible_band_is_refused(band):
    with pytest.raises(AudioError, match="low_hz"):
        band_limit(noise(), *band, RATE)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.25])
def test_speed_changes_length_and_pitch(factor):
    faster = change_speed(tone(440), factor)
    assert len(faster) == round(RATE / factor) and faster.dtype == np.float32
    middle = slice(1000, 10000)
    np.testing.assert_allclose(faster[middle], tone(440 * factor, len(faster))[middle], atol=1e-3)


@pytest.mark.parametrize("factor", [0, -1, np.inf, np.nan])
def test_an_impossible_speed_is_refused(factor):
    with pytest.raises(AudioError, match="positive"):
        change_speed(noise(), factor)


@pytest.mark.parametrize("slope", [-1, 0, 1, 2])
def test_coloured_noise_falls_with_its_slope(slope, rng):
    power = np.abs(np.fft.rfft(coloured_noise(2**16, slope, rng))) ** 2
    low, high = power[512:1024].mean(), power[8192:16384].mean()
    assert np.log2(low / high) / 4 == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("slope", [-1, 0, 1])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 1000])
def test_coloured_noise_has_every_length_and_one_level(length, slope, rng):
    samples = coloured_noise(length, slope, rng)
    assert samples.shape == (length,) and samples.dtype == np.float32
    if length > 1:
        assert rms(samples) == pytest.approx(0.1, rel=1e-4)


def test_the_same_generator_gives_the_same_noise():
    first, second = (coloured_noise(100, 1, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_longer_recording_is_cut_at_a_random_place(rng):
    ramp = np.arange(1000, dtype=np.float32)
    cuts = [fit_length(ramp, 100, rng) for _ in range(20)]
    for cut in cuts:
        np.testing.assert_array_equal(np.diff(cut), np.ones(99))
    assert len({cut[0] for cut in cuts}) > 10
    np.testing.assert_array_equal(fit_length(ramp, 1000, rng), ramp)


@given(length=st.integers(1, 400), wanted=st.integers(1, 2000))
def test_a_recording_fits_every_length_without_leaving_its_range(length, wanted):
    fitted = fit_length(noise(length), wanted, np.random.default_rng(length))
    assert fitted.shape == (wanted,) and fitted.dtype == np.float32
    assert np.abs(fitted).max() <= np.abs(noise(length)).max() + 1e-6


def test_the_seam_of_a_loop_does_not_click(rng):
    ramp = np.linspace(-1, 1, 1000, dtype=np.float32)
    looped = fit_length(ramp, 10000, rng)
    assert np.abs(np.diff(looped)).max() < 2.5 / 160


def test_an_empty_recording_fits_as_silence(rng):
    np.testing.assert_array_equal(fit_length(np.zeros(0, np.float32), 5, rng), np.zeros(5))


def test_only_loud_recordings_are_turned_down():
    np.testing.assert_array_equal(clip_protect(tone(440)), tone(440))
    loud = clip_protect(4 * tone(440), peak=0.9)
    assert np.abs(loud).max() == pytest.approx(0.9)
    np.testing.assert_allclose(loud, tone(440) * (0.9 / np.abs(tone(440)).max()), atol=1e-6)


def test_no_function_writes_to_its_input(rng):
    samples = noise()
    samples.flags.writeable = False
    for result in (
        fit_length(samples, RATE, rng),
        clip_protect(samples),
        band_limit(samples, 0, 8000, RATE),
        gain(samples, 0),
        reverberate(samples, np.ones(1)),
        fit_length(samples, 2 * RATE, rng),
    ):
        assert not np.shares_memory(result, samples)
