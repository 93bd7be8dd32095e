"""Settings and snapshots of strangers: decisions are bounded, and damaged snapshots are refused."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest

from streamrnn.decisions import (
    Alphabet,
    EndpointSettings,
    KeywordDecoder,
    KeywordSettings,
    LabelDecoder,
    LabelSettings,
    SpeechDecoder,
    SpeechSettings,
    TokenDecoder,
    TranscriptDecoder,
    TranscriptSettings,
)

FRAME_S = 0.04
ALPHABET = Alphabet(("zero", "one", "two"))


@pytest.mark.parametrize("settings", [SpeechSettings, KeywordSettings, EndpointSettings, TranscriptSettings])
def test_no_setting_is_without_bounds(settings):
    for field in dataclasses.fields(settings):
        for value in (1e9, -1e9, math.inf, math.nan):
            with pytest.raises(ValueError, match=field.name):
                settings(**{field.name: value})


@pytest.mark.parametrize("beam_width", [1, 4])
def test_an_utterance_without_a_pause_ends_at_its_longest(beam_width):
    settings = TranscriptSettings(beam_width=beam_width, longest_utterance_ms=2000)
    decoder = TranscriptDecoder(settings, ALPHABET, FRAME_S)
    posteriors = np.full((400, 4), 0.01, np.float32)
    posteriors[np.arange(400), np.arange(400) % 4] = 0.97
    posteriors[:70] = [0.97, 0.01, 0.01, 0.01]
    events = decoder.push(posteriors)
    ends = [event for event in events if event.kind == "endpoint"]
    assert len(ends) == 6
    assert all(event.decided_s - event.start_s == pytest.approx(2.0, abs=0.1) for event in ends)
    assert max(len(event.label) for event in events) < 300


def test_a_bonus_that_makes_words_of_silence_makes_no_endless_text():
    decoder = TranscriptDecoder(TranscriptSettings(beam_width=4, token_bonus=10.0), ALPHABET, FRAME_S)
    silence = np.tile(np.array([0.997, 0.001, 0.001, 0.001], np.float32), (5000, 1))
    events = decoder.push(silence)
    assert max(len(event.label) for event in events) < 5 * 60 / FRAME_S


DECODERS = {
    "speech": (lambda: SpeechDecoder(SpeechSettings(), FRAME_S), 1),
    "keywords": (lambda: KeywordDecoder(KeywordSettings(), ["silence", "unknown", "yes", "no"], FRAME_S), 4),
    "labels": (lambda: LabelDecoder(LabelSettings(smoothing_ms=200.0), ["de", "en", ""], FRAME_S), 3),
    "greedy": (lambda: TranscriptDecoder(TranscriptSettings(), ALPHABET, FRAME_S), 4),
    "beam": (lambda: TranscriptDecoder(TranscriptSettings(beam_width=3), ALPHABET, FRAME_S), 4),
    "tokens": (lambda: TokenDecoder(EndpointSettings(), ALPHABET, FRAME_S), 4),
}


def places(tree, path=()):
    """The paths of all that a snapshot holds."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def damaged(snapshot, path, value):
    found = copy.deepcopy(snapshot)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


@pytest.mark.parametrize(("make", "features"), DECODERS.values(), ids=DECODERS.keys())
def test_a_damaged_snapshot_is_refused_or_harmless(make, features):
    rng = np.random.default_rng(0)
    outputs = rng.dirichlet(np.full(features, 0.4), size=30).astype(np.float32) if features > 1 else rng.random((30, 1))
    if make().__class__ is TokenDecoder:
        outputs = np.concatenate([rng.integers(0, 4, (30, 2)), rng.random((30, 2))], axis=1).astype(np.float32)
    decoder = make()
    decoder.push(outputs)
    snapshot = json.loads(json.dumps(decoder.snapshot()))
    for path in list(places(snapshot))[1:40]:
        for value in ("x", None, math.nan, 10**6, 1.0, True, [], {}, [[]], [None]):
            other = make()
            try:
                other.restore(damaged(snapshot, path, value))
            except ValueError as error:
                assert str(error)
                continue
            # What may be such a snapshot: later outputs are decided, or refused as wrong.
            try:
                other.push(outputs[:5])
                other.finish(60.0)
            except (ValueError, IndexError):
                assert isinstance(value, int)


@pytest.mark.parametrize(("make", "features"), DECODERS.values(), ids=DECODERS.keys())
def test_what_is_concluded_is_what_the_end_would_say_and_time_goes_on(make, features):
    if make().__class__ is KeywordDecoder:
        return
    rng = np.random.default_rng(1)
    outputs = np.repeat(rng.integers(0, features, 12), 6)
    outputs = np.eye(features, dtype=np.float32)[outputs] if features > 1 else np.ones((72, 1), np.float32)
    if make().__class__ is TokenDecoder:
        outputs = np.concatenate([rng.integers(0, 4, (72, 2)), rng.random((72, 2))], axis=1).astype(np.float32)
    ended, concluded = make(), make()
    ended.push(outputs)
    concluded.push(outputs)
    duration_s = 72 * FRAME_S
    events = concluded.conclude(duration_s)
    assert events and events == ended.finish(duration_s)
    assert concluded.conclude(duration_s) == []
    later = concluded.push(outputs) + concluded.finish(2 * duration_s)
    assert later and all(event.start_s >= duration_s - 2 * FRAME_S for event in later)
