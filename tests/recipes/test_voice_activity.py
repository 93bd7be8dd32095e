"""Training of voice activity models, from a folder of recordings to a model that has learned."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.data.mixtures import SceneSettings
from streamrnn.models import VoiceActivity
from streamrnn.recipes import Recipe
from streamrnn.recipes.compact import COMPACT, CompactVoiceActivityRecipe, CompactVoiceActivityTraining
from streamrnn.recipes.recipe import outputs
from streamrnn.recipes.test_sets.scenes import read_scenes
from streamrnn.recipes.train import train
from streamrnn.recipes.voice_activity import VoiceActivityRecipe, VoiceActivityTraining
from streamrnn.tasks import find_task
from tests.voice_recordings import RATE, SETTINGS, SPOKEN, TINY, voice, write_data, write_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Speech of both qualities of labels, noise, music and rooms. Not to be written to."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def own_data(tmp_path) -> Path:
    """The same, to be changed."""
    return write_data(tmp_path / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> tuple[Recipe, VoiceActivity, float, Path]:
    """The recipe, a model trained for a few updates, its figure, and the run's folder."""
    out = tmp_path_factory.mktemp("run")
    recipe = VoiceActivityRecipe([data], SETTINGS)
    model, figure = train(recipe, "vad", out)
    return recipe, model, figure, out


def lines_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def scenes_of(data: Path, split: str = "train", **arguments):
    return read_scenes([data], split, RATE, SceneSettings(), **arguments)


def test_a_model_learns_to_hear_speech(trained):
    _, model, figure, out = trained
    first, last = lines_of(out)
    assert (first["step"], last["step"]) == (20, 40)
    assert last["loss"] < first["loss"] < 0.8
    assert isinstance(model, VoiceActivity) and model.settings == TINY
    assert math.isfinite(figure) and figure == max(first["validation"], last["validation"]) > 0.7


def test_the_figure_is_that_of_the_model_that_comes_back(trained):
    recipe, model, figure, _ = trained
    assert recipe.validate(model) == pytest.approx(figure, abs=1e-6)


def test_the_folder_of_a_run_belongs_to_its_task_model_settings_and_recordings(trained, data):
    recipe, _, _, out = trained
    claimed = json.loads((out / "run.json").read_text())
    settings = json.loads(json.dumps(dataclasses.asdict(SETTINGS)))
    # What changes no result is no part of what a run is.
    del settings["workers"], settings["labels"]
    for name in ("log_every", "backend", "remat_frames"):
        del settings["training"][name]
    assert claimed == {
        "task": "vad",
        "model": "VoiceActivity",
        "settings": settings,
        "recordings": recipe.recordings.digest,
    }
    other = dataclasses.replace(SETTINGS, batch_size=5)
    with pytest.raises(ValueError, match=r"holds another run: settings\.batch_size is 4 there and 5 here"):
        train(VoiceActivityRecipe([data], other), "vad", out)


def test_a_batch_holds_frames_of_sound_and_a_truth_for_each(data):
    (batch,) = VoiceActivityRecipe([data], SETTINGS).batches(0, 1)
    names = batch.pop("names")
    assert len(names) == 4 and all(name.endswith(".wav") for row in names for name in row)
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "samples": ((4, 100, 100), np.float32),
        "targets": ((4, 100), np.float32),
        "weights": ((4, 100), np.float32),
        "reset": ((4,), bool),
    }
    assert set(np.unique(batch["targets"])) == {0.0, 1.0}
    spoken = batch["targets"] > 0
    assert set(np.unique(batch["weights"][spoken])) == {np.float32(SETTINGS.speech_weight)}
    assert set(np.unique(batch["weights"][~spoken])) <= {0.0, 1.0}


def test_a_batch_depends_on_the_seed_and_its_step_alone(data):
    recipe = VoiceActivityRecipe([data], SETTINGS)
    from_the_start, resumed = list(recipe.batches(0, 4)), list(recipe.batches(2, 4))
    for whole, part in zip(from_the_start[2:], resumed, strict=True):
        np.testing.assert_array_equal(whole["samples"], part["samples"])
        np.testing.assert_array_equal(whole["targets"], part["targets"])
    assert np.any(from_the_start[0]["samples"] != from_the_start[1]["samples"])
    reseeded = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seed=1))
    (other,) = VoiceActivityRecipe([data], reseeded).batches(0, 1)
    assert np.any(other["samples"] != from_the_start[0]["samples"])


def test_more_threads_make_the_same_batches(data):
    threaded = dataclasses.replace(SETTINGS, workers=3)
    one, three = (list(VoiceActivityRecipe([data], settings).batches(0, 5)) for settings in (SETTINGS, threaded))
    for batch, same in zip(one, three, strict=True):
        np.testing.assert_array_equal(batch["samples"], same["samples"])


def test_test_scenes_have_speech_with_the_best_labels_alone(data):
    assert [(share, len(pool)) for share, pool in scenes_of(data).speech] == [(1.0, 1)]


def test_folders_are_drawn_by_how_much_is_said_in_them_and_by_the_quality_of_their_labels(data):
    pools = VoiceActivityRecipe([data], SETTINGS)._pools("train")
    cells = (SPOKEN[1] - SPOKEN[0]) / TINY.hop_samples
    assert [(share, [Path(spoken.name).name for spoken in pool]) for share, pool in pools] == [
        (pytest.approx(cells**0.5), ["a.wav"]),
        (pytest.approx(0.4 * cells**0.5), ["crowd.wav"]),
    ]


def test_labels_may_lie_apart_from_the_recordings_and_say_what_nobody_knows(own_data, tmp_path):
    (own_data / "talk/vad_segments.csv").unlink()
    labels = tmp_path / "labels/talk"
    labels.mkdir(parents=True)
    rows = "a.wav,1000,2000,speech\na.wav,2000,3000,unknown\nb.wav,1000,3000,speech\n"
    (labels / "vad_segments.csv").write_text(f"path,start,end,kind\n{rows}")
    recipe, another = (
        VoiceActivityRecipe([own_data], dataclasses.replace(SETTINGS, labels=folder))
        for folder in (labels.parent, shutil.copytree(labels.parent, tmp_path / "moved"))
    )
    # What they say belongs to a run, and not where they lie.
    assert another.recordings.digest == recipe.recordings.digest
    (tmp_path / "moved/talk/vad_segments.csv").write_text(f"path,start,end,kind\n{rows.replace('1000', '1001')}")
    assert VoiceActivityRecipe([own_data], another.settings).recordings.digest != recipe.recordings.digest
    ((_, (spoken,)),) = recipe._pools("train")
    # From a second before the speech, all that there is, to one behind it.
    assert spoken.cells.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    (batch,) = recipe.batches(0, 1)
    assert not batch["targets"][batch["weights"] == 0].any() and (batch["weights"] == 0).any()


def test_a_split_gets_its_own_recordings_and_without_rooms_those_of_the_valid_split(own_data):
    assert [len(pool) for pool in (scenes_of(own_data).noise, scenes_of(own_data).rooms)] == [1, 1]
    (own_data / "rir/manifest.csv").write_text("path,split\nfar.wav,valid\nnear.wav,valid\n")
    assert len(scenes_of(own_data).rooms) == 2


def test_a_folder_without_labels_of_the_recordings_is_named(data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere holds no labels .*talk.vad_segments.csv.*label_speech"):
        VoiceActivityRecipe([data], dataclasses.replace(SETTINGS, labels=tmp_path / "nowhere"))


def test_recordings_of_throats_that_say_nothing_are_drawn_apart_by_their_labels(own_data):
    recipe = VoiceActivityRecipe([own_data], SETTINGS)
    assert not len(recipe._scenes("train").cries)
    (own_data / "noise_hiss/manifest.csv").write_text("path,label,split\na.wav,dog_bark,train\nb.wav,rain,valid\n")
    recipe = VoiceActivityRecipe([own_data], SETTINGS)
    assert [len(recipe._scenes(split).cries) for split in ("train", "valid")] == [1, 0]


def test_segments_of_a_recording_at_another_rate_are_moved_to_the_rate_of_the_scenes(own_data):
    write_audio(own_data / "talk/a.wav", np.repeat(voice(), 4), 4 * RATE)
    (own_data / "talk/vad_segments.csv").write_text("path,start,end\na.wav,4000,12000\n")
    ((_, (utterance,)),) = scenes_of(own_data).speech
    assert (len(utterance.samples), utterance.segments) == (2 * RATE, (SPOKEN,))


def test_a_part_of_a_recording_has_that_part_s_segments(own_data):
    talk = own_data / "talk"
    rows = "a.wav,500,2500,train\na.wav,2500,,train\na.wav,0,900,train\n"
    (talk / "manifest.csv").write_text(f"path,start,end,split\n{rows}")
    (talk / "vad_segments.csv").write_text("path,start,end\na.wav,1000,2000\na.wav,2200,5000\n")
    with pytest.warns(AudioWarning, match=r"In 1 of 3 clips there is nothing to hear.*a\.wav"):
        ((_, pool),) = scenes_of(own_data).speech
    assert [utterance.segments for utterance in pool] == [((500, 1500), (1700, 2000)), ((0, 1500),), ()]


@pytest.mark.parametrize(("folder", "named"), [("noise_hiss", r"noise\*"), ("music", r"music\*")])
def test_a_missing_folder_of_backgrounds_is_named(own_data, folder, named):
    shutil.rmtree(own_data / folder)
    with pytest.raises(FileNotFoundError, match=f"has no folder of {named}"):
        VoiceActivityRecipe([own_data], SETTINGS)


def test_a_folder_without_speech_is_refused(own_data):
    (own_data / "talk/vad_segments.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no folder of speech .*vad_segments\.csv"):
        VoiceActivityRecipe([own_data], SETTINGS)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        VoiceActivityRecipe([tmp_path / "nowhere"], SETTINGS)


def test_what_validation_will_lack_is_said_before_training(own_data):
    (own_data / "music/manifest.csv").write_text("path,split\na.wav,train\nb.wav,train\n")
    (own_data / "talk/vad_segments.csv").write_text("path,start,end,quality\na.wav,0,9,A\n")
    with pytest.raises(
        ValueError, match=r"no speech and no music in split 'valid'; scenes need .* quality A or B, noise"
    ):
        VoiceActivityRecipe([own_data], SETTINGS)


def test_folders_and_segments_that_training_has_no_use_for_are_named(own_data):
    write_folder(own_data / "words", {"a.wav": "train"}, voice())
    with pytest.warns(AudioWarning, match=r"Not used, because there is no vad_segments\.csv: .*words\.$"):
        VoiceActivityRecipe([own_data], SETTINGS)
    shutil.rmtree(own_data / "words")
    with (own_data / "talk/vad_segments.csv").open("a") as file:
        file.write("elsewhere/a.wav,0,9,A\n")
    with pytest.warns(AudioWarning, match=r"segments of 1 recordings that are not there: .*talk/elsewhere/a\.wav\.$"):
        VoiceActivityRecipe([own_data], SETTINGS)


def test_segments_behind_the_end_of_their_recording_are_named(own_data):
    (own_data / "talk/vad_segments.csv").write_text("path,start,end\na.wav,8000,24000\nb.wav,1000,3000\n")
    with pytest.warns(AudioWarning, match=r"end behind their recordings, 1 in all: .*a\.wav\. .* own rate"):
        recipe = VoiceActivityRecipe([own_data], SETTINGS)
    with pytest.raises(ValueError, match=r"In no recording of split 'train' does anybody speak"):
        next(iter(recipe.batches(0, 1)))


def test_rooms_that_are_silent_are_left_out_and_named(own_data):
    write_audio(own_data / "rir/far.wav", np.zeros(60, np.float32), RATE)
    with pytest.warns(AudioWarning, match=r"1 of 1 impulse responses of rooms are silent and left out: .*far\.wav"):
        assert not scenes_of(own_data).rooms


def test_splits_that_training_does_not_know_are_named(own_data):
    (own_data / "noise_hiss/manifest.csv").write_text("path,split\na.wav,train\nb.wav,valid\na.wav,dev\n")
    with pytest.warns(AudioWarning) as told:
        VoiceActivityRecipe([own_data], SETTINGS)
    assert "1 recordings are not used, because of their splits: dev (1)" in " ".join(str(w.message) for w in told)


def test_recordings_that_cannot_be_read_are_skipped_while_there_are_others(own_data):
    write_audio(own_data / "talk/c.wav", voice(), RATE)
    (own_data / "talk/manifest.csv").write_text("path,split\na.wav,train\nb.wav,valid\nc.wav,train\n")
    (own_data / "talk/vad_segments.csv").write_text(
        "path,start,end\na.wav,1000,3000\nb.wav,1000,3000\nc.wav,1000,3000\n"
    )
    (own_data / "talk/c.wav").write_text("no sound")
    with pytest.warns(AudioWarning, match=r"1 of 2 clips could not be read.*c\.wav"):
        assert [(share, len(pool)) for share, pool in scenes_of(own_data).speech] == [(1.0, 1)]
    (own_data / "talk/a.wav").write_text("no sound")
    with pytest.raises(AudioError, match="None of 2 clips could be read"):
        scenes_of(own_data)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"duration_s": 0.0}, r"duration_s is 0\.0; a scene needs a frame, 0\.01 s"),
        ({"duration_s": 0.009}, r"duration_s is 0\.009"),
        ({"parts": 0}, "parts is 0; it must be at least 1"),
        ({"batch_size": 9, "echoes": 2}, "batch_size is 9; it must be a multiple of echoes, 2"),
        ({"reset_share": 1.5}, r"reset_share is 1\.5; it must be from 0 to 1"),
        ({"speech_weight": 0.0}, r"speech_weight is 0\.0; it must be above 0"),
    ],
)
def test_settings_that_give_no_batch_say_so(wrong, message):
    with pytest.raises(ValueError, match=message):
        VoiceActivityTraining(**wrong)


PARTS = dataclasses.replace(SETTINGS, parts=3, duration_s=1.0)


def test_parts_of_a_scene_lie_side_by_side_with_targets_as_late_as_the_answers(data):
    recipe = VoiceActivityRecipe([data], dataclasses.replace(PARTS, parts=1, duration_s=3.0))
    whole = recipe._drawn(recipe._scenes("train"), 0)
    parts = list(VoiceActivityRecipe([data], PARTS).batches(0, 3))
    np.testing.assert_array_equal(np.concatenate([p["samples"] for p in parts], axis=1), whole["samples"])
    late = TINY.lookahead_frames
    assert late > 0
    targets, weights = (np.concatenate([p[name] for p in parts], axis=1) for name in ("targets", "weights"))
    np.testing.assert_array_equal(targets[:, late:], whole["targets"][:, :-late])
    assert not weights[:, :late].any()
    np.testing.assert_array_equal(weights[:, late:], whole["weights"][:, :-late])
    assert [p["reset"].tolist() for p in parts] == [whole["reset"].tolist(), [False] * 4, [False] * 4]


def test_a_scene_is_heard_again_in_another_row_and_beside_others(data):
    recipe = VoiceActivityRecipe([data], dataclasses.replace(PARTS, parts=1, echoes=2))
    first, *_, later = recipe.batches(0, 6)
    assert [len(batch["samples"]) for batch in (first, later)] == [4, 4]
    np.testing.assert_array_equal(first["samples"][2:], later["samples"][:2])
    assert first["names"][2:] == later["names"][:2]
    assert (first["samples"][:2] != later["samples"][2:]).any()


def test_some_scenes_begin_afresh_and_the_others_go_on_from_another_one(data):
    recipe = VoiceActivityRecipe([data], dataclasses.replace(SETTINGS, duration_s=0.05, reset_share=0.5))
    resets = np.concatenate([batch["reset"] for batch in recipe.batches(0, 40)])
    assert 0.35 < resets.mean() < 0.65


def test_any_step_can_be_made_first(data):
    recipe = VoiceActivityRecipe([data], PARTS)
    *_, last = recipe.batches(0, 5)
    (again,) = recipe.batches(4, 5)
    np.testing.assert_array_equal(last["samples"], again["samples"])
    assert not last["reset"].any()


def test_a_model_learns_on_parts(data, tmp_path):
    recipe = VoiceActivityRecipe(
        [data], dataclasses.replace(PARTS, training=dataclasses.replace(PARTS.training, steps=120))
    )
    _, figure = train(recipe, "vad", tmp_path)
    assert figure > 0.6


def test_the_finished_compact_model_hears_by_odds_without_the_weight_of_speech(data):
    settings = CompactVoiceActivityTraining(model=TINY, speech_weight=0.25)
    recipe = CompactVoiceActivityRecipe([data], settings)
    plain, finished = (recipe.model(nnx.Rngs(0)) for _ in range(2))
    recipe.finish(finished)
    x = np.random.default_rng(0).normal(0, 0.1, (1, 20, TINY.hop_samples)).astype(np.float32)
    np.testing.assert_allclose(outputs(finished, x) - outputs(plain, x), np.log(4), rtol=1e-4)


def test_the_best_compact_model_so_far_is_kept_finished(data, tmp_path):
    training = dataclasses.replace(SETTINGS.training, steps=2, validate_every=1)
    settings = CompactVoiceActivityTraining(model=TINY, training=training, batch_size=4, duration_s=1.0, workers=1)
    kept: list[list] = []
    recipe = CompactVoiceActivityRecipe([data], settings)
    model, _ = train(
        recipe, "vad-compact", tmp_path, keep=lambda best, _: kept.append(jax.tree.leaves(nnx.state(best)))
    )
    for ours, theirs in zip(jax.tree.leaves(nnx.state(model)), kept[-1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_compact_model_fits_what_clients_of_silero_vad_keep():
    model = nnx.eval_shape(lambda: VoiceActivity(COMPACT, rngs=nnx.Rngs(0)))
    recurrent = [leaf for leaf in jax.tree.leaves(model.init_state(1)) if leaf.shape != (1, 1, COMPACT.hop_samples)]
    assert sum(leaf.size for leaf in recurrent) <= 256
    assert COMPACT.window_samples - COMPACT.hop_samples <= 64 and 512 % COMPACT.hop_samples == 0
    assert find_task("vad-compact").resolve("recipe").Settings().model == COMPACT
