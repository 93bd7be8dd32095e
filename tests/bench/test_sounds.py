from itertools import islice

import numpy as np

from streamrnn.audio import read_audio
from streamrnn.bench.sounds import batches, chunks, noise_and_tones, write_recording
from streamrnn.models import VoiceActivity


def test_the_sound_stays_in_range_and_is_never_silent():
    sound = noise_and_tones(16_000, 2.5)
    assert sound.shape == (40_000,) and sound.dtype == np.float32
    assert 0.2 < np.abs(sound).max() < 1
    assert sound.reshape(-1, 400).std(axis=1).min() > 0.01


def test_chunks_are_blocks_of_the_sound_in_order_without_end(model: VoiceActivity):
    first = np.concatenate(list(islice(chunks(model), 1001)))
    sound = noise_and_tones(16_000, 10.0)
    np.testing.assert_array_equal(first, np.concatenate([sound, sound[:160]]))


def test_batches_fit_the_step_and_differ_between_streams(model: VoiceActivity):
    first, second, again = islice(batches(model, 3, distinct=2), 3)
    assert first.shape == (3, 1, 160)
    assert not np.array_equal(first[0], first[1]) and not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


def test_a_recording_is_as_long_as_asked(tmp_path):
    samples, sample_rate = read_audio(write_recording(tmp_path / "sound.wav", 8_000, 3))
    assert (len(samples), sample_rate) == (24_000, 8_000)
    np.testing.assert_allclose(samples[:8_000], noise_and_tones(8_000, 1.0), atol=1 / 32_000)
