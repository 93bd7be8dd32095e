import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError, StreamingResampler, resample
from streamrnn.audio.resample import _design

RATES = [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (96000, 16000), (16000, 16000), (16000, 48000)]


def stream(samples, source_rate, target_rate, lengths=()):
    resampler = StreamingResampler(source_rate, target_rate)
    cuts = np.minimum(np.cumsum(lengths, dtype=int), len(samples))
    return np.concatenate([*map(resampler.process, np.split(samples, cuts)), resampler.flush()])


def noise_below(high_hz, seconds, sample_rate):
    """Noise with nothing above high_hz, faded in and out so that the ends of a recording do not ring."""
    white = np.random.default_rng(0).standard_normal(int(seconds * sample_rate))
    spectrum = np.fft.rfft(white)
    spectrum[np.fft.rfftfreq(len(white), 1 / sample_rate) > high_hz] = 0
    noise = np.fft.irfft(spectrum, len(white)) * np.hanning(len(white))
    return (0.5 * noise / np.abs(noise).max()).astype(np.float32)


def chirp(high_hz, seconds, sample_rate):
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    sweep = np.sin(np.pi * high_hz / seconds * time**2) * np.hanning(len(time))
    return (0.5 * sweep).astype(np.float32)


def level_db(signal, reference):
    return 10 * np.log10(np.mean(np.square(signal, dtype=float)) / np.mean(np.square(reference, dtype=float)))


@given(
    rates=st.sampled_from([*RATES, (44101, 16000), (11025, 16000), (16000, 8000)]),
    length=st.integers(0, 6000),
    lengths=st.lists(st.integers(0, 2500), max_size=8),
)
def test_any_chunking_gives_the_same_samples_bit_for_bit(rates, length, lengths):
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    np.testing.assert_array_equal(stream(samples, *rates, lengths), stream(samples, *rates))


@pytest.mark.parametrize("rates", [(44100, 16000), (8000, 16000)])
def test_single_samples_give_the_same_as_one_chunk(rates):
    samples = np.random.default_rng(0).uniform(-1, 1, 1500).astype(np.float32)
    np.testing.assert_array_equal(stream(samples, *rates, [1] * 1500), stream(samples, *rates))


@given(source=st.sampled_from([8000, 11025, 44100, 48000]), target=st.sampled_from([8000, 16000, 96000]))
@pytest.mark.parametrize("length", [0, 1, 2, 7, 100, 1001])
def test_every_recording_gives_its_length_times_the_ratio_rounded_up(source, target, length):
    samples = np.ones(length, np.float32)
    assert len(stream(samples, source, target)) == -(-length * target // source)
    assert len(resample(samples, source, target)) == -(-length * target // source)


@pytest.mark.parametrize("signal", [noise_below, chirp])
@pytest.mark.parametrize("source", [44100, 48000, 22050, 96000, 8000])
def test_the_pass_band_agrees_with_soxr_to_70_db(source, signal):
    samples = signal(7000 if source > 16000 else 3300, 1.0, source)
    reference = resample(samples, source, 16000)
    assert level_db(stream(samples, source, 16000) - reference, reference) < -70


def test_a_tone_above_the_new_nyquist_frequency_is_70_db_down():
    tone = np.sin(2 * np.pi * 9000 * np.arange(48000) / 48000).astype(np.float32)
    steady = stream(tone, 48000, 16000)[1000:-1000]
    assert level_db(steady, tone) < -70


def test_a_constant_stays_the_same_constant():
    steady = stream(np.ones(4410, np.float32), 44100, 16000)[100:-100]
    np.testing.assert_allclose(steady, 1, atol=1e-6)


@pytest.mark.parametrize("rates", [rates for rates in RATES if rates[0] != rates[1]])
def test_output_n_is_the_input_at_its_time_and_waits_no_longer_than_declared(rates):
    source, target = rates
    resampler = StreamingResampler(source, target)
    assert 0 < resampler.delay_s <= 0.004
    # The input steps at sample s; the output crosses half of it at the same time, after delay_s more input.
    step_at = source // 10
    samples = np.zeros(2 * step_at, np.float32)
    samples[step_at:] = 1
    before = resampler.process(samples[: step_at + round(resampler.delay_s * source)])
    assert len(before) == -(-step_at * target // source)
    output = np.concatenate([before, resampler.process(samples), resampler.flush()])
    crossing_s = np.argmax(output > 0.5) / target
    assert abs(crossing_s - step_at / source) <= 1 / min(source, target)


def test_equal_rates_pass_through_without_delay():
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    resampler = StreamingResampler(16000, 16000)
    np.testing.assert_array_equal(resampler.process(samples), samples)
    assert resampler.delay_s == 0 and len(resampler.flush()) == 0


def test_a_snapshot_goes_on_bit_for_bit_in_another_resampler():
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    first, second = StreamingResampler(44100, 16000), StreamingResampler(44100, 16000)
    first.process(samples[:1234])
    snapshot = first.snapshot()
    expected = np.concatenate([first.process(samples[1234:]), first.flush()])
    second.process(samples[:77])
    second.restore(snapshot)
    np.testing.assert_array_equal(np.concatenate([second.process(samples[1234:]), second.flush()]), expected)


def test_a_snapshot_is_small():
    resampler = StreamingResampler(48000, 16000)
    resampler.process(np.ones(48000, np.float32))
    assert resampler.snapshot()["tail"].size < 400


def test_the_snapshot_of_other_rates_is_refused():
    with pytest.raises(AudioError, match=r"44100 -> 16000 Hz; this one is 48000 -> 16000 Hz"):
        StreamingResampler(48000, 16000).restore(StreamingResampler(44100, 16000).snapshot())


def test_a_flush_begins_a_new_stream():
    samples = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    resampler = StreamingResampler(44100, 16000)
    once = np.concatenate([resampler.process(samples), resampler.flush()])
    again = np.concatenate([resampler.process(samples), resampler.flush()])
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("rate", [7999, 96001, 16000.5, 0, -16000, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(AudioError, match="8000 to 96000"):
        StreamingResampler(rate, 16000)
    with pytest.raises(AudioError, match="8000 to 96000"):
        StreamingResampler(16000, rate)


def test_an_awkward_pair_of_rates_takes_megabytes_not_gigabytes():
    filters, _ = _design(44101, 16000)
    assert filters.shape[0] == 16000
    assert filters.nbytes < 20e6


def test_the_filters_are_the_phases_of_a_kaiser_windowed_sinc():
    from scipy.signal import firwin

    filters, half = _design(48000, 32000)
    # Both designs put 0.05 of the lower Nyquist frequency on each side of the cut-off.
    prototype = 2 * firwin(4 * half - 1, 0.95 * 16000, window=("kaiser", 0.1102 * (80 - 8.7)), fs=96000)
    np.testing.assert_allclose(filters[0], np.append(prototype[1::2], 0), atol=1e-4)
    np.testing.assert_allclose(filters[1], prototype[0::2], atol=1e-4)


@pytest.mark.parametrize("rate", [0, 0.5, 44_100.5, np.nan, np.inf])
def test_offline_resampling_refuses_a_rate_that_is_none(rate):
    with pytest.raises(AudioError, match=f"{rate} Hz"):
        resample(np.zeros(10, np.float32), 16000, rate)


@pytest.mark.parametrize("length", range(1000, 1008))
def test_offline_resampling_keeps_channels_apart(length):
    left, right = np.random.default_rng(0).uniform(-0.5, 0.5, (2, length)).astype(np.float32)
    both = resample(np.stack([left, right], axis=1), 44_100, 16_000)
    one_by_one = [resample(channel, 44_100, 16_000) for channel in (left, right)]
    np.testing.assert_allclose(both, np.stack(one_by_one, axis=1), atol=1e-6)
