"""Phrases through listeners, pools, snapshots and settings of servers, with a model that needs no training."""

import json

import numpy as np
import pytest

import streamrnn
from streamrnn import Listener, Model, Pool, Snapshot
from streamrnn.decisions import PhraseDecoder
from streamrnn.serve.catalogue import checked, describe, from_texts
from streamrnn.serve.protocol import ProtocolError
from tests.decisions.spoken_phonemes import heard, sounds
from tests.phoneme_model import as_sound, phoneme_model

TEXTS = ("hey computer", "turn on the light", "what time is it")


@pytest.fixture(scope="module")
def model() -> Model:
    return phoneme_model(TEXTS)


def said(*texts: str, seed: int = 0) -> np.ndarray:
    return as_sound(heard(sounds(" ".join(texts)), seed))


def test_a_listener_hears_phrases_and_goes_on_from_bytes(model):
    samples = said(*TEXTS)
    whole = Listener(model, warm_up=False)
    expected = whole.feed(samples) + whole.finish()
    assert [event.label for event in expected] == list(TEXTS)
    assert whole.outlet.labels == TEXTS
    first, second = Listener(model, warm_up=False), Listener(model, warm_up=False)
    events = first.feed(samples[:12_345])
    second.restore(Snapshot.from_bytes(first.snapshot().to_bytes()))
    assert events + second.feed(samples[12_345:]) + second.finish() == expected


def test_streams_of_a_pool_hear_phrases_of_their_own(model):
    pool = Pool(model, capacity=4, queue_s=60.0, warm_up=False)
    own, other = pool.open(), pool.open(phrases=["good morning"])
    for stream in (own, other):
        stream.feed(said("hey computer", "good morning"))
        stream.finish()
    found: dict = {own: [], other: []}
    while answers := pool.tick():
        for answer in answers:
            assert answer.error is None
            found[answer.stream] += [event.label for event in answer.events]
    assert found == {own: ["hey computer"], other: ["good morning"]}


def test_streams_that_are_heard_together_give_what_each_gives_alone(model, monkeypatch):
    pool, sizes, whole = Pool(model, capacity=8, queue_s=60.0, warm_up=False), [], PhraseDecoder.push_together

    def counted(decoders, outputs):
        sizes.append(len(decoders))
        return whole(decoders, outputs)

    monkeypatch.setattr(PhraseDecoder, "push_together", staticmethod(counted))
    streams = {pool.open(): said(*TEXTS[first:], seed=first) for first in range(3)}
    found: dict = {stream: [] for stream in streams}
    for part in range(20):
        for number, (stream, sound) in enumerate(streams.items()):
            # They take turns in having nothing to be heard, and one is moved.
            if part % 4 != number:
                stream.feed(sound[part * 2000 : (part + 1) * 2000])
            if part == 5 and number == 1:
                moved = stream.snapshot()
                stream.reset()
                stream.restore(moved)
        if part == 19:
            for stream in streams:
                stream.finish()
        while answers := pool.tick():
            for answer in answers:
                found[answer.stream] += answer.events
    monkeypatch.undo()
    assert max(sizes) == 3
    for number, (stream, sound) in enumerate(streams.items()):
        alone = Listener(model, warm_up=False)
        heard_of = np.concatenate([sound[part * 2000 : (part + 1) * 2000] for part in range(20) if part % 4 != number])
        assert found[stream] == alone.feed(heard_of) + alone.finish()


def test_without_phrases_it_gives_the_phonemes_and_says_how_to_get_events(model):
    assert model.outlet(phrases=()).gives == "numbers"
    with pytest.raises(TypeError, match=r"gives numbers, not events. Pass phrases="):
        Listener(model, phrases=(), warm_up=False)


def test_a_saved_model_is_loaded_with_phrases_in_place_of_its_own(model, tmp_path):
    streamrnn.save(model, tmp_path / "phones")
    assert streamrnn.load(tmp_path / "phones").decision == model.decision
    loaded = streamrnn.load(tmp_path / "phones", phrases=["good morning"], max_alarms_per_hour=1.0)
    assert loaded.outlet().labels == ("good morning",)
    with pytest.raises(ValueError, match="'zorblax' in 'hey zorblax'"):
        streamrnn.load(tmp_path / "phones", phrases=["hey zorblax"])
    with pytest.raises(TypeError, match=r"Did you mean phrases\?"):
        streamrnn.load(tmp_path / "phones", phrase=["good morning"])


def test_clients_of_a_server_choose_phrases(model):
    settings = checked(model, json.loads('{"phrases": ["good morning"], "threshold": 0.5}'))
    assert settings == {"phrases": ("good morning",), "threshold": 0.5}
    assert describe("phrases", model, **settings)["labels"] == ["good morning"]
    told = [("phrases", "good morning"), ("phrases", "hey you"), ("threshold", "0.5")]
    assert from_texts(model, told) == {"phrases": ["good morning", "hey you"], "threshold": 0.5}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"phrases": "good morning"}, "it must be up to 200 strings"),
        ({"phrases": ["good"] * 201}, "it must be up to 200 strings"),
        ({"phrases": ["hey zorblax"]}, "'zorblax' in"),
        ({"grammar": 3}, "it must be a string"),
        ({"grammar": "[intents]\na = ['" + "[a]" * 5000 + " b']"}, "Write fewer [optional] ones"),
        ({"calibration": [[1, 2]]}, "strings"),
    ],
)
def test_what_clients_may_not_choose_is_refused(model, settings, message):
    with pytest.raises(ProtocolError) as refused:
        checked(model, settings)
    assert refused.value.code == "bad_hello" and message in refused.value.message


def test_of_a_short_phrase_the_shipped_model_warns():
    with pytest.warns(UserWarning, match="'hi' can be said with 2 sounds, which is short"):
        streamrnn.Listener(streamrnn.load("phrases", phrases=["hi"]))
