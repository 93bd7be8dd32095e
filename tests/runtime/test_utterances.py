"""Utterances: the very samples of the source, with what came just before, and nothing kept longer than needed."""

import numpy as np
import pytest

from streamrnn.audio import AudioError
from streamrnn.decisions import Event, SpeechSettings, segments
from streamrnn.runtime import Listener, Pool, Utterances, cutting, utterances


def in_chunks(sound, chunk_samples):
    for start in range(0, len(sound), chunk_samples):
        yield sound[start : start + chunk_samples].copy()


def cut(*args, **settings):
    """The utterances of a source, one by one: (segment, samples)."""
    for utterance in utterances(*args, **settings):
        yield utterance.segment, utterance.samples


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
@pytest.mark.parametrize("chunk_ms", [1, 10, 37, 1000])
def test_an_utterance_is_its_segment_and_the_sound_just_before(loudness, tone_between, hear, sample_rate, chunk_ms):
    sound = tone_between([(0.6, 1.0), (1.6, 2.1)], 2.7, sample_rate)
    chunks = in_chunks(sound, sample_rate * chunk_ms // 1000)
    found = list(cut(loudness, chunks, sample_rate, pre_roll_ms=150))
    assert [segment for segment, _ in found] == segments(hear(Listener(loudness, sample_rate), [sound]))
    assert len(found) == 2
    for segment, samples in found:
        first, last = round((segment.start_s - 0.15) * sample_rate), round(segment.end_s * sample_rate)
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, sound[first:last])


def test_the_pre_roll_begins_with_the_stream_at_the_earliest(loudness, tone_between):
    sound = tone_between([(0.1, 0.5)], 1.0)
    [(segment, samples)] = cut(loudness, sound, 16_000, pre_roll_ms=500)
    np.testing.assert_array_equal(samples, sound[: round(segment.end_s * 16_000)])


def test_without_a_pre_roll_the_utterance_is_exactly_its_segment(loudness, tone_between):
    sound = tone_between([(0.7, 1.1)], 1.6)
    [(segment, samples)] = cut(loudness, in_chunks(sound, 50), 16_000, pre_roll_ms=0)
    np.testing.assert_array_equal(samples, sound[round(segment.start_s * 16_000) : round(segment.end_s * 16_000)])


def test_speech_that_lasts_until_the_end_is_the_last_utterance(loudness, tone_between):
    sound = tone_between([(0.5, 2.0)], 1.2345)
    [(segment, samples)] = cut(loudness, sound, 16_000)
    assert segment.end_s == len(sound) / 16_000
    np.testing.assert_array_equal(samples, sound[-len(samples) :])


def test_an_utterance_comes_as_soon_as_its_end_is_decided(loudness, tone_between):
    taken = 0

    def chunks():
        nonlocal taken
        for chunk in in_chunks(tone_between([(0.1, 0.3)], 3.0), 160):
            taken += 1
            yield chunk

    next(cut(loudness, chunks(), 16_000))
    # Speech until 0.3 s, a hangover of 0.3 s and a look-ahead of 0.03 s.
    assert taken == 63


def test_stereo_sound_is_mixed_down(loudness, tone_between):
    sound = tone_between([(0.5, 0.8)], 1.3)
    stereo = np.stack([sound, np.zeros_like(sound)], axis=1)
    [(_, samples)] = cut(loudness, in_chunks(stereo, 1600), 16_000)
    assert np.abs(samples).max() == pytest.approx(0.25, rel=1e-3)


def test_decision_settings_are_taken(loudness, tone_between):
    sound = tone_between([(0.2, 0.4), (0.6, 0.8)], 1.0)
    assert len(list(cut(loudness, sound, 16_000, min_silence_ms=100))) == 2
    assert len(list(cut(loudness, sound, 16_000, min_speech_ms=1000))) == 0


def test_a_long_start_of_speech_is_still_held_when_it_is_decided(loudness, tone_between):
    sound = tone_between([(1.0, 2.0)], 2.5)
    [(segment, samples)] = cut(loudness, in_chunks(sound, 160), 16_000, min_speech_ms=705, pre_roll_ms=100)
    first, last = round((segment.start_s - 0.1) * 16_000), round(segment.end_s * 16_000)
    np.testing.assert_array_equal(samples, sound[first:last])


def test_silence_is_not_kept(loudness, tone_between, monkeypatch):
    held = []

    class WatchedRecent(cutting._Recent):
        def forget(self, before_s):
            super().forget(before_s)
            held.append(len(self.chunks))

    monkeypatch.setattr(cutting, "_Recent", WatchedRecent)
    chunks = in_chunks(tone_between([(4.0, 4.3)], 8.0), 160)
    assert len(list(cut(loudness, chunks, 16_000, pre_roll_ms=200))) == 1
    # 0.3 s of speech, 0.33 s until its end is decided and 0.2 s of pre-roll, in chunks of 10 ms; not 8 s.
    assert 80 < max(held) < 100


def test_a_source_may_fill_one_buffer_again_and_again(loudness, tone_between):
    sound = tone_between([(0.6, 1.0)], 1.6)

    def chunks():
        buffer = np.zeros(320, np.float32)
        for start in range(0, len(sound), 320):
            buffer[:] = sound[start : start + 320]
            yield buffer

    [(segment, samples)] = cut(loudness, chunks(), 16_000, pre_roll_ms=0)
    np.testing.assert_array_equal(samples, sound[round(segment.start_s * 16_000) : round(segment.end_s * 16_000)])


@pytest.fixture
def long_speech() -> tuple[np.ndarray, list[float]]:
    """Speech from 0.5 to 4.5 s, softer but not silent around some times; these times."""
    sound = 0.3 * np.random.default_rng(0).uniform(-1, 1, 5 * 16_000).astype(np.float32)
    pauses_s = [1.3, 2.15, 3.0]
    for middle_s in pauses_s:
        sound[round((middle_s - 0.06) * 16_000) : round((middle_s + 0.06) * 16_000)] *= 0.1
    sound[:8000] = sound[72_000:] = 0
    return sound, pauses_s


@pytest.mark.parametrize("chunk_samples", [160, 1000, 80_000])
def test_an_utterance_that_is_too_long_is_cut_in_pauses_and_loses_nothing(loudness, long_speech, chunk_samples):
    sound, pauses_s = long_speech
    found = list(cut(loudness, in_chunks(sound, chunk_samples), 16_000, longest_s=1.0, pre_roll_ms=100))
    ends_s = [segment.end_s for segment, _ in found]
    assert ends_s[:-2] == pytest.approx(pauses_s, abs=0.03) and max(np.diff(ends_s)) <= 1.0
    np.testing.assert_array_equal(
        np.concatenate([samples for _, samples in found]),
        sound[round((found[0][0].start_s - 0.1) * 16_000) : round(ends_s[-1] * 16_000)],
    )
    assert [segment.start_s for segment, _ in found][1:] == ends_s[:-1]
    assert all(segment.label == "speech" and 0.9 < segment.score <= 1 for segment, _ in found)


def test_pieces_do_not_depend_on_chunks_and_what_is_not_too_long_is_left_whole(loudness, long_speech):
    sound, _ = long_speech
    [whole] = cut(loudness, sound, 16_000, longest_s=4.5)
    assert [segment for segment, _ in cut(loudness, in_chunks(sound, 333), 16_000)] == [whole[0]]
    ways = [[s for s, _ in cut(loudness, in_chunks(sound, n), 16_000, longest_s=0.7)] for n in (77, 1600, 80_000)]
    assert ways[0] == ways[1] == ways[2] and len(ways[0]) > 5


def test_a_piece_comes_while_the_speech_goes_on(loudness):
    def endless():
        while True:
            yield np.full(1600, 0.3, np.float32)

    pieces = cut(loudness, endless(), 16_000, longest_s=0.5)
    assert [next(pieces)[0].end_s <= limit for limit in (0.5, 1.0, 1.5)] == [True] * 3


@pytest.mark.parametrize("wrong", [0.1, -1, float("nan")])
def test_a_piece_has_half_a_second_at_least(loudness, wrong):
    with pytest.raises(ValueError, match=r"longest_s is .*; it must be 0\.5 s or more"):
        next(cut(loudness, np.zeros(160), 16_000, longest_s=wrong))


def test_no_sound_comes_twice_where_pauses_are_short(loudness, tone_between):
    sound = tone_between([(0.5, 0.8), (0.95, 1.2)], 1.6)
    found = list(cut(loudness, sound, 16_000, pre_roll_ms=500, min_silence_ms=60))
    (first, _), (second, samples) = found
    assert len(samples) == round(second.end_s * 16_000) - round(first.end_s * 16_000)


def told(found):
    return [(u.segment, u.sound_start_s, u.goes_on, u.samples.tobytes()) for u in found]


@pytest.fixture
def expected(loudness, long_speech):
    """Of the long speech, pieces of a second at most; as the generator gives them."""
    found = list(utterances(loudness, long_speech[0], 16_000, longest_s=1.0, pre_roll_ms=100))
    assert [u.goes_on for u in found] == [True] * (len(found) - 1) + [False]
    assert found[0].sound_start_s == pytest.approx(found[0].start_s - 0.1, abs=1e-4)
    assert found[1].sound_start_s == pytest.approx(found[0].end_s, abs=1e-4)
    return told(found)


def test_a_listener_gives_the_same_chunk_by_chunk_with_its_events(loudness, long_speech, expected):
    found = Utterances(Listener(loudness, 16_000), longest_s=1.0, pre_roll_ms=100)
    cuts, events = [], []
    for chunk in in_chunks(long_speech[0], 1600):
        cuts += found.feed(chunk)
        events += found.events
    cuts += found.finish()
    assert told(cuts) == expected
    assert [event.kind for event in events + found.events] == ["speech_start", "speech_end"]


def test_a_stream_of_a_pool_gives_the_same(loudness, long_speech, expected):
    pool = Pool(loudness, capacity=2, queue_s=6.0, warm_up=False)
    found, other = (Utterances(pool.open(), longest_s=1.0, pre_roll_ms=100) for _ in range(2))
    cuts = []
    for chunk in in_chunks(long_speech[0], 8000):
        assert found.feed(chunk) == [] == other.feed(0 * chunk)
        for answer in pool.tick():
            cuts += (found if answer.stream is found.stream else other).take(answer)
    found.finish()
    while answers := pool.tick():
        cuts += [u for answer in answers if answer.stream is found.stream for u in found.take(answer)]
    assert told(cuts) == expected
    other.finish()
    with pytest.raises(ValueError, match="another stream"):
        found.take(pool.tick()[0])


def test_time_without_packets_ends_an_utterance_and_keeps_times_true(loudness, tone_between):
    found = Utterances(Listener(loudness, 16_000), pre_roll_ms=0)
    speech = tone_between([(0.0, 0.5)], 0.5)
    [first] = [*found.feed(speech), *found.skip(40_000)]
    assert [event.kind for event in found.events] == ["speech_end"]
    [second] = [*found.feed(speech), *found.skip(16_000)]
    assert first.end_s == pytest.approx(0.5, abs=0.05)
    assert second.start_s == pytest.approx(3.0, abs=0.05) and second.end_s == pytest.approx(3.5, abs=0.05)
    assert found.skip(0) == []
    with pytest.raises(ValueError, match="skip got -1"):
        found.skip(-1)


def test_what_the_stream_refuses_was_not_heard(loudness, tone_between):
    found = Utterances(Listener(loudness, 16_000), pre_roll_ms=0)
    with pytest.raises(AudioError):
        found.feed(np.full(16_000, np.nan, np.float32))
    [utterance] = [*found.feed(tone_between([(0.5, 1.0)], 1.5)), *found.finish()]
    assert utterance.start_s == pytest.approx(0.5, abs=0.04)


def test_after_a_reset_time_begins_anew(loudness, tone_between):
    found = Utterances(Listener(loudness, 16_000), pre_roll_ms=0)
    sound = tone_between([(0.2, 0.5)], 1.0)
    first = told(found.feed(sound))
    found.reset()
    assert len(first) == 1 and told(found.feed(sound)) == first


def test_a_listener_that_is_made_already_can_hear_a_source(loudness, tone_between):
    sound = tone_between([(0.2, 0.5)], 1.0)
    listener = Listener(loudness, 16_000)
    with pytest.raises(ValueError, match="takes 16000 Hz"):
        utterances(listener, sound, 8000)
    with pytest.raises(TypeError, match="threshold was passed with an existing stream"):
        utterances(listener, sound, 16_000, threshold=0.5)
    assert told(utterances(listener, sound, 16_000)) == told(utterances(loudness, sound, 16_000))


@pytest.mark.parametrize("wrong", [-1, float("nan"), 1e9])
def test_a_pre_roll_has_bounds(loudness, wrong):
    with pytest.raises(ValueError, match="pre_roll_ms is"):
        Utterances(Listener(loudness, 16_000), pre_roll_ms=wrong)


def test_only_streams_that_find_speech_have_utterances(loudness):
    with pytest.raises(TypeError, match="this is a str"):
        Utterances("mic")
    words = Listener(loudness, 16_000)
    words.outlet.kinds = ("keyword",)
    with pytest.raises(TypeError, match="gives keyword"):
        Utterances(words)


@pytest.mark.parametrize("again_frames", [0, 50, 300])
def test_levels_that_come_again_move_nothing(again_frames):
    """As where a server goes on from before: what was forgotten may be among them."""
    cutter = cutting.Cutter(16_000, 0.01, SpeechSettings(), pre_roll_ms=200, longest_s=1.0)
    levels = np.concatenate([np.zeros(300), np.where(np.arange(300) % 70 < 60, 0.9, 0.1)]).astype(np.float32)
    begun = Event("speech_start", "speech", 3.0, None, 0.9, 3.2)
    ended = Event("speech_end", "speech", 3.0, 5.9, 0.9, 5.95)
    cutter.hear(np.arange(6 * 16_000, dtype=np.float32))
    found = cutter.take([], [(0.0, levels[:300])], complete=False)
    start = 300 - again_frames
    found += cutter.take([begun], [(start / 100, levels[start:])], complete=False)
    found += cutter.take([ended], [], complete=False)
    assert [(round(each.sound_start_s, 2), round(each.end_s, 2)) for each in found] == [
        (2.8, 3.65),
        (3.65, 4.35),
        (4.35, 5.05),
        (5.05, 5.9),
    ]
    sound = np.concatenate([each.samples for each in found])
    assert np.array_equal(sound, np.arange(2.8 * 16_000, 5.9 * 16_000))
