"""Utterances: the very samples of the source, with what came just before, and nothing kept longer than needed."""

import numpy as np
import pytest

from streamrnn.decisions import segments
from streamrnn.runtime import Listener, speech_audio, utterances


def in_chunks(sound, chunk_samples):
    for start in range(0, len(sound), chunk_samples):
        yield sound[start : start + chunk_samples].copy()


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
@pytest.mark.parametrize("chunk_ms", [1, 10, 37, 1000])
def test_an_utterance_is_its_segment_and_the_sound_just_before(loudness, tone_between, hear, sample_rate, chunk_ms):
    sound = tone_between([(0.6, 1.0), (1.6, 2.1)], 2.7, sample_rate)
    chunks = in_chunks(sound, sample_rate * chunk_ms // 1000)
    found = list(speech_audio(loudness, chunks, sample_rate, pre_roll_ms=150))
    assert [segment for segment, _ in found] == segments(hear(Listener(loudness, sample_rate), [sound]))
    assert len(found) == 2
    for segment, samples in found:
        first, last = round((segment.start_s - 0.15) * sample_rate), round(segment.end_s * sample_rate)
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, sound[first:last])


def test_the_pre_roll_begins_with_the_stream_at_the_earliest(loudness, tone_between):
    sound = tone_between([(0.1, 0.5)], 1.0)
    [(segment, samples)] = speech_audio(loudness, sound, 16_000, pre_roll_ms=500)
    np.testing.assert_array_equal(samples, sound[: round(segment.end_s * 16_000)])


def test_without_a_pre_roll_the_utterance_is_exactly_its_segment(loudness, tone_between):
    sound = tone_between([(0.7, 1.1)], 1.6)
    [(segment, samples)] = speech_audio(loudness, in_chunks(sound, 50), 16_000, pre_roll_ms=0)
    np.testing.assert_array_equal(samples, sound[round(segment.start_s * 16_000) : round(segment.end_s * 16_000)])


def test_speech_that_lasts_until_the_end_is_the_last_utterance(loudness, tone_between):
    sound = tone_between([(0.5, 2.0)], 1.2345)
    [(segment, samples)] = speech_audio(loudness, sound, 16_000)
    assert segment.end_s == len(sound) / 16_000
    np.testing.assert_array_equal(samples, sound[-len(samples) :])


def test_an_utterance_comes_as_soon_as_its_end_is_decided(loudness, tone_between):
    taken = 0

    def chunks():
        nonlocal taken
        for chunk in in_chunks(tone_between([(0.1, 0.3)], 3.0), 160):
            taken += 1
            yield chunk

    next(speech_audio(loudness, chunks(), 16_000))
    # Speech until 0.3 s, a hangover of 0.3 s and a look-ahead of 0.03 s.
    assert taken == 63


def test_stereo_sound_is_mixed_down(loudness, tone_between):
    sound = tone_between([(0.5, 0.8)], 1.3)
    stereo = np.stack([sound, np.zeros_like(sound)], axis=1)
    [(_, samples)] = speech_audio(loudness, in_chunks(stereo, 1600), 16_000)
    assert np.abs(samples).max() == pytest.approx(0.25, rel=1e-3)


def test_decision_settings_are_taken(loudness, tone_between):
    sound = tone_between([(0.2, 0.4), (0.6, 0.8)], 1.0)
    assert len(list(speech_audio(loudness, sound, 16_000, min_silence_ms=100))) == 2
    assert len(list(speech_audio(loudness, sound, 16_000, min_speech_ms=1000))) == 0


def test_a_long_start_of_speech_is_still_held_when_it_is_decided(loudness, tone_between):
    sound = tone_between([(1.0, 2.0)], 2.5)
    [(segment, samples)] = speech_audio(loudness, in_chunks(sound, 160), 16_000, min_speech_ms=705, pre_roll_ms=100)
    first, last = round((segment.start_s - 0.1) * 16_000), round(segment.end_s * 16_000)
    np.testing.assert_array_equal(samples, sound[first:last])


def test_silence_is_not_kept(loudness, tone_between, monkeypatch):
    held = []

    class WatchedRecent(utterances._Recent):
        def forget(self, before_s):
            super().forget(before_s)
            held.append(len(self.chunks))

    monkeypatch.setattr(utterances, "_Recent", WatchedRecent)
    chunks = in_chunks(tone_between([(4.0, 4.3)], 8.0), 160)
    assert len(list(speech_audio(loudness, chunks, 16_000, pre_roll_ms=200))) == 1
    # 0.3 s of speech, 0.33 s until its end is decided and 0.2 s of pre-roll, in chunks of 10 ms; not 8 s.
    assert 80 < max(held) < 100


def test_a_source_may_fill_one_buffer_again_and_again(loudness, tone_between):
    sound = tone_between([(0.6, 1.0)], 1.6)

    def chunks():
        buffer = np.zeros(320, np.float32)
        for start in range(0, len(sound), 320):
            buffer[:] = sound[start : start + 320]
            yield buffer

    [(segment, samples)] = speech_audio(loudness, chunks(), 16_000, pre_roll_ms=0)
    np.testing.assert_array_equal(samples, sound[round(segment.start_s * 16_000) : round(segment.end_s * 16_000)])


def test_no_sound_comes_twice_where_pauses_are_short(loudness, tone_between):
    sound = tone_between([(0.5, 0.8), (0.95, 1.2)], 1.6)
    found = list(speech_audio(loudness, sound, 16_000, pre_roll_ms=500, min_silence_ms=60))
    (first, _), (second, samples) = found
    assert len(samples) == round(second.end_s * 16_000) - round(first.end_s * 16_000)
