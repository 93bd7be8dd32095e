"""Events and the segments that they describe."""

import json

import pytest

from streamrnn.decisions.events import Event, Segment, segments


def start(start_s, label="speech", score=0.7):
    return Event("speech_start", label, start_s, None, score, start_s + 0.1)


def end(start_s, end_s, label="speech", score=0.8):
    return Event("speech_end", label, start_s, end_s, score, end_s + 0.3)


def test_an_event_survives_json():
    event = Event("keyword", "Grüße", 1.25, 1.75, 0.1, 2.0)
    assert Event(**json.loads(json.dumps(event.to_dict()))) == event


def test_clipping_moves_every_time_back_to_the_duration():
    clipped = Event("speech_end", "speech", 2.5, 3.5, 0.9, 4.0).clipped(2.0)
    assert (clipped.start_s, clipped.end_s, clipped.decided_s) == (2.0, 2.0, 2.0)


def test_clipping_leaves_earlier_times_and_unknown_ends_alone():
    assert start(1.0).clipped(5.0) == start(1.0)


def test_a_start_and_its_end_become_one_segment_with_the_score_of_the_end():
    assert segments([start(0.5), end(0.5, 1.5)]) == [Segment("speech", 0.5, 1.5, 0.8)]


def test_an_end_whose_start_was_cut_off_still_gives_the_whole_segment():
    assert segments([end(0.5, 1.5)]) == [Segment("speech", 0.5, 1.5, 0.8)]


def test_an_open_start_closes_at_the_duration():
    assert segments([start(0.5)], duration_s=2.0) == [Segment("speech", 0.5, 2.0, 0.7)]


def test_an_open_start_beyond_the_duration_gives_an_empty_segment_and_none_that_runs_backwards():
    assert segments([start(0.5)], duration_s=0.4) == [Segment("speech", 0.5, 0.5, 0.7)]


def test_an_open_start_without_a_duration_is_refused():
    with pytest.raises(ValueError, match=r"'speech' at 0\.500 s that never ends.*pass duration_s"):
        segments([start(0.5)])


def test_two_starts_without_an_end_between_are_refused():
    with pytest.raises(ValueError, match=r"at 0\.500 s and 1\.000 s"):
        segments([start(0.5), start(1.0)], duration_s=2.0)


def test_speech_of_two_labels_may_overlap():
    events = [start(0.0, "ann"), start(1.0, "ben"), end(1.0, 2.0, "ben"), end(0.0, 3.0, "ann")]
    assert [(s.label, s.start_s, s.end_s) for s in segments(events)] == [("ann", 0.0, 3.0), ("ben", 1.0, 2.0)]


def test_words_and_keywords_become_segments_sorted_by_start():
    events = [
        start(0.0),
        Event("word", "hello", 0.1, 0.4, 0.9, 0.5),
        Event("keyword", "stop", 0.6, None, 0.95, 0.7),
        end(0.0, 1.0),
    ]
    found = [(s.label, s.start_s, s.end_s) for s in segments(events)]
    assert found == [("speech", 0.0, 1.0), ("hello", 0.1, 0.4), ("stop", 0.6, 0.6)]


def test_partial_results_and_endpoints_describe_no_segment():
    events = [Event("partial", "hel", 0.0, 0.2, 0.5, 0.3), Event("endpoint", "", 1.0, None, 0.9, 1.2)]
    assert segments(events) == []
