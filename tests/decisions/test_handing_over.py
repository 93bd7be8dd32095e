"""What a decoder is not sure of, it hands over to a person."""

import json
from dataclasses import replace

import numpy as np
import pytest

from streamrnn.decisions import (
    Alphabet,
    Event,
    KeywordSettings,
    LabelSettings,
    SpeechSettings,
    TranscriptSettings,
    segments,
)

FRAME_S = 0.02


def heard(settings, labels, outputs, cuts=()):
    """The events of a stream of these outputs, cut there."""
    outlet = settings.outlet(labels, FRAME_S, 0.0)
    events = [event for part in np.split(np.asarray(outputs, float), cuts) for event in outlet.push(part).events]
    return events + outlet.finish(np.zeros((0, len(outputs[0]))), len(outputs) * FRAME_S).events


def words(*scores: float):
    """Posteriors of (silence, unknown, up) in which "up" has these."""
    return [[1 - p, 0.0, p] for p in scores]


KEYWORDS = KeywordSettings(threshold=0.5, smoothing_ms=60, refractory_ms=200, hand_over=0.8)
LABELS = ("silence", "unknown", "up")


def test_a_word_that_is_sure_is_sent_when_it_is():
    [event] = heard(KEYWORDS, LABELS, words(0, 0.6, 0.9, 0.9, 0.9, 0.9, 0))
    assert event.kind == "keyword" and event.score >= 0.8 and event.reason == ""
    assert event.decided_s == pytest.approx(5 * FRAME_S)


def test_a_word_that_falls_before_it_is_sure_is_handed_over_with_its_highest_score():
    [event] = heard(KEYWORDS, LABELS, words(0, 0.7, 0.7, 0.7, 0, 0, 0, 0))
    assert (event.kind, event.label) == ("abstain", "up")
    assert event.score == pytest.approx(0.7) and event.reason == "score 0.70 below 0.80"


def test_a_word_that_stays_unsure_is_handed_over_after_the_smoothing_and_at_the_end_of_a_stream():
    [event] = heard(KEYWORDS, LABELS, words(*[0.6] * 30))
    assert event.kind == "abstain" and event.decided_s == pytest.approx(5 * FRAME_S)
    [event] = heard(KEYWORDS, LABELS, words(0, 0, 0.6, 0.6, 0.6))
    assert event.kind == "abstain" and event.end_s <= 5 * FRAME_S


def test_another_word_that_is_sure_takes_the_place_of_one_that_is_not():
    outputs = [[0, 0, 0.7, 0.6]] * 3 + [[0, 0, 0.7, 1.0]] * 2
    events = heard(KEYWORDS, (*LABELS, "down"), outputs)
    assert [(event.kind, event.label) for event in events][-1] == ("keyword", "down")


def test_every_cut_and_every_snapshot_gives_the_same_events():
    rng = np.random.default_rng(0)
    outputs = words(*np.clip(np.convolve(rng.random(400), np.ones(8) / 8, "same") * 1.3 - 0.1, 0, 1))
    settings = replace(KEYWORDS, hand_over=0.65)
    whole = heard(settings, LABELS, outputs)
    assert {event.kind for event in whole} == {"keyword", "abstain"}
    assert heard(settings, LABELS, outputs, [7, 100, 101, 250]) == whole
    outlet, found = settings.outlet(LABELS, FRAME_S, 0.0), []
    for row in outputs:
        fresh = settings.outlet(LABELS, FRAME_S, 0.0)
        fresh.restore(json.loads(json.dumps(outlet.snapshot())))
        outlet = fresh
        found += outlet.push(np.array([row])).events
    assert found + outlet.finish(np.zeros((0, 3)), 8.0).events == whole


def test_without_a_threshold_nothing_is_handed_over():
    settings = KeywordSettings(threshold=0.5, smoothing_ms=60, refractory_ms=200)
    [event] = heard(settings, LABELS, words(0, 0.7, 0.7, 0.7, 0, 0))
    assert event.kind == "keyword" and "abstain" not in settings.outlet(LABELS, FRAME_S, 0.0).kinds


def test_unsure_speech_labels_and_utterances_are_followed_by_an_abstain_event():
    speech = SpeechSettings(hand_over=0.9, min_speech_ms=20, min_silence_ms=40)
    events = heard(speech, ("speech",), [[p] for p in [0.7] * 5 + [0] * 5 + [0.99] * 5 + [0] * 5])
    assert [e.kind for e in events] == ["speech_start", "speech_end", "abstain", "speech_start", "speech_end"]
    assert events[2].start_s == events[1].start_s and events[2].end_s == events[1].end_s
    assert len(segments(events)) == 2

    labels = LabelSettings(hand_over=0.9, smoothing_ms=0)
    events = heard(labels, ("", "de"), [[0.3, 0.7]] * 4 + [[1, 0]] * 2)
    assert [e.kind for e in events] == ["label", "label", "abstain"] and events[2].label == "de"

    digits = TranscriptSettings(hand_over=0.9, endpoint_ms=40)
    events = heard(digits, ("", *Alphabet(("one",)).symbols), [[0.2, 0.8]] * 2 + [[1, 0]] * 6)
    assert [e.kind for e in events] == ["partial", "word", "endpoint", "abstain"] and events[-1].label == "one"


def test_a_reason_is_sent_where_there_is_one_alone():
    event = Event("keyword", "up", 0.0, 1.0, 0.5, 1.0)
    assert "reason" not in event.to_dict()
    assert Event("abstain", "up", 0.0, 1.0, 0.5, 1.0, "score").to_dict()["reason"] == "score"


@pytest.mark.parametrize("settings", [SpeechSettings, KeywordSettings, LabelSettings, TranscriptSettings])
def test_a_hand_over_that_is_no_score_is_refused(settings):
    with pytest.raises(ValueError, match=r"hand_over=1\.5; it must be a score from 0"):
        settings(hand_over=1.5)
