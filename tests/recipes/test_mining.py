import dataclasses
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.audio import read_audio, write_audio
from streamrnn.data.clips import Clip
from streamrnn.data.recordings import Sounds, sounds_of
from streamrnn.decisions import SpeechSettings
from streamrnn.pretrained import load
from streamrnn.recipes.mining import MOST_S, mined, speech_heard_s
from streamrnn.recipes.voice_activity import VoiceActivityRecipe, VoiceActivityTraining
from tests.voice_recordings import SETTINGS, write_data

RATE = 16000
CONVERSATION = Path(__file__).parents[2] / "audio_samples" / "conversation.flac"


@pytest.fixture(scope="module")
def vad():
    return streamrnn.load("vad")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Sounds:
    """White noise, 12 s of a conversation, and its first 2.5 s."""
    folder = tmp_path_factory.mktemp("sounds")
    talk = read_audio(CONVERSATION, RATE)[0]
    recordings = {
        "noise": 0.01 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32),
        "talk": talk,
        "words": talk[: 5 * RATE // 2],
    }
    for name, samples in recordings.items():
        write_audio(folder / f"{name}.wav", samples, RATE)
    return sounds_of([Clip(folder / f"{name}.wav") for name in recordings], RATE)


def test_seconds_of_speech_are_counted_over_all_excerpts_of_a_recording(vad, sounds):
    noise, talk, words = speech_heard_s(sounds, vad)
    assert noise == 0
    assert 6 < talk < 11
    assert 0.5 < words < 2.5


def test_what_deceives_a_model_stands_there_more_often_by_how_long_it_does(vad, sounds):
    of_words = speech_heard_s(sounds, vad)[2]
    result = mined(sounds, vad, 0.9)
    counts = [result.places.count(place) for place in sounds.places]
    # 9 parts of 10 are mined: 27 beside the 3. A long recording counts for MOST_S.
    assert counts[0] == 1
    assert counts[1:] == [1 + round(27 * heard / (MOST_S + of_words)) for heard in (MOST_S, of_words)]
    assert len(result) == 30


def test_recordings_that_stand_there_several_times_are_heard_once_and_keep_their_share(vad, sounds):
    twice = Sounds(sounds.places[:1] * 5 + sounds.places[2:])
    result = mined(twice, vad, 0.5)
    assert [result.places.count(place) for place in sounds.places] == [5, 0, 7]


def test_without_a_false_alarm_sounds_stay_as_they_are(vad, sounds):
    noise = Sounds(sounds.places[:1])
    assert mined(noise, vad, 0.5) == noise


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_what_deceives_the_model_that_training_begins_with_is_drawn_more_often(labelled):
    recipe = VoiceActivityRecipe([labelled], dataclasses.replace(SETTINGS, mined_share=0.5))
    before = recipe._scenes("train")
    start = recipe.model(nnx.Rngs(0))
    # So that it takes everything for speech.
    start.decision = SpeechSettings(threshold=1e-6)
    recipe.begin_with(start)
    after = recipe._scenes("train")
    for kind in ("noise", "music"):
        assert len(getattr(after, kind)) == 2 * len(getattr(before, kind))
    assert len(recipe._scenes("valid").noise) == len(VoiceActivityRecipe([labelled], SETTINGS)._scenes("valid").noise)


@pytest.mark.parametrize("start", [None, "denoise"])
def test_false_alarms_are_mined_of_a_model_of_voice_activity_alone(labelled, start):
    recipe = VoiceActivityRecipe([labelled], dataclasses.replace(SETTINGS, mined_share=0.5))
    with pytest.raises(ValueError, match=r"mined_share is 0.5.*--start"):
        recipe.begin_with(start and load(start))
    VoiceActivityRecipe([labelled], SETTINGS).begin_with(None)


def test_neither_all_sound_is_mined_nor_any_in_private_training():
    with pytest.raises(ValueError, match="mined_share is 1"):
        VoiceActivityTraining(mined_share=1.0)
    private = dataclasses.replace(SETTINGS.training, dp_noise=1.0, dp_clip=0.5)
    with pytest.raises(ValueError, match="private"):
        VoiceActivityTraining(mined_share=0.5, training=private)
