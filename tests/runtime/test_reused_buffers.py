"""Callers fill one buffer again and again: whatever a stream still needs of a chunk, it has copied."""

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import ChunkSource
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.runtime import Enhancer, Listener, Pool, Stream, enhance_file, run_file, utterances

RATES = pytest.mark.parametrize("rate", [16_000, 44_100])
# Of the float32 mono sound that streams work on, so that no conversion copies it.
CHUNK = 200


@pytest.fixture(scope="module")
def denoiser():
    """Untrained: it makes all sound somewhat quieter."""
    return Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))


@pytest.fixture
def sound(bursts):
    return lambda rate: bursts(0.6, rate).astype(np.float32) / 32768


def reused(sound):
    """The sound in chunks, all of them in one buffer, which holds other sound as soon as the next one is asked for."""
    buffer = np.zeros(CHUNK, np.float32)
    for start in range(0, len(sound), CHUNK):
        chunk = buffer[: len(sound) - start]
        chunk[:] = sound[start : start + CHUNK]
        yield chunk
        buffer[:] = 0.5


def kept(sound):
    return [sound[start : start + CHUNK].copy() for start in range(0, len(sound), CHUNK)]


def streamed(model, rate, chunks):
    stream = Stream(model, rate)
    return np.concatenate([*map(stream.process, chunks), stream.flush()])


def heard(model, rate, chunks):
    listener = Listener(model, rate)
    return [event for chunk in chunks for event in listener.feed(chunk)] + listener.finish()


def enhanced(model, rate, chunks):
    enhancer = Enhancer(model, rate, max_attenuation_db=6.0)
    return np.concatenate([*map(enhancer.process, chunks), enhancer.flush()])


def pooled(model, rate, chunks):
    """Ticks come seldom: what was fed waits, while the caller's buffer has long been overwritten."""
    pool = Pool(model, capacity=1, queue_s=2.0, warm_up=False)
    stream = pool.open(rate, **({"max_attenuation_db": 6.0} if isinstance(model, Denoising) else {}))
    for chunk in chunks:
        stream.feed(chunk)
    stream.finish()
    answers = []
    while new := pool.tick():
        answers += new
    return answers


def assert_same(first, second):
    if isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second)
    else:
        assert first and first == second


@RATES
@pytest.mark.parametrize("way", [streamed, heard])
def test_a_live_stream_needs_no_chunk_after_the_call(model, sound, way, rate):
    assert_same(way(model, rate, reused(sound(rate))), way(model, rate, kept(sound(rate))))


@RATES
def test_an_enhancer_needs_no_chunk_after_the_call(denoiser, sound, rate):
    assert_same(enhanced(denoiser, rate, reused(sound(rate))), enhanced(denoiser, rate, kept(sound(rate))))


@RATES
def test_a_pool_needs_no_chunk_after_the_call(model, sound, rate):
    events, outputs = [], []
    for chunks in (reused(sound(rate)), kept(sound(rate))):
        answers = pooled(model, rate, chunks)
        events.append([event for answer in answers for event in answer.events])
        outputs.append(np.concatenate([answer.outputs for answer in answers]))
    assert_same(*events)
    assert_same(*outputs)


@RATES
def test_a_pool_of_denoisers_needs_no_chunk_after_the_call(denoiser, sound, rate):
    cleaned = [
        np.concatenate([answer.sound for answer in pooled(denoiser, rate, chunks)])
        for chunks in (reused(sound(rate)), kept(sound(rate)))
    ]
    assert_same(*cleaned)


@RATES
def test_whole_recordings_need_no_chunk_of_a_source_after_the_next_one(model, denoiser, sound, rate):
    def of(chunks):
        return ChunkSource(chunks, rate)

    assert_same(run_file(model, of(reused(sound(rate)))), run_file(model, of(kept(sound(rate)))))
    cleaned = [
        enhance_file(denoiser, of(chunks), max_attenuation_db=6.0)[0]
        for chunks in (reused(sound(rate)), kept(sound(rate)))
    ]
    assert_same(*cleaned)


def test_utterances_hold_the_sound_that_was_heard(model, sound):
    cut = [
        [utterance.samples for utterance in utterances(model, ChunkSource(chunks, 16_000))]
        for chunks in (reused(sound(16_000)), kept(sound(16_000)))
    ]
    assert len(cut[0]) == len(cut[1]) >= 1
    for first, second in zip(*cut, strict=True):
        assert_same(first, second)
