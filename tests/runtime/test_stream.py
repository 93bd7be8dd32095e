"""One live stream: however its sound comes in, the same numbers come out."""

import math
import threading
from types import SimpleNamespace

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.audio import AudioError, AudioWarning, StreamingResampler
from streamrnn.contract import aligned
from streamrnn.runtime import Stream

ENCODINGS = {
    "int16": lambda sound: sound,
    "float32": lambda sound: sound.astype(np.float32) / 32768,
    "float64": lambda sound: sound / 32768,
    # Two channels have no form as bytes.
    "bytes": lambda sound: sound.astype("<i2").tobytes() if sound.ndim == 1 else sound,
}
REFUSED = {
    "NaN": (np.array([0, np.nan], np.float32), AudioError),
    "infinity": (np.array([np.inf, 0], np.float32), AudioError),
    "odd bytes": (b"\x00\x01\x02", AudioError),
    "too loud": (np.full(10, 3000.0), AudioError),
    "three axes": (np.zeros((2, 2, 2)), AudioError),
    "65 channels": (np.zeros((2, 65)), AudioError),
    "int32": (np.zeros(10, np.int32), TypeError),
}
EMPTY = [np.zeros(0, np.float32), np.zeros(0, np.int16), np.zeros((0, 2), np.float32), b"", []]

chunk_lengths = st.lists(st.sampled_from([0, 1, 159, 160, 161]) | st.integers(0, 4000), max_size=12)


def same_bits(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@hypothesis.settings(max_examples=8)
@hypothesis.given(data=st.data(), lengths=chunk_lengths)
def test_any_chunking_in_any_encoding_gives_the_same_outputs_bit_for_bit(
    model, bursts, cut, run, sample_rate, channels, data, lengths
):
    sound = bursts(0.3, sample_rate, channels)
    chunks = cut(sound, lengths)
    encodings = data.draw(st.lists(st.sampled_from(list(ENCODINGS)), min_size=len(chunks), max_size=len(chunks)))
    encoded = [ENCODINGS[encoding](chunk) for encoding, chunk in zip(encodings, chunks, strict=True)]
    at_once = run(Stream(model, sample_rate), [sound])
    assert same_bits(run(Stream(model, sample_rate), encoded), at_once)


@hypothesis.given(lengths=chunk_lengths)
def test_any_chunking_of_any_model_gives_the_same_outputs_bit_for_bit(any_model, bursts, cut, run, lengths):
    sound = bursts(0.5)
    assert same_bits(run(Stream(any_model), cut(sound, lengths)), run(Stream(any_model), [sound]))


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 319, 320, 321, 1000])
def test_every_block_that_was_begun_gives_one_output(any_model, bursts, run, samples):
    outputs = run(Stream(any_model), [bursts(1)[:samples]])
    assert outputs.shape == (math.ceil(samples / any_model.block_samples), any_model.out_features)
    assert outputs.dtype == np.float32


@pytest.mark.parametrize("samples", [0, 1, 440, 441, 442, 9999])
def test_every_block_that_was_begun_gives_one_output_at_another_sample_rate(any_model, bursts, run, samples):
    outputs = run(Stream(any_model, 44_100), [bursts(1, 44_100)[:samples]])
    assert len(outputs) == math.ceil(math.ceil(samples * 16_000 / 44_100) / any_model.block_samples)


def test_a_stream_equals_the_offline_scan(any_model, bursts, run):
    sound = bursts(1)
    frames = jnp.asarray(sound.reshape(1, -1, any_model.hop_samples) / 32768, jnp.float32)
    offline = jax.jit(lambda x: any_model.readout(aligned(any_model, x)))(frames)[0]
    live = run(Stream(any_model), [sound])
    assert np.ptp(live) > 0.5
    np.testing.assert_allclose(live, offline, atol=1e-5)


def test_a_stream_at_another_rate_equals_a_stream_of_the_resampled_sound(any_model, bursts, run):
    sound = bursts(0.5, 44_100)
    resampler = StreamingResampler(44_100, 16_000)
    resampled = [resampler.process(np.float32(sound / 32768)), resampler.flush()]
    assert same_bits(run(Stream(any_model, 44_100), [sound]), run(Stream(any_model), resampled))


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_a_source_may_fill_one_buffer_again_and_again(model, bursts, run, sample_rate):
    chunks = bursts(0.5, sample_rate)[:7000].reshape(-1, 70).astype(np.float32) / 32768
    buffer = np.empty(70, np.float32)

    def refilled():
        for chunk in chunks:
            buffer[:] = chunk
            yield buffer

    assert same_bits(run(Stream(model, sample_rate), refilled()), run(Stream(model, sample_rate), chunks))


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_a_reset_stream_equals_a_fresh_one(any_model, bursts, run, sample_rate):
    sound = bursts(0.4, sample_rate)
    stream = Stream(any_model, sample_rate)
    stream.process(sound[:5003])
    stream.reset()
    interrupted = run(stream, [sound])
    stream.reset()
    assert same_bits(interrupted, run(Stream(any_model, sample_rate), [sound]))
    assert same_bits(interrupted, run(stream, [sound]))


def test_a_flushed_stream_takes_no_more_sound_until_it_is_reset(model, bursts):
    stream = Stream(model)
    stream.process(bursts(0.1))
    stream.flush()
    with pytest.raises(RuntimeError, match=r"flushed.*Call reset\(\)"):
        stream.process(bursts(0.1))
    stream.reset()
    assert len(stream.process(bursts(0.1))) == 10 - 3


def test_a_second_flush_gives_nothing(any_model, bursts):
    for sample_rate in (16_000, 44_100):
        stream = Stream(any_model, sample_rate)
        stream.process(bursts(0.105, sample_rate))
        assert len(stream.flush()) > 0
        assert stream.flush().shape == (0, 1)


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
@pytest.mark.parametrize(("chunk", "error"), REFUSED.values(), ids=REFUSED)
def test_a_refused_chunk_leaves_no_trace(model, bursts, run, chunk, error, sample_rate):
    sound = bursts(0.3, sample_rate)
    stream = Stream(model, sample_rate)
    before = stream.process(sound[:3001])
    with pytest.raises(error):
        stream.process(chunk)
    assert stream.duration_s == 3001 / sample_rate
    after = run(stream, [sound[3001:]])
    assert same_bits(np.concatenate([before, after]), run(Stream(model, sample_rate), [sound]))


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
def test_a_chunk_of_length_zero_changes_nothing(model, bursts, run, sample_rate):
    sound = bursts(0.3, sample_rate)
    chunks = [*EMPTY, sound[:1501], *EMPTY, sound[1501:], *EMPTY]
    assert same_bits(run(Stream(model, sample_rate), chunks), run(Stream(model, sample_rate), [sound]))


def test_interleaved_streams_do_not_touch_each_other(any_model, bursts, run):
    sounds = [bursts(0.4), bursts(0.4)[::-1]]
    streams, outputs = [Stream(any_model), Stream(any_model)], ([], [])
    for start in range(0, 6400, 333):
        for i in (0, 1):
            outputs[i].append(streams[i].process(sounds[i][start : start + 333]))
    for i in (0, 1):
        interleaved = np.concatenate([*outputs[i], streams[i].flush()])
        assert same_bits(interleaved, run(Stream(any_model), [sounds[i]]))


def test_streams_may_run_in_separate_threads(model, bursts, cut, run):
    sounds = [bursts(1.0), bursts(1.0)[::-1], bursts(1.0) // 3]
    outputs = {}

    def live(i):
        outputs[i] = run(Stream(model), cut(sounds[i], [100] * 159))

    threads = [threading.Thread(target=live, args=[i]) for i in range(len(sounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, sound in enumerate(sounds):
        assert same_bits(outputs[i], run(Stream(model), [sound]))


def test_the_duration_counts_samples_at_the_rate_of_the_source(model, bursts):
    stream = Stream(model, 44_100)
    stream.process(bursts(1, 44_100, channels=2)[:12_345])
    assert stream.duration_s == 12_345 / 44_100
    stream.reset()
    assert stream.duration_s == 0


@pytest.mark.parametrize("sample_rate", [0, -16_000, 7_999, 96_001])
def test_a_sample_rate_that_cannot_be_resampled_is_refused(model, sample_rate):
    with pytest.raises(AudioError, match=f"{sample_rate} Hz"):
        Stream(model, sample_rate)


def test_the_ledger_declares_the_block_the_look_ahead_and_the_resampler(models):
    at_own_rate, strided = Stream(models["looking ahead"]).latency, Stream(models["of stride 2"]).latency
    assert (at_own_rate.block_ms, at_own_rate.lookahead_ms, at_own_rate.resampler_ms) == (10, 30, 0)
    assert (strided.block_ms, strided.lookahead_ms, strided.algorithmic_ms) == (20, 40, 60)
    resampled = Stream(models["looking ahead"], 48_000).latency
    assert resampled.resampler_ms == 1000 * StreamingResampler(48_000, 16_000).delay_s > 0
    assert resampled.algorithmic_ms == pytest.approx(40 + resampled.resampler_ms)


def test_no_output_comes_later_than_the_ledger_declares(any_model, bursts):
    for sample_rate in (16_000, 48_000):
        stream = Stream(any_model, sample_rate)
        for chunk in bursts(0.3, sample_rate).reshape(-1, sample_rate // 1000):
            first = stream.process(chunk)
            if len(first):
                break
        assert 1000 * stream.duration_s == pytest.approx(stream.latency.algorithmic_ms, abs=1)


def test_the_ledger_measures_every_block_and_counts_those_that_took_too_long(model, monkeypatch, bursts):
    stream = Stream(model)
    assert math.isnan(stream.latency.compute_p50_ms)
    assert stream.latency.deadline_misses == 0
    compute_s = [0.001, 0.002, 0.011, 0.003, 0.002]
    ticks = iter([tick for seconds in compute_s for tick in (0.0, seconds)])
    monkeypatch.setattr("streamrnn.runtime.stream.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    stream.process(bursts(0.05))
    latency = stream.latency
    assert latency.compute_p50_ms == pytest.approx(2)
    assert latency.compute_p99_ms == pytest.approx(1000 * np.percentile(compute_s, 99))
    assert latency.deadline_misses == 1


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_outputs_belong_to_the_caller(model, bursts, blocks):
    stream = Stream(model)
    stream.process(bursts(0.1))
    outputs = stream.process(bursts(0.1)[: blocks * 160])
    outputs *= 0.5
    assert outputs.shape == (blocks, 1)


def test_digital_silence_gives_finite_outputs_and_no_events(model, run):
    outputs = run(Stream(model), [np.zeros(32_000, np.float32)])
    assert outputs.shape == (200, 1) and np.isfinite(outputs).all()


def test_channels_that_cancel_each_other_are_warned_of_once(model):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000).astype(np.float32)
    stream = Stream(model)
    with pytest.warns(AudioWarning, match=r"one of them is inverted.* chunk\[:, 0\]") as caught:
        for chunk in np.split(np.stack([noise, -noise], axis=1), 50):
            stream.process(chunk)
    assert len(caught) == 1
    Stream(model).process(np.stack([noise, noise], axis=1))
