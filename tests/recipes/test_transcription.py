"""Training of transcription, from folders of recordings to models that have learned."""

import dataclasses
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.contract import aligned
from streamrnn.data import AugmentSettings
from streamrnn.data.spoken import StringSettings
from streamrnn.learning import TrainingSettings
from streamrnn.models import CTC, CTCSettings, Transducer, TransducerSettings
from streamrnn.recipes import CTCRecipe, TransducerRecipe
from streamrnn.recipes.train import train
from streamrnn.recipes.transcription import OTHER_SOUND, VALIDATION_OTHERS, CTCTraining, TransducerTraining

RATE = 2000
# One word of the recordings is no symbol, and every recipe says so.
pytestmark = pytest.mark.filterwarnings("ignore:Words that are no symbols")

PITCHES_HZ = {"low": 150, "high": 600}
MODEL = {
    "symbols": ("low", "high"),
    "sample_rate": RATE,
    "hop_samples": 20,
    "window_samples": 100,
    "mels": 8,
    "memory_s": 4.0,
    "channels": 16,
    "hidden": 24,
    "layers": 1,
    "lookahead_frames": 1,
    "dropout": 0.0,
    "masked_frames": 0,
}
COMMON = {
    "training": TrainingSettings(steps=200, learning_rate=0.02, warmup_steps=10, validate_every=100),
    "augment": AugmentSettings(speed=(0.95, 1.05), noise_share=0.2, band_limit_share=0.0),
    "strings": StringSettings(words=(1, 2), garbage_share=0.1, overlap_s=0.0, pause_s=0.2),
    "batch_s": 8.0,
    "durations_s": (1.0,),
    "other_share": 0.0,
    "workers": 1,
}
SETTINGS = CTCTraining(model=CTCSettings(**MODEL), **COMMON)
TRANSDUCING = TransducerTraining(model=TransducerSettings(joint=24, blank_penalty=1.0, **MODEL), **COMMON)


def spoken(text: str) -> np.ndarray:
    """Words as tones of 0.2 s."""
    t = np.arange(round(0.2 * RATE)) / RATE
    swell = np.hanning(len(t))
    return np.concatenate([0.3 * swell * np.sin(2 * np.pi * PITCHES_HZ.get(word, 300) * t) for word in text.split()])


def write_folder(folder: Path, texts: dict[str, tuple[str, str]]) -> None:
    """Recordings by name: what is said, and the split."""
    folder.mkdir(parents=True)
    for number, (name, (text, _)) in enumerate(texts.items()):
        # The same words in two splits are no copies of each other.
        write_audio(folder / name, (1 - number / 1000) * spoken(text), RATE)
    rows = "".join(f"{name},{text.upper()},{split}\n" for name, (text, split) in texts.items())
    (folder / "manifest.csv").write_text(f"path,transcript,split\n{rows}")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Single words, one of them no symbol, and recordings of several. Not to be written to."""
    data = tmp_path_factory.mktemp("data")
    words = {f"{word}_{split}.wav": (word, split) for word in ("low", "high") for split in ("train", "valid")}
    write_folder(data / "words", words | {"other.wav": ("middle", "train")})
    write_folder(data / "talk", {"a.wav": ("low high high", "train"), "b.wav": ("high low", "valid")})
    return data


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> tuple[CTC, float]:
    model, figure = train(CTCRecipe([data], SETTINGS), "digits", tmp_path_factory.mktemp("run"))
    assert isinstance(model, CTC)
    return model, figure


def test_ctc_learns_to_write_words(trained):
    assert trained[1] > 0.7


def test_a_transducer_starts_from_the_encoder_of_ctc_and_learns_to_write_words(data, trained, tmp_path):
    recipe = TransducerRecipe([data], TRANSDUCING)
    fresh = recipe.model(nnx.Rngs(0))
    fresh.initialise_from(trained[0])
    x = 0.1 * jax.random.normal(jax.random.key(0), (1, 40, 20))
    fresh.eval()
    ours, theirs = (aligned(model.network.layers[0], x) for model in (fresh, trained[0]))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    model, figure = train(recipe, "digits-transducer", tmp_path / "run", start=trained[0])
    assert isinstance(model, Transducer) and figure > 0.5


def test_a_batch_holds_sound_and_what_is_said_in_it(data):
    (batch,) = CTCRecipe([data], SETTINGS).batches(0, 1)
    for row, names in enumerate(batch.pop("names")):
        assert names and all((data / name).is_file() for name in names), row
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "samples": ((8, 100, 20), np.float32),
        "labels": ((8, 3), np.int32),
        "label_lengths": ((8,), np.int32),
    }
    for labels, length in zip(batch["labels"], batch["label_lengths"], strict=True):
        assert set(labels[:length]) <= {1, 2} and not labels[length:].any()


@pytest.mark.parametrize("folders", [("words", "talk"), ("words", "talk", "others")])
def test_some_rows_are_other_sound_in_which_no_symbol_is_said(data, tmp_path, folders):
    write_folder(tmp_path / "others", {f"{s}.wav": ("middle middle low low", s) for s in ("train", "valid")})
    write_folder(tmp_path / "more", {f"{s}.wav": ("middle middle", s) for s in ("train", "valid")})
    places = [data / "words", data / "talk", *([tmp_path / "others", tmp_path / "more"] if "others" in folders else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        recipe = CTCRecipe(places, dataclasses.replace(SETTINGS, other_share=0.5))
    batches = list(recipe.batches(0, 12))
    lengths = np.concatenate([batch["label_lengths"] for batch in batches])
    assert 0 < np.sum(lengths == 0) < len(lengths)
    spoken_in = {
        name
        for batch in batches
        for names, length in zip(batch["names"], batch["label_lengths"], strict=True)
        if length == 0
        for name in names
    }
    allowed = {str(data / "words/other.wav"), str(tmp_path / "more/train.wav")}
    assert spoken_in <= allowed and (str(tmp_path / "more/train.wav") in spoken_in) == ("others" in folders)
    validated = np.concatenate([batch["label_lengths"] for batch in recipe._validation])
    assert np.sum(validated == 0) == VALIDATION_OTHERS


def test_other_sound_ends_before_what_is_said_and_begins_after_it(data):
    settings = dataclasses.replace(SETTINGS, whole_share=1.0, durations_s=(4.0,), other_share=0.01, around_share=1.0)
    source = CTCRecipe([data], settings)._training_source
    rng, said = np.random.default_rng(3), np.zeros(source.samples(4.0), np.float32)
    said[3000:5000] = 0.1
    rows, names = zip(*(source._with_others_around(rng, said, said, 4.0) for _ in range(20)), strict=True)
    assert {name for of_row in names for name in of_row} == {str(data / "words/other.wav")}
    for row in rows:
        np.testing.assert_array_equal(row[3000:5000] / row[3000], np.ones(2000))
    assert any(row[:2900].any() for row in rows) and any(row[5100:].any() for row in rows)
    silence, nobody = source._with_others_around(rng, 0 * said, 0 * said, 4.0)
    assert np.array_equal(silence, 0 * said) and nobody == ()


def test_private_training_hears_no_babble(data):
    private = dataclasses.replace(SETTINGS.training, dp_clip=1.0, dp_noise=1.0)
    settings = dataclasses.replace(SETTINGS, other_share=0.5, training=private)
    for split, share in (("train", 0), ("valid", OTHER_SOUND.kinds["babble"])):
        assert CTCRecipe([data], settings)._other_sound(split).settings.kinds["babble"] == share


def test_an_alphabet_of_characters_has_other_sound_without_talk(data):
    characters = dataclasses.replace(SETTINGS.model, symbols=tuple(" higlowmde"))
    recipe = CTCRecipe([data], dataclasses.replace(SETTINGS, model=characters, other_share=1.0))
    (batch,) = recipe.batches(0, 1)
    assert set(batch["names"]) == {()} and not batch["label_lengths"].any()
    assert np.isfinite(batch["samples"]).all() and np.abs(batch["samples"]).max() <= 1


def test_a_batch_depends_on_the_seed_and_its_step_alone(data):
    recipe = CTCRecipe([data], SETTINGS)
    whole, resumed = list(recipe.batches(0, 3)), list(recipe.batches(2, 3))
    assert resumed[0].pop("names") == whole[2]["names"]
    for name, array in resumed[0].items():
        np.testing.assert_array_equal(array, whole[2][name])
    assert np.any(whole[0]["samples"] != whole[1]["samples"])


def test_words_are_varied_in_training_and_validated_as_they_were_recorded(data, trained):
    varied = dataclasses.replace(SETTINGS.strings, word_tempo=(0.5, 0.6), word_colour_share=1.0)
    recipes = [CTCRecipe([data], dataclasses.replace(SETTINGS, strings=s)) for s in (SETTINGS.strings, varied)]
    (one,), (other,) = (recipe.batches(0, 1) for recipe in recipes)
    assert np.any(one["samples"] != other["samples"])
    assert recipes[0].validate(trained[0]) == recipes[1].validate(trained[0])


def test_recordings_too_short_for_their_transcripts_are_named_and_left_out(data, tmp_path):
    write_folder(tmp_path / "wrong", {"a.wav": ("low high", "train"), "b.wav": ("low high low", "train")})
    table = (tmp_path / "wrong/manifest.csv").read_text()
    (tmp_path / "wrong/manifest.csv").write_text(table.replace("LOW HIGH LOW", "LOW HIGH " * 40))
    recipe = CTCRecipe([data, tmp_path / "wrong"], dataclasses.replace(SETTINGS, whole_share=1.0))
    with pytest.warns(AudioWarning, match=r"1 recordings are too short for their transcripts.*wrong/b\.wav"):
        batches = list(recipe.batches(0, 4))
    names = {name for batch in batches for row in batch["names"] for name in row}
    assert any("wrong/a.wav" in name for name in names) and not any(
        "b.wav" in name and "wrong" in name for name in names
    )


def test_rows_are_as_long_as_one_of_the_durations_and_recordings_lie_in_the_shortest_that_fits(data):
    settings = dataclasses.replace(SETTINGS, durations_s=(0.5, 1.0), whole_share=1.0)
    batches = list(CTCRecipe([data], settings).batches(0, 6))
    # 0.6 s of "low high high" don't fit into 0.5 s: there, rows are strings of single words.
    shapes = {batch["samples"].shape for batch in batches}
    assert shapes == {(8, 100, 20), (16, 48, 20)}
    for batch in batches:
        if len(batch["samples"]) == 8:
            assert {tuple(labels) for labels in batch["labels"]} == {(1, 2, 2)}


def test_recordings_that_are_too_long_for_every_row_are_counted(data):
    characters = dataclasses.replace(SETTINGS.model, symbols=tuple(" higlowmde"))
    settings = dataclasses.replace(SETTINGS, model=characters, durations_s=(0.5,))
    with pytest.warns(AudioWarning, match=r"1 of 4 recordings do not fit into 0\.5 s"):
        next(CTCRecipe([data], settings).batches(0, 1))
    shorter = dataclasses.replace(settings, durations_s=(0.16,))
    with pytest.raises(ValueError, match=r"none of 4 recordings fits .* Raise --durations-s"):
        next(CTCRecipe([data], shorter).batches(0, 1))


def test_an_alphabet_of_characters_takes_every_recording_whole(data):
    characters = dataclasses.replace(SETTINGS.model, symbols=tuple(" higlowmde"))
    settings = dataclasses.replace(SETTINGS, model=characters)
    (batch,) = CTCRecipe([data], settings).batches(0, 1)
    written = {
        characters.alphabet.decode(row[:n]) for row, n in zip(batch["labels"], batch["label_lengths"], strict=True)
    }
    assert written <= {"low", "high", "middle", "low high high"}


def test_single_words_that_are_no_symbols_are_counted_and_named(data):
    with pytest.warns(AudioWarning, match=r"no symbols teach the model to write nothing, in 1 clip: MIDDLE \(1\)\."):
        CTCRecipe([data], SETTINGS)


def test_labels_of_a_folder_without_a_symbol_are_no_words(data, tmp_path):
    write_audio(tmp_path / "a.wav", spoken("middle"), RATE)
    (tmp_path / "manifest.csv").write_text("path,label,split\na.wav,french,train\n")
    recipe = CTCRecipe([data, tmp_path], SETTINGS)
    garbage = recipe._training_source.strings._garbage
    assert [Path(name).name for word in garbage for name in word.names] == ["other.wav"]


def test_recordings_with_other_words_are_counted_and_the_words_named(data):
    fewer = dataclasses.replace(SETTINGS, model=dataclasses.replace(SETTINGS.model, symbols=("low", "deep")))
    with pytest.warns(AudioWarning, match="1 of 1 clips are left out: 'high' are no symbols"):
        CTCRecipe([data], fewer)


def test_data_without_a_transcript_in_the_symbols_is_refused(data):
    other = dataclasses.replace(SETTINGS, model=dataclasses.replace(SETTINGS.model, symbols=("eins", "zwei")))
    with (
        pytest.warns(AudioWarning, match="left out"),
        pytest.raises(ValueError, match=r"no clip of split train has a transcript in the model's 2 symbols"),
    ):
        CTCRecipe([data], other)


@pytest.mark.parametrize(
    "setting",
    [
        {"workers": 0},
        {"whole_share": 2.0},
        {"other_share": -0.1},
        {"durations_s": (2.0, 1.0)},
        {"durations_s": ()},
        {"batch_s": 0.5},
    ],
)
def test_settings_out_of_range_are_named(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        dataclasses.replace(SETTINGS, **setting)
