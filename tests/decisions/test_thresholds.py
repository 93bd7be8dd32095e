"""The speech decoder against a slow, obvious one, and the laws that it keeps however its input is cut."""

import itertools
import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.decisions.events import Event, segments
from streamrnn.decisions.thresholds import SpeechDecoder, SpeechSettings

FRAME_S = 0.01
PAUSE = [0.0] * 30

# Values on both sides of the thresholds and exactly on them, in runs, so that speech and silence really occur.
levels = st.sampled_from([0.0, 0.25, 0.34375, 0.375, 0.4375, 0.5, 0.75, 1.0]) | st.floats(0, 1, width=32)
runs = st.lists(st.tuples(levels, st.integers(1, 12)), max_size=25)
probabilities = runs.map(lambda pairs: [level for level, count in pairs for _ in range(count)])
speech_settings = st.builds(
    SpeechSettings,
    threshold=st.sampled_from([0.5, 0.75]),
    off_threshold=st.sampled_from([None, 0.25, 0.5]),
    min_speech_ms=st.sampled_from([0.0, 12.0, 60.0]),
    min_silence_ms=st.sampled_from([0.0, 10.0, 50.0]),
    padding_ms=st.sampled_from([0.0, 20.0, 75.0]),
)
property_test = hypothesis.settings(deadline=None)


def decode(decoder, values, cuts=()):
    """All events of a recording of whole frames, pushed in pieces that end at `cuts`."""
    pieces = np.split(np.asarray(values, np.float32), sorted(cuts))
    events = [event for piece in pieces for event in decoder.push(piece)]
    return events + decoder.finish(len(values) * decoder.frame_s)


def frames_of(duration_ms):
    return max(1, math.ceil(duration_ms / 10))


def reference_spans(values, settings):
    """Speech taken with the whole recording in sight: (onset, last speech frame, frame that ended it or None)."""
    speech, silence = frames_of(settings.min_speech_ms), frames_of(settings.min_silence_ms)
    loud = [p >= settings.resolved_off_threshold for p in values]
    spans, onset = [], 0
    while onset + speech <= len(values):
        if values[onset] < settings.threshold or not all(loud[onset : onset + speech]):
            onset += 1
            continue
        pauses = (t for t in range(onset + speech, len(values) - silence + 1) if not any(loud[t : t + silence]))
        pause = next(pauses, None)
        last = (len(values) - 1 - loud[::-1].index(True)) if pause is None else pause - 1
        spans.append((onset, last, None if pause is None else pause + silence - 1))
        onset = len(values) if pause is None else pause + silence
    return spans


def reference(values, settings, lookahead_s):
    """The events of those spans, as (kind, start_s, end_s, score, decided_s)."""

    def score(first, last):
        return float(np.mean([p for p in values[first : last + 1] if p >= settings.resolved_off_threshold]))

    padding_s, duration_s, previous_end_s, events = settings.padding_ms / 1000, len(values) * FRAME_S, 0.0, []
    for onset, last, ended in reference_spans(values, settings):
        start_s = max(onset * FRAME_S - padding_s, previous_end_s)
        heard = onset + frames_of(settings.min_speech_ms)
        events.append(("speech_start", start_s, None, score(onset, heard - 1), heard * FRAME_S + lookahead_s))
        limit_s = duration_s if ended is None else (ended + 1) * FRAME_S
        decided_s = duration_s if ended is None else limit_s + lookahead_s
        previous_end_s = min((last + 1) * FRAME_S + padding_s, limit_s)
        events.append(("speech_end", start_s, previous_end_s, score(onset, last), decided_s))
    return events


def flat(event):
    return event.kind, event.start_s, event.end_s, event.score, event.decided_s


@property_test
@hypothesis.given(probabilities, speech_settings, st.sampled_from([0.0, 0.04]))
def test_events_equal_those_of_the_slow_reference(values, settings, lookahead_s):
    found = [flat(event) for event in decode(SpeechDecoder(settings, FRAME_S, lookahead_s), values)]
    expected = reference(values, settings, lookahead_s)
    assert [event[0] for event in found] == [event[0] for event in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [x is None for x in ours] == [x is None for x in theirs]
        assert [x for x in ours[1:] if x is not None] == pytest.approx(
            [x for x in theirs[1:] if x is not None], abs=1e-9
        )


@property_test
@hypothesis.given(probabilities, speech_settings, st.data())
def test_any_chunking_gives_identical_events(values, settings, data):
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=8))
    whole = decode(SpeechDecoder(settings, FRAME_S), values)
    assert decode(SpeechDecoder(settings, FRAME_S), values, cuts) == whole


@property_test
@hypothesis.given(probabilities, speech_settings, st.data())
def test_a_snapshot_goes_on_in_another_decoder_after_a_trip_through_json(values, settings, data):
    cut = data.draw(st.integers(0, len(values)))
    values = np.asarray(values, np.float32)
    first, second = SpeechDecoder(settings, FRAME_S), SpeechDecoder(settings, FRAME_S)
    events = first.push(values[:cut])
    second.restore(json.loads(json.dumps(first.snapshot())))
    events += second.push(values[cut:]) + second.finish(len(values) * FRAME_S)
    assert events == decode(SpeechDecoder(settings, FRAME_S), values)


@property_test
@hypothesis.given(probabilities, speech_settings)
def test_starts_and_ends_alternate_and_segments_are_ordered_and_long_enough(values, settings):
    events = decode(SpeechDecoder(settings, FRAME_S, lookahead_s=0.02), values)
    kinds = [event.kind for event in events]
    assert kinds == ["speech_start", "speech_end"] * (len(kinds) // 2)
    assert [e.decided_s for e in events[:-1]] == sorted(e.decided_s for e in events[:-1])
    found = segments(events)
    assert [event.start_s for event in events[::2]] == [segment.start_s for segment in found]
    assert all(s.end_s - s.start_s >= settings.min_speech_ms / 1000 - 1e-9 for s in found)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(found))
    assert all(s.start_s >= 0 and s.end_s <= len(values) * FRAME_S + 1e-9 for s in found)
    assert all(settings.resolved_off_threshold <= s.score <= 1 for s in found)


def test_speech_is_announced_at_once_and_dated_back():
    decoder = SpeechDecoder(SpeechSettings(min_speech_ms=60, padding_ms=30), FRAME_S, lookahead_s=0.02)
    assert decoder.push(np.array([0.0] * 10 + [1.0] * 5)) == []
    (event,) = decoder.push(np.array([0.5]))
    assert (event.kind, event.label, event.end_s) == ("speech_start", "speech", None)
    assert event.start_s == pytest.approx(0.10 - 0.03)
    assert event.score == pytest.approx(5.5 / 6)
    assert event.decided_s == pytest.approx(0.16 + 0.02)


def test_a_dip_between_the_thresholds_neither_drops_nor_ends_speech():
    values = [0.6] + [0.4] * 100 + PAUSE
    (segment,) = segments(decode(SpeechDecoder(SpeechSettings(threshold=0.5, off_threshold=0.35), FRAME_S), values))
    assert (segment.start_s, segment.end_s) == pytest.approx((0.0, 1.01 + 0.03))


def test_a_dip_below_the_off_threshold_drops_a_candidate():
    values = ([0.9] * 5 + [0.1]) * 10
    assert decode(SpeechDecoder(SpeechSettings(min_speech_ms=60), FRAME_S), values) == []


def test_a_pause_shorter_than_the_hangover_does_not_split_speech():
    values = [1.0] * 20 + [0.0] * 29 + [1.0] * 20 + PAUSE
    assert len(segments(decode(SpeechDecoder(SpeechSettings(), FRAME_S), values))) == 1


def test_a_pause_as_long_as_the_hangover_splits_speech():
    values = [1.0] * 20 + [0.0] * 30 + [1.0] * 20 + PAUSE
    assert len(segments(decode(SpeechDecoder(SpeechSettings(), FRAME_S), values))) == 2


def test_the_score_of_a_segment_leaves_its_pauses_out():
    values = [1.0] * 10 + [0.0] * 10 + [0.5] * 10 + PAUSE
    (segment,) = segments(decode(SpeechDecoder(SpeechSettings(), FRAME_S), values))
    assert segment.score == pytest.approx(0.75)


def test_padding_longer_than_the_hangover_keeps_segments_apart():
    settings = SpeechSettings(min_silence_ms=20, padding_ms=500)
    events = decode(SpeechDecoder(settings, FRAME_S), [1.0] * 10 + [0.0] * 2 + [1.0] * 10)
    first, second = segments(events)
    assert first.end_s == second.start_s == pytest.approx(0.12)


def test_the_end_of_the_stream_closes_speech_at_its_duration():
    decoder = SpeechDecoder(SpeechSettings(), FRAME_S, lookahead_s=0.5)
    decoder.push(np.ones(20))
    (event,) = decoder.finish(0.195)
    assert (event.kind, event.end_s, event.decided_s) == ("speech_end", 0.195, 0.195)


def test_the_end_of_the_stream_does_not_stretch_speech_over_a_pause():
    decoder = SpeechDecoder(SpeechSettings(), FRAME_S)
    decoder.push(np.array([1.0] * 20 + [0.0] * 20))
    (event,) = decoder.finish(0.4)
    assert event.end_s == pytest.approx(0.23)


def test_the_end_of_the_stream_drops_a_candidate():
    decoder = SpeechDecoder(SpeechSettings(min_speech_ms=60), FRAME_S)
    assert decoder.push(np.ones(5)) == []
    assert decoder.finish(0.05) == []


@pytest.mark.parametrize("again", [SpeechDecoder.reset, lambda decoder: decoder.finish(0.2)], ids=["reset", "finish"])
def test_a_decoder_is_fresh_after_reset_and_after_finish(again):
    decoder, values = SpeechDecoder(SpeechSettings(), FRAME_S), [1.0] * 20 + PAUSE
    decoder.push(np.ones(20))
    again(decoder)
    assert decoder.snapshot() == SpeechDecoder(SpeechSettings(), FRAME_S).snapshot()
    assert decode(decoder, values) == decode(SpeechDecoder(SpeechSettings(), FRAME_S), values)


def test_times_do_not_drift_over_hours():
    decoder = SpeechDecoder(SpeechSettings(padding_ms=0), FRAME_S)
    decoder.restore(decoder.snapshot() | {"frames": 3_600_000})
    (event,) = decoder.push(np.ones(6))
    assert event.start_s == 36_000.0


def test_durations_round_up_to_whole_frames_but_not_beyond():
    # 70 / 1000 / .01 is 7.000000000000001 in floating point, which is still seven frames.
    decoder = SpeechDecoder(SpeechSettings(min_speech_ms=70), FRAME_S)
    assert decoder.push(np.ones(6)) == []
    assert len(decoder.push(np.ones(1))) == 1


def test_both_shapes_of_outputs_give_the_same_events():
    values = np.ones(10, np.float32)
    column = SpeechDecoder(SpeechSettings(), FRAME_S).push(values[:, None])
    assert column == SpeechDecoder(SpeechSettings(), FRAME_S).push(values)
    assert len(column) == 1


def test_a_push_of_no_frames_changes_nothing():
    decoder = SpeechDecoder(SpeechSettings(), FRAME_S)
    decoder.push(np.ones(3))
    before = decoder.snapshot()
    assert decoder.push(np.empty((0, 1), np.float32)) == []
    assert decoder.snapshot() == before


@pytest.mark.parametrize("padding_ms", [30.0, 100.0, 400.0, 500.0])
def test_speech_that_goes_on_after_a_conclusion_begins_at_the_end_that_was_told(padding_ms):
    decoder = SpeechDecoder(SpeechSettings(padding_ms=padding_ms), FRAME_S)
    decoder.push(np.ones(200))
    (told,) = decoder.conclude(1.995)
    started, ended = decoder.push(np.array([1.0] * 10 + PAUSE))
    assert told.end_s == started.start_s == 1.995 and started.decided_s == pytest.approx(2.06)
    assert ended.end_s == pytest.approx(min(2.1 + padding_ms / 1000, 2.4))


@property_test
@hypothesis.given(probabilities, speech_settings, st.sampled_from([0.0, 0.1]), st.data())
def test_conclusions_leave_segments_apart_and_none_begins_after_its_decision(values, settings, lookahead_s, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    decoder, events = SpeechDecoder(settings, FRAME_S, lookahead_s), []
    for cut, piece in zip((*cuts, len(values)), np.split(np.asarray(values, np.float32), cuts), strict=True):
        events += decoder.push(piece) + decoder.conclude(cut * FRAME_S + lookahead_s)
    assert all(event.start_s <= event.decided_s + 1e-6 for event in events)
    found = segments(events)
    assert all(segment.start_s <= segment.end_s for segment in found)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(found))


def test_the_label_of_the_decoder_is_that_of_its_events():
    events = decode(SpeechDecoder(SpeechSettings(), FRAME_S, label="singing"), [1.0] * 10)
    assert [event.label for event in events] == ["singing", "singing"]


def test_numbers_in_events_and_snapshots_are_plain_python():
    decoder = SpeechDecoder(SpeechSettings(), FRAME_S)
    (event,) = decoder.push(np.ones(6, np.float32))
    assert event == Event("speech_start", "speech", 0.0, None, 1.0, 0.06)
    assert {type(number) for number in decoder.snapshot().values()} == {int, float, bool}
    assert type(event.score) is type(event.start_s) is float


def test_nan_names_its_frame_and_leaves_the_decoder_as_it_was():
    decoder = SpeechDecoder(SpeechSettings(), FRAME_S)
    decoder.push(np.ones(100))
    before = decoder.snapshot()
    with pytest.raises(ValueError, match=r"NaN in frame 102 \(1\.020 s\)"):
        decoder.push(np.array([0.0, 1.0, np.nan, 1.0]))
    assert decoder.snapshot() == before


@pytest.mark.parametrize("shape", [(), (3, 2), (1, 3, 1)])
def test_outputs_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"needs \[frames\] or \[frames, 1\]"):
        SpeechDecoder(SpeechSettings(), FRAME_S).push(np.zeros(shape))


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(ValueError, match=r"got the keys \['hidden'\]"):
        SpeechDecoder(SpeechSettings(), FRAME_S).restore({"hidden": 1.0})


@pytest.mark.parametrize("frame_s", [0.0, -0.01, math.nan, math.inf])
def test_a_frame_without_a_duration_is_refused(frame_s):
    with pytest.raises(ValueError, match="frame_s"):
        SpeechDecoder(SpeechSettings(), frame_s)


def test_a_negative_lookahead_is_refused():
    with pytest.raises(ValueError, match=r"lookahead_s=-0\.1"):
        SpeechDecoder(SpeechSettings(), FRAME_S, lookahead_s=-0.1)


def test_a_stream_without_a_finite_duration_is_refused():
    with pytest.raises(ValueError, match="duration_s=nan"):
        SpeechDecoder(SpeechSettings(), FRAME_S).finish(math.nan)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"threshold": 0.0}, "threshold=0.0"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"threshold": math.nan}, "threshold=nan"),
        ({"off_threshold": 0.6}, "off_threshold=0.6 with threshold=0.5"),
        ({"off_threshold": 0.0}, "off_threshold=0.0"),
        ({"min_speech_ms": -1.0}, "min_speech_ms=-1.0"),
        ({"min_silence_ms": math.inf}, "min_silence_ms=inf"),
        ({"padding_ms": math.nan}, "padding_ms=nan"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values, named):
    with pytest.raises(ValueError, match=named):
        SpeechSettings(**values)


@pytest.mark.parametrize(
    ("threshold", "off"), [(0.7, 0.25), (0.5, 0.125), (0.9, 0.5625), (1.0, 1.0), (0.007, 0.001006)]
)
def test_the_default_off_threshold_has_a_seventh_of_the_odds(threshold, off):
    assert SpeechSettings(threshold=threshold).resolved_off_threshold == pytest.approx(off, rel=1e-3)
