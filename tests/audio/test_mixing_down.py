import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import (
    ArraySource,
    AudioError,
    AudioWarning,
    as_samples,
    mono,
    open_source,
    read_audio,
    write_audio,
)
from tests.audio.broken import RATE, encoded, noise


def mixed(samples, chunk_samples=1000, channel=None):
    chunks = (samples[i : i + chunk_samples] for i in range(0, len(samples), chunk_samples))
    return np.concatenate(list(mono(chunks, RATE, channel)))


def inverted(samples, share=1.0):
    return np.stack([samples, -share * samples], axis=1)


@pytest.mark.parametrize("share", [1.0, 0.9, 1.1])
def test_an_inverted_channel_gives_one_warning_that_says_what_to_do(share):
    with pytest.warns(AudioWarning, match="--channel 0") as caught:
        mixed(inverted(noise(3.0), share))
    assert len(caught) == 1


@given(chunk_samples=st.integers(1, 9000), start=st.integers(0, 3))
def test_whether_and_when_it_is_said_does_not_depend_on_the_cutting(chunk_samples, start):
    chunk_samples = max(chunk_samples, 20)
    samples = inverted(np.concatenate([np.zeros(start * 4000, np.float32), noise(1.0)]))
    heard = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chunks = (samples[i : i + chunk_samples] for i in range(0, len(samples), chunk_samples))
        for chunk in mono(chunks, RATE):
            heard += len(chunk)
            if caught:
                break
    # Five windows of 1600 samples of sound, up to the end of the chunk in which the last of them ends.
    needed = -(-start * 4000 // 1600) * 1600 + 5 * 1600 if start * 4000 % 1600 else start * 4000 + 5 * 1600
    assert needed - 1600 <= heard < needed + chunk_samples


@pytest.mark.parametrize("rate", [16_000.0, np.int16(16_000), np.uint16(48_000)])
def test_a_rate_may_be_any_kind_of_whole_number(rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heard = np.concatenate(list(open_source(both(noise(2.0)), sample_rate=rate)))
        assert len(np.concatenate(list(mono(iter([heard]), rate)))) == 2 * RATE


def test_channels_may_come_and_go_between_chunks():
    chunks = [np.stack([noise(0.03)] * channels, axis=1) for channels in (2, 3, 2, 1, 2)]
    for chunk, heard in zip(chunks, mono(chunks, RATE), strict=True):
        np.testing.assert_allclose(heard, chunk[:, 0], atol=1e-7)


def both(other):
    return np.stack([noise(2.0), other], axis=1)


@pytest.mark.parametrize(
    "samples",
    [
        both(noise(2.0)),
        both(noise(2.0, seed=1)),
        both(np.zeros(2 * RATE, np.float32)),
        both(np.roll(noise(2.0), 3)),
        inverted(1e-4 * noise(2.0)),
        np.concatenate([inverted(noise(0.4)), both(noise(2.0, seed=1))]),
        noise(2.0, channels=16),
        noise(2.0),
    ],
)
def test_channels_that_do_not_cancel_are_mixed_without_a_word(samples):
    np.testing.assert_array_equal(mixed(samples), as_samples(samples))


def test_the_channel_asked_for_is_heard_alone():
    samples = np.stack([noise(1.0), -noise(1.0), noise(1.0, seed=1)], axis=1)
    for channel in range(3):
        np.testing.assert_array_equal(mixed(samples, channel=channel), samples[:, channel])
    np.testing.assert_array_equal(mixed(noise(1.0), channel=0), noise(1.0))


@pytest.mark.parametrize("channel, said", [(2, "channels 0 to 1"), (-1, "channels 0 to 1")])
def test_a_channel_that_is_not_there_is_refused(channel, said):
    with pytest.raises(AudioError, match=said):
        mixed(inverted(noise(0.1)), channel=channel)
    with pytest.raises(AudioError, match="only channel 0"):
        mixed(noise(0.1), channel=1)


def test_a_file_is_read_by_its_channel(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(inverted(noise(1.0)), RATE, "WAV"))
    with pytest.warns(AudioWarning, match="cancel"):
        assert np.abs(read_audio(tmp_path / "a.wav")[0]).max() < 1e-4
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", channel=1)[0], -noise(1.0), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 50), (1, 64), (2, 40)])
def test_a_recording_of_more_channels_than_samples_is_refused_as_transposed(shape, tmp_path):
    for refused in (
        lambda: ArraySource(np.zeros(shape, np.float32), RATE),
        lambda: open_source(np.zeros(shape, np.float32), sample_rate=RATE),
        lambda: write_audio(tmp_path / "a.wav", np.zeros(shape, np.float32), RATE),
    ):
        with pytest.raises(AudioError, match="transpose"):
            refused()
    assert ArraySource(np.zeros((0, 2), np.float32), RATE).channels == 2
