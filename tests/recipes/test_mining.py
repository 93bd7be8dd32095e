import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.audio import read_audio, write_audio
from streamrnn.data.clips import Clip
from streamrnn.data.recordings import Sounds, sounds_of
from streamrnn.data.word_rows import FIRST_WORD, OTHER_WORD, TALK, UNWRITTEN
from streamrnn.decisions import SpeechSettings
from streamrnn.models import CTCSettings, Keywords, KeywordsSettings
from streamrnn.pretrained import load
from streamrnn.recipes import CTCRecipe, KeywordsRecipe
from streamrnn.recipes.keywords import KeywordsTraining
from streamrnn.recipes.mining import MOST_S, Mining
from streamrnn.recipes.transcription import CTCTraining
from streamrnn.recipes.voice_activity import VoiceActivityRecipe, VoiceActivityTraining
from tests.voice_recordings import SETTINGS, voice, write_data, write_folder

# "maybe" is none of the words.
pytestmark = pytest.mark.filterwarnings("ignore:Labels that are none of", "ignore:Words that are no symbols")

RATE = 16000
SPLITS = (("a", "train"), ("b", "valid"))
CONVERSATION = Path(__file__).parents[2] / "audio_samples" / "conversation.flac"


def mining(share: float) -> Mining:
    vad = streamrnn.load("vad")
    return Mining(vad, share, vad.decision.resolved_off_threshold)


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


def test_seconds_of_speech_are_counted_over_all_excerpts_of_a_recording(sounds):
    noise, talk, words = mining(0.5).heard_s(sounds)
    assert noise == 0
    assert 6 < talk < 11
    assert 0.5 < words < 2.5


def test_what_deceives_a_model_stands_there_more_often_by_how_long_it_does(sounds):
    of_words = mining(0.5).heard_s(sounds)[2]
    result = mining(0.9).sounds(sounds)
    counts = [result.places.count(place) for place in sounds.places]
    # 9 parts of 10 are mined: 27 beside the 3. A long recording counts for MOST_S.
    assert counts[0] == 1
    assert counts[1:] == [1 + round(27 * heard / (MOST_S + of_words)) for heard in (MOST_S, of_words)]
    assert len(result) == 30


def test_recordings_that_stand_there_several_times_are_heard_once_and_keep_their_share(sounds):
    twice = Sounds(sounds.places[:1] * 5 + sounds.places[2:])
    result = mining(0.5).sounds(twice)
    assert [result.places.count(place) for place in sounds.places] == [5, 0, 7]


def test_without_a_false_alarm_sounds_stay_as_they_are(sounds):
    noise = Sounds(sounds.places[:1])
    assert mining(0.5).sounds(noise) == noise


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


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """Beside noise and music: clips of two words and of another one, and talk that nobody wrote down."""
    data = write_data(tmp_path_factory.mktemp("words"))
    for label in ("yes", "no", "maybe"):
        write_folder(data / f"words/{label}", {"a.wav": "train", "b.wav": "valid"}, voice())
    texts = [
        f"{label}/{name}.wav,{split},{label},{label}" for label in ("yes", "no", "maybe") for name, split in SPLITS
    ]
    (data / "words/manifest.csv").write_text("\n".join(["path,split,label,transcript", *texts, ""]))
    return data


def keywords_recipe(words: Path, **settings: Any) -> KeywordsRecipe:
    model = KeywordsSettings(
        words=("yes", "no"), sample_rate=2000, hop_samples=50, window_samples=100, mels=8, channels=(4, 4), hidden=4
    )
    return KeywordsRecipe([words], KeywordsTraining(model=model, workers=1, batch_size=4, **settings))


def always_hearing(model: Any) -> Any:
    """The model, which hears something everywhere: by its last bias, or by its threshold."""
    head = model.network.layers[-1]
    head.bias[...] = np.r_[-50, np.zeros(head.bias.shape[0] - 1)]
    return model


def test_keywords_hear_more_of_the_sounds_and_other_words_that_deceive_them(words):
    recipe = keywords_recipe(words, mined_share=0.5)
    before: Any = recipe._running("train", None).scenes
    recipe = keywords_recipe(words, mined_share=0.5)
    start = recipe.model(nnx.Rngs(0))
    start.decision = dataclasses.replace(start.decision, threshold=1e-6)
    recipe.begin_with(start)
    after: Any = recipe._running("train", None).scenes
    assert recipe._source.backgrounds == after.noise + after.music
    assert (len(after.noise), len(after.music)) == (2 * len(before.noise), 2 * len(before.music))
    for (share, were), (still, are) in zip(before.speech, after.speech, strict=True):
        assert share == still and len(are) == (2 if are.label in (OTHER_WORD, TALK) else 1) * len(were)
    assert {said.label for _, said in after.speech} >= {OTHER_WORD, UNWRITTEN, FIRST_WORD}


def test_digits_hear_more_of_the_sounds_and_other_words_that_deceive_them(words):
    settings = CTCTraining(
        model=CTCSettings(symbols=("yes", "no"), sample_rate=2000, hop_samples=20, window_samples=50, mels=8, hidden=8),
        mined_share=0.5,
    )
    before: Any = CTCRecipe([words], settings)._other_sound("train")
    recipe = CTCRecipe([words], settings)
    recipe.begin_with(always_hearing(recipe.model(nnx.Rngs(0))))
    after: Any = recipe._other_sound("train")
    assert (len(after.noise), len(after.music)) == (2 * len(before.noise), 2 * len(before.music))
    assert [len(said) for _, said in after.speech if said.label == OTHER_WORD] == [2]
    assert len(recipe._other_sound("valid").noise) == len(CTCRecipe([words], settings)._other_sound("valid").noise)


@pytest.mark.parametrize("start", [None, "denoise", "vad"])
def test_false_alarms_are_mined_of_a_model_that_listens_for_the_same(labelled, words, start):
    voices = dataclasses.replace(SETTINGS, mined_share=0.5)
    for recipe in (VoiceActivityRecipe([labelled], voices), keywords_recipe(words, mined_share=0.5)):
        with pytest.raises(ValueError, match=r"mined_share is above 0.*--start"):
            recipe.begin_with(start and load(start))
    VoiceActivityRecipe([labelled], SETTINGS).begin_with(None)
    keywords_recipe(words).begin_with(None)


def test_a_model_of_other_words_has_no_false_alarms_to_mine(words):
    recipe = keywords_recipe(words, mined_share=0.5)
    other = dataclasses.replace(recipe.settings.model, words=("no", "yes"))
    with pytest.raises(ValueError, match="silence, unknown, yes, no at 2000 Hz"):
        recipe.begin_with(Keywords(other, rngs=nnx.Rngs(0)))


def test_neither_all_sound_is_mined_nor_any_in_private_training():
    with pytest.raises(ValueError, match="mined_share is 1"):
        VoiceActivityTraining(mined_share=1.0)
    private = dataclasses.replace(SETTINGS.training, dp_noise=1.0, dp_clip=0.5)
    with pytest.raises(ValueError, match="private"):
        VoiceActivityTraining(mined_share=0.5, training=private)
    for settings in (KeywordsTraining, CTCTraining):
        with pytest.raises(ValueError, match="mined_share is -1"):
            settings(mined_share=-1.0)
