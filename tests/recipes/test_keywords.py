"""Keyword models from folders of single words."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.data import AugmentSettings
from streamrnn.data.word_rows import UNWRITTEN_WEIGHT
from streamrnn.learning import TrainingSettings
from streamrnn.learning.privacy import sampled_epsilon
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.recipes import KeywordsRecipe, Recipe
from streamrnn.recipes.keyword_rows import loudest, part_of
from streamrnn.recipes.keywords import KeywordsTraining
from streamrnn.recipes.recipe import Carrying, Drawing, Finishing
from streamrnn.recipes.train import PRIVACY, train

# Many of these recipes listen for some of the words alone, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:Labels that are none of the words")

RATE = 2000
TINY = KeywordsSettings(
    words=(), sample_rate=RATE, hop_samples=50, window_samples=100, mels=8, channels=(8, 8), hidden=12, dropout=0.0
)
SETTINGS = KeywordsTraining(
    model=TINY,
    training=TrainingSettings(steps=150, learning_rate=0.02, warmup_steps=5, validate_every=50, log_every=50),
    augment=AugmentSettings(speed=(0.95, 1.05), room_share=0.0, noise_share=0.2, music_share=0.0, babble_share=0.0),
    batch_size=16,
    running_s=0.0,
    duration_s=1.0,
    workers=1,
)
RUNNING = dataclasses.replace(SETTINGS, running_s=2.0, batch_size=8)
LISTENING = dataclasses.replace(TINY, encoder=True, layers=1, lookahead_frames=8)
PRIVATE = dataclasses.replace(SETTINGS.training, steps=6, validate_every=6, dp_clip=1.0, dp_noise=1.0)
PITCHES_HZ = {"high": 600, "low": 150, "middle": 300}


def word(label: str, seed: int) -> np.ndarray:
    """A tone of 0.3 s somewhere in 0.8 s: its pitch is the word."""
    rng = np.random.default_rng(seed)
    tone = 0.3 * np.sin(2 * np.pi * PITCHES_HZ[label] * np.arange(round(0.3 * RATE)) / RATE)
    clip = 0.002 * rng.standard_normal(round(0.8 * RATE))
    start = int(rng.integers(len(clip) - len(tone)))
    clip[start : start + len(tone)] += tone
    return clip.astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder per word, as Speech Commands has them, beside a folder of noise. Not to be written to."""
    data = tmp_path_factory.mktemp("data")
    for label in PITCHES_HZ:
        (data / "words" / label).mkdir(parents=True)
        for number in range(20):
            write_audio(data / "words" / label / f"s{number}_nohash_0.wav", word(label, number), RATE)
    (data / "noise").mkdir()
    noise = 0.1 * np.random.default_rng(1).standard_normal(3 * RATE).astype(np.float32)
    write_audio(data / "noise" / "hiss.wav", noise, RATE)
    (data / "noise" / "manifest.csv").write_text("path,split\nhiss.wav,train\n")
    return data


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> tuple[KeywordsRecipe, Keywords, float]:
    recipe = KeywordsRecipe([data / "words", data / "noise"], SETTINGS)
    return recipe, *train(recipe, "keywords", tmp_path_factory.mktemp("run"))


def of_words(*words: str, **others) -> KeywordsTraining:
    return dataclasses.replace(SETTINGS, model=dataclasses.replace(TINY, words=words), **others)


def test_the_recipe_is_one(data):
    assert isinstance(KeywordsRecipe([data / "words"], SETTINGS), Recipe)


def test_a_model_learns_to_tell_the_words_of_a_folder_apart(trained):
    _, model, figure = trained
    assert model.settings.words == ("high", "low", "middle")
    assert figure > 0.8


def test_the_figure_is_that_of_the_model_that_comes_back(trained):
    recipe, model, figure = trained
    assert recipe.validate(model) == pytest.approx(figure)


def test_the_words_are_the_labels_of_the_first_folder_alone(data):
    recipe = KeywordsRecipe([data / "noise", data / "words"], of_words("low", "high"))
    assert recipe.settings.model.words == ("low", "high")
    with pytest.raises(ValueError, match=r"has no labels to take the words from. Name them: --words"):
        KeywordsRecipe([data / "noise", data / "words"], SETTINGS)


def test_words_that_are_not_listened_for_are_unknown(data):
    recipe = KeywordsRecipe([data], of_words("low", "high", unknown_share=0.5, silence_share=0.0))
    (batch,) = recipe.batches(0, 1)
    assert set(batch["labels"].tolist()) == {1, 2, 3}
    labels = {label for part in recipe._validation for label in part["labels"].tolist()}
    assert labels == {1, 2, 3}


def test_a_batch_has_the_shapes_that_the_loss_takes(data):
    (batch,) = KeywordsRecipe([data], SETTINGS).batches(0, 1)
    names = batch.pop("names")
    assert (
        len(names) == 16
        and all(len(row) <= 1 for row in names)
        and all(Path(name).is_file() for row in names for name in row)
    )
    assert {name: array.shape for name, array in batch.items()} == {
        "samples": (16, 40, 50),
        "labels": (16,),
        "weights": (16, 20),
    }
    assert np.abs(batch["samples"]).max() <= 1 and batch["samples"].dtype == np.float32
    assert set(np.unique(batch["weights"])) <= {0, 1} and (batch["weights"][:, 0] == 1).all()


def test_a_batch_depends_on_its_step_and_the_seed_alone(data):
    first, second = KeywordsRecipe([data], SETTINGS).batches(0, 2)
    (again,) = KeywordsRecipe([data], dataclasses.replace(SETTINGS, workers=3)).batches(1, 2)
    np.testing.assert_array_equal(second["samples"], again["samples"])
    assert (first["samples"] != second["samples"]).any()


@pytest.mark.parametrize(("model", "hops_per_frame"), [(TINY, 2), (LISTENING, 4)])
def test_a_batch_of_running_sound_has_the_shapes_that_its_loss_takes(data, model, hops_per_frame):
    (batch,) = KeywordsRecipe([data], dataclasses.replace(RUNNING, model=model)).batches(0, 1)
    names = batch.pop("names")
    assert len(names) == 8 and all(Path(name).is_file() for row in names for name in row)
    frames = 120 // hops_per_frame
    assert {name: array.shape for name, array in batch.items()} == {
        "samples": (8, 120, 50),
        "labels": (8, 7),
        "places": (8, 7, frames),
        "weights": (8, frames),
        "quiet": (8, frames),
        "reset": (8,),
    }
    assert 0 < batch["reset"].sum() < 8
    fresh = batch["reset"] & (batch["labels"][:, 0] > 1)
    late = model.lookahead_frames // hops_per_frame
    assert not batch["places"][fresh][:, 0, :late].any() and batch["places"][fresh][:, 0, late].all()
    assert not batch["weights"][:, :late].any(), "what is decided there, an earlier row knows"


def test_running_sound_needs_no_recordings_of_noise(data):
    recipe = KeywordsRecipe([data / "words"], RUNNING)
    assert np.isfinite(next(recipe.batches(0, 1))["samples"]).all()


def test_a_model_learns_words_in_running_sound_and_its_threshold_from_states_that_go_on(data, tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.recipes.keywords.RUNNING_VALIDATION_ROWS", 6)
    slower = dataclasses.replace(RUNNING.training, learning_rate=0.01, steps=2 * RUNNING.training.steps)
    recipe = KeywordsRecipe([data / "words", data / "noise"], dataclasses.replace(RUNNING, training=slower))
    assert isinstance(recipe, Carrying) and isinstance(recipe, Finishing)
    fresh = recipe.model(nnx.Rngs(0))
    fresh.eval()
    before = recipe.validate(fresh)
    heard, hear, kept = [], recipe._hear_running, []
    recipe._heard_running._compute = lambda model: heard.append(1) or hear(model)
    model, figure = train(recipe, "keywords", tmp_path, keep=lambda best, _: kept.append(best.decision))
    assert figure > before + 0.2
    # What is kept is finished, too, and only the model that comes back is heard once more than for validation.
    assert kept[-1] == model.decision
    assert len(heard) <= slower.steps // slower.validate_every + 1
    said, alarms, hours = recipe._heard_running(model)
    assert len(said) > 20 and 0.5 < hours / (6 * 20 / 3600) < 1
    assert sum(alarm >= model.decision.threshold for alarm in alarms) <= 10 * hours
    for batch in recipe._running_validation:  # Where nobody wrote down what is said, what is heard may be there.
        batch["weights"] = np.minimum(batch["weights"], UNWRITTEN_WEIGHT)
    _, alarms, hours = recipe._hear_running(model)
    assert not any(alarms) and hours == 0


def test_private_training_hears_clips_alone(data):
    recipe = KeywordsRecipe([data / "words"], dataclasses.replace(RUNNING, training=PRIVATE))
    assert recipe.initial_carry is None
    assert next(recipe.drawn_batches(0, 1, secret=1))["samples"].shape[1:] == (40, 50)


def test_clips_longer_than_their_place_are_heard_in_part(data):
    (batch,) = KeywordsRecipe([data], dataclasses.replace(SETTINGS, duration_s=0.2)).batches(0, 1)
    assert batch["samples"].shape == (16, 8, 50)


def test_of_a_long_clip_of_a_word_the_loudest_part_is_heard_and_of_others_any():
    clip = np.zeros(3000, np.int16)
    clip[2000:2400] = 9000
    assert np.count_nonzero(loudest(clip, 500)) == 400
    rng = np.random.default_rng(0)
    assert len({np.count_nonzero(part_of(rng, clip, 500)) for _ in range(20)}) > 1
    assert len(loudest(clip[:600], 500)) == len(part_of(rng, clip[:600], 500)) == 600


def test_without_recordings_of_noise_silence_is_made_of_noise_as_the_words_are(tmp_path):
    for number, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / name, word("low", number), RATE)
    (tmp_path / "manifest.csv").write_text("path,label\na.wav,low\nb.wav,low\n")
    source = KeywordsRecipe([tmp_path], of_words("low"))._source
    drawn = [source._silence(np.random.default_rng(seed), 400) for seed in range(30)]
    assert 0 < sum(bool(np.any(silence)) for silence in drawn) < 30


def write_words(folder: Path, *labels: str) -> Path:
    """A clip of each label, which may be given more than once. What is said in them does not matter."""
    for number in range(len(labels)):
        write_audio(folder / f"{number}.wav", word("low", number), RATE)
    rows = "".join(f"{number}.wav,{label}\n" for number, label in enumerate(labels))
    (folder / "manifest.csv").write_text("path,label\n" + rows)
    return folder


def test_a_word_with_one_clip_is_trained_on_and_not_held_out(tmp_path):
    write_words(tmp_path, "low", "high", "high")
    source = KeywordsRecipe([tmp_path], of_words("low", "high"))._source
    assert [len(clips) for clips in source.words] == [1, 1]


def test_words_that_leave_nothing_to_validate_with_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match=r"no clip of a word to validate with.*no word has a second one"):
        KeywordsRecipe([write_words(tmp_path, "low", "high")], SETTINGS)


def test_labels_that_are_none_of_the_words_are_counted_and_named_those_that_look_like_words_first(tmp_path):
    write_words(tmp_path, "low", "low", "deep", "deep", "Low", "unknown", "")
    told = r"none of the words train as 'unknown', in 4 clips: Low \(1\), deep \(2\), no label \(1\)\."
    with pytest.warns(AudioWarning, match=told):
        KeywordsRecipe([tmp_path], of_words("low"))


def test_labels_that_are_words_twice_but_for_their_case_are_named(tmp_path):
    with pytest.warns(AudioWarning, match=r"differ in case alone .* of their own: Low, low\."):
        recipe = KeywordsRecipe([write_words(tmp_path, "low", "low", "Low", "high")], SETTINGS)
    assert recipe.settings.model.words == ("Low", "high", "low")


def test_talk_in_which_a_word_is_said_is_no_clip_of_an_unknown_word(data, tmp_path):
    for number, said in enumerate(["It is low, he said.", "nothing of it", "Lower!"]):
        write_audio(tmp_path / f"{number}.wav", np.full(RATE, 0.1, np.float32), RATE)
        with (tmp_path / "manifest.csv").open("a") as table:
            table.write(("" if number else "path,transcript,split\n") + f'{number}.wav,"{said}",train\n')
    recipe = KeywordsRecipe([data / "words", tmp_path], of_words("low"))
    drawn = [recipe._source.draw(np.random.default_rng(seed)) for seed in range(400)]
    unknown = {Path(names[0]) for _, label, names in drawn if label == 1}
    assert {path.name for path in unknown if path.parent == tmp_path} == {"1.wav", "2.wav"}


def test_clips_that_are_called_silence_are_unknown_words_in_validation_as_in_training(tmp_path):
    labels = ["low", "low", "silence"]
    write_words(tmp_path, *labels)
    rows = "".join(
        f"{number}.wav,{label},{split}\n"
        for number, (label, split) in enumerate(zip(labels, ("train", "valid", "valid"), strict=True))
    )
    (tmp_path / "manifest.csv").write_text("path,label,split\n" + rows)
    (part,) = KeywordsRecipe([tmp_path], of_words("low"))._validation
    assert sorted(part["labels"].tolist()) == [1, 2]


def test_other_words_or_recordings_are_another_run(data, tmp_path):
    once = dataclasses.replace(SETTINGS.training, steps=1, validate_every=1)
    train(KeywordsRecipe([data], of_words("low", "high", training=once)), "keywords", tmp_path)
    with pytest.raises(ValueError, match=r"holds another run: settings\.model\.words is \['low', 'high'\] there"):
        train(KeywordsRecipe([data], of_words("low", "middle", training=once)), "keywords", tmp_path)
    with pytest.raises(ValueError, match="holds another run: recordings is"):
        train(KeywordsRecipe([data / "words"], of_words("low", "high", training=once)), "keywords", tmp_path)


def test_a_word_without_clips_is_named_with_the_labels_that_there_are(data):
    with pytest.raises(ValueError, match=r"no clip of deep to train on.*labels: high, low, middle.*other --words"):
        KeywordsRecipe([data], of_words("low", "deep"))


def test_recordings_without_splits_are_for_training_all_but_a_tenth_of_each_label(tmp_path):
    names = [(label, f"{label}{number}.wav") for label in PITCHES_HZ for number in range(4)]
    for number, (label, name) in enumerate(names):
        write_audio(tmp_path / name, word(label, number), RATE)
    (tmp_path / "manifest.csv").write_text("path,label\n" + "".join(f"{name},{label}\n" for label, name in names))
    source = KeywordsRecipe([tmp_path], of_words("low", "high"))._source
    assert ([len(clips) for clips in source.words], [len(c) for c in source.unknown]) == ([3, 3], [3])


def test_recordings_without_splits_lend_every_tenth_clip_to_validation(tmp_path):
    names = [(label, f"{label}{number}.wav") for label in ("high", "low") for number in range(12)]
    for number, (label, name) in enumerate(names):
        write_audio(tmp_path / name, word(label, number), RATE)
    (tmp_path / "manifest.csv").write_text("path,label\n" + "".join(f"{name},{label}\n" for label, name in names))
    recipe = KeywordsRecipe([tmp_path], SETTINGS)
    assert sum(len(part["labels"]) for part in recipe._validation) == 4
    assert [len(clips) for clips in recipe._source.words] == [10, 10]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"unknown_share": 1.5}, "unknown_share is 1.5; it must be from 0 to 1"),
        ({"unknown_share": 0.6, "silence_share": 0.5}, "leave no share for words"),
        ({"duration_s": 0.0}, "duration_s is 0.0"),
        ({"duration_s": float("inf")}, "duration_s is inf; it must be above 0, and finite"),
        ({"running_s": float("inf")}, "running_s is inf; it must be 0 or above, and finite"),
        ({"model": dataclasses.replace(TINY, hop_samples=0)}, "hop_samples is 0; it must be at least 1"),
        ({"model": dataclasses.replace(TINY, sample_rate=0)}, "sample_rate is 0; it must be at least 1"),
        ({"reset_share": -0.1}, "reset_share is -0.1; it must be from 0 to 1"),
        ({"running_s": -1.0}, "running_s is -1.0; it must be 0 or above"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **change)


@pytest.mark.parametrize("words", [("on", "on"), ("silence",), ("unknown", "on")])
def test_words_that_repeat_or_are_there_anyway_are_refused(words):
    with pytest.raises(ValueError, match="is repeated or built in"):
        KeywordsSettings(words=words)


def test_the_outputs_are_probabilities_of_the_labels():
    model = Keywords(KeywordsSettings(words=("a", "b", "c")), rngs=nnx.Rngs(0))
    assert model.settings.labels == ("silence", "unknown", "a", "b", "c")
    assert (model.out_features, model.stride, model.frame_s) == (5, 2, 0.02)
    readout = np.asarray(model.readout(jnp.arange(5.0)[None, None]))
    assert readout.sum() == pytest.approx(1) and readout.argmax() == 4
    np.testing.assert_allclose(model.outlet().activity(readout[0]), readout[0, :, 4])


def test_training_may_start_from_a_model_of_other_words(trained, data, tmp_path):
    _, before, _ = trained
    recipe = KeywordsRecipe([data], of_words("low", "high"))
    model = recipe.model(nnx.Rngs(5))
    head = model.network.layers[2].kernel[...]
    assert model.initialise_from(before) == ["network.layers.2.bias", "network.layers.2.kernel"]
    assert (
        model.network.layers[1].layers[0].conv.kernel[...] == before.network.layers[1].layers[0].conv.kernel[...]
    ).all()
    assert (model.network.layers[2].kernel[...] == head).all()
    once = dataclasses.replace(recipe.settings, training=TrainingSettings(steps=1, validate_every=1))
    recipe = KeywordsRecipe([data], once)
    train(recipe, "keywords", tmp_path, start=before)
    with pytest.raises(ValueError, match="holds another run: start is"):
        train(recipe, "keywords", tmp_path)


def test_what_does_not_fit_beside_the_head_is_named(trained, data, tmp_path):
    _, before, _ = trained
    once = TrainingSettings(steps=1, validate_every=1)
    wider = dataclasses.replace(SETTINGS, model=dataclasses.replace(TINY, hidden=TINY.hidden + 1), training=once)
    with pytest.warns(UserWarning, match=r"arrays of weights do not fit and begin at random: network\.layers\.1\."):
        train(KeywordsRecipe([data], wider), "keywords", tmp_path, start=before)


def test_a_start_of_another_size_is_refused(data):
    other = Keywords(dataclasses.replace(TINY, words=("a",), channels=(3, 3), hidden=7, mels=5), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="no weight of the Keywords to start from fits"):
        KeywordsRecipe([data], SETTINGS).model(nnx.Rngs(0)).initialise_from(other)


def test_private_batches_draw_every_clip_by_lot_and_pad(data):
    settings = dataclasses.replace(SETTINGS, batch_size=6, silence_share=0.2, training=PRIVATE)
    recipe = KeywordsRecipe([data / "words", data / "noise"], settings)
    assert isinstance(recipe, Drawing)
    made = list(recipe.drawn_batches(0, 30, secret=5))
    words = [int((batch["drawn"] & (batch["labels"] > 0)).sum()) for batch in made]
    assert len({batch["samples"].shape for batch in made}) == 1
    assert np.mean(words) == pytest.approx(6, abs=1.2) and np.std(words) > 1
    assert all((batch["drawn"] & (batch["labels"] == 0)).sum() == 1 for batch in made)
    again = next(recipe.drawn_batches(3, 4, secret=5))
    assert np.array_equal(again["samples"], made[3]["samples"])
    assert not np.array_equal(next(recipe.drawn_batches(3, 4, secret=6))["drawn"], made[3]["drawn"])


def test_a_private_training_says_what_it_owes(data, tmp_path):
    settings = dataclasses.replace(SETTINGS, batch_size=12, training=dataclasses.replace(PRIVATE, dp_unit="speaker"))
    recipe = KeywordsRecipe([data / "words", data / "noise"], settings)
    train(recipe, "keywords", tmp_path)
    owed = json.loads((tmp_path / PRIVACY).read_text())
    assert owed["sampling"] == "poisson" and owed["unit"] == "speaker"
    speakers = {clip.speaker for clips in recipe.recordings.speech.values() for clip in clips if clip.split == "train"}
    assert owed["share"] == pytest.approx(12 / len(speakers))
    assert owed["epsilon"] == pytest.approx(sampled_epsilon(owed["share"], 1.0, 6, 1e-5))
    assert not (tmp_path / "secret").exists()


def test_babble_of_other_clips_is_refused_in_private_training(data):
    augment = dataclasses.replace(SETTINGS.augment, babble_share=0.1)
    recipe = KeywordsRecipe([data / "words"], dataclasses.replace(SETTINGS, augment=augment, training=PRIVATE))
    with pytest.raises(ValueError, match="Pass --babble-share 0"):
        recipe.drawn_batches(0, 1, secret=0)
