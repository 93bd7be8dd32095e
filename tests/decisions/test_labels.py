"""Label decoding: when a label begins and ends, and that chunks make no difference."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.decisions import Event, LabelDecoder, LabelSettings, Segment, segments

FRAME_S = 0.1
LABELS = ("de", "en", "")


def decoder_of(lookahead_s: float = 0.0, **settings) -> LabelDecoder:
    return LabelDecoder(LabelSettings(**{"smoothing_ms": 0.0} | settings), LABELS, FRAME_S, lookahead_s)


def posteriors_of(*stretches: tuple[int, float, float]) -> np.ndarray:
    """(frames, posterior of de, of en), one after the other; the rest is of no label."""
    rows = [[de, en, 1 - de - en] for frames, de, en in stretches for _ in range(frames)]
    return np.array(rows, np.float32)


def decided(decoder: LabelDecoder, posteriors: np.ndarray) -> list[Event]:
    return decoder.push(posteriors) + decoder.finish(len(posteriors) * FRAME_S)


def test_a_label_comes_when_it_begins_and_when_it_ends():
    events = decided(decoder_of(lookahead_s=0.2), posteriors_of((2, 0.1, 0.1), (3, 0.7, 0.2), (2, 0.1, 0.1)))
    begun, ended = events
    assert begun == Event("label", "de", 0.2, None, pytest.approx(0.7), 0.5)
    assert ended == Event("label", "de", 0.2, 0.5, pytest.approx(0.7), 0.8)


def test_another_label_ends_the_one_that_holds_and_the_last_ends_with_the_stream():
    events = decided(decoder_of(), posteriors_of((3, 0.9, 0.1), (4, 0.2, 0.8)))
    assert [(s.label, s.start_s, s.end_s) for s in segments(events)] == [("de", 0.0, 0.3), ("en", 0.3, 0.7)]


def test_a_label_holds_while_it_is_above_the_lower_threshold():
    posteriors = posteriors_of((2, 0.6, 0.3), (2, 0.3, 0.3), (2, 0.2, 0.4))
    assert [s.end_s for s in segments(decided(decoder_of(), posteriors))] == [pytest.approx(0.4)]
    assert [s.end_s for s in segments(decided(decoder_of(off_threshold=0.5), posteriors))] == [pytest.approx(0.2)]


def test_what_has_no_label_gives_no_event():
    assert decided(decoder_of(), posteriors_of((5, 0.0, 0.0))) == []


def test_a_stretch_is_placed_where_it_was_in_spite_of_smoothing():
    events = decided(decoder_of(smoothing_ms=1000), posteriors_of((20, 1.0, 0.0), (20, 0.0, 1.0)))
    (first, second) = segments(events)
    assert first.end_s == pytest.approx(2.0, abs=0.1) and second.start_s == pytest.approx(2.0, abs=0.1)
    assert first.end_s <= second.start_s


def test_a_label_that_goes_on_after_a_conclusion_begins_at_the_end_that_was_told():
    decoder = decoder_of(smoothing_ms=1000)
    decoder.push(posteriors_of((20, 1.0, 0.0)))
    (told,) = decoder.conclude(1.95)
    snapshot = json.loads(json.dumps(decoder.snapshot()))
    decoder = decoder_of(smoothing_ms=1000)
    decoder.restore(snapshot)
    started, ended, other = decoder.push(posteriors_of((3, 1.0, 0.0), (8, 0.0, 1.0)))
    assert told.end_s == started.start_s == 1.95 and started.decided_s == pytest.approx(2.1)
    assert (ended.label, other.label) == ("de", "en") and 1.95 <= ended.end_s <= other.start_s


@given(st.data())
def test_any_chunks_and_any_snapshot_give_the_same_events(data):
    posteriors = np.random.default_rng(data.draw(st.integers(0, 99))).dirichlet((0.3, 0.3, 0.3), 30).astype(np.float32)
    cuts = sorted(data.draw(st.lists(st.integers(0, 30), max_size=4)))
    settings = {"smoothing_ms": 300.0, "threshold": 0.4}
    whole, events, decoder = decided(decoder_of(**settings), posteriors), [], decoder_of(**settings)
    for chunk in np.split(posteriors, cuts):
        events += decoder.push(chunk)
        snapshot = json.loads(json.dumps(decoder.snapshot()))
        decoder = decoder_of(**settings)
        decoder.restore(snapshot)
    assert events + decoder.finish(len(posteriors) * FRAME_S) == whole


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 2), np.float32), np.zeros(3, np.float32), np.full((1, 3), np.nan, np.float32)]
)
def test_outputs_of_another_shape_and_nan_are_refused(wrong):
    with pytest.raises(ValueError, match=r"needs posteriors, \[frames, 3\]"):
        decoder_of().push(wrong)


@pytest.mark.parametrize(
    "values", [{"threshold": 0.0}, {"threshold": 1.1}, {"off_threshold": 0.6}, {"smoothing_ms": -1.0}]
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match="LabelSettings got"):
        LabelSettings(**values)


def test_a_snapshot_of_another_decoder_is_refused():
    with pytest.raises(ValueError, match="same labels and smoothing_ms"):
        decoder_of().restore(decoder_of(smoothing_ms=300.0).snapshot())
    with pytest.raises(ValueError, match="restore got the keys"):
        decoder_of().restore({"frames": 1})


@pytest.mark.parametrize("labels", [(), ("a", "a"), ("",)])
def test_labels_that_say_nothing_are_refused(labels):
    with pytest.raises(ValueError, match="must differ"):
        LabelDecoder(LabelSettings(), labels, FRAME_S)


def test_a_label_that_never_ends_takes_the_duration():
    begun = decoder_of().push(posteriors_of((3, 0.9, 0.1)))
    assert segments(begun, 0.3) == [Segment("de", 0.0, 0.3, pytest.approx(0.9))]
    with pytest.raises(ValueError, match=r"label of 'de' at 0\.000 s that never ends"):
        segments(begun)
