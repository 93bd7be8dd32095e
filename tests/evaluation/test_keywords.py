"""Figures of keyword models on folders of clips."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioWarning, write_audio
from streamrnn.evaluation import evaluate
from streamrnn.evaluation.keywords import confusions
from streamrnn.export.onnx import export_onnx
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.pretrained import load, save
from streamrnn.runtime import run_file

RATE = 16_000


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> str:
    """An untrained model: what it hears is chance, but always the same."""
    path = tmp_path_factory.mktemp("model") / "words.safetensors"
    settings = KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5)
    model = Keywords(settings, rngs=nnx.Rngs(3))
    model.eval()
    save(model, path, task="keywords")
    return str(path)


def write_words(folder: Path, labels: list[str], split: str = "test") -> Path:
    folder.mkdir()
    rng = np.random.default_rng(len(labels))
    for number in range(len(labels)):
        write_audio(folder / f"{number}.wav", 0.1 * rng.standard_normal(RATE // 2).astype(np.float32), RATE)
    rows = "".join(f"{number}.wav,{label},{split}\n" for number, label in enumerate(labels))
    (folder / "manifest.csv").write_text("path,label,split\n" + rows)
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    return write_words(tmp_path_factory.mktemp("data") / "words", ["up", "down", "up", "unknown"])


def test_the_answer_has_accuracy_classes_and_a_detection_curve(words, model_path):
    answer = evaluate("keywords", words, model_path, "test")
    assert list(answer) == ["task", "model", "data", "split", "clips", "streaming", "offline"]
    assert list(answer["streaming"]) == ["accuracy", "accuracy_interval", "per_class", "confusions", "detection"]
    assert list(answer["streaming"]["per_class"]) == ["down", "unknown", "up"]
    assert json.loads(json.dumps(answer)) == answer


def test_accuracy_is_the_share_of_clips_whose_best_smoothed_posterior_is_their_word(words, model_path):
    answer, model = evaluate("keywords", words, model_path), load(model_path)
    window = round(0.2 / model.frame_s)
    right = []
    for number, label in enumerate(["up", "down", "up", "unknown"]):
        posteriors = run_file(model, words / f"{number}.wav")
        padded = np.pad(posteriors, ((window - 1, 0), (0, 0)))
        smoothed = np.mean([padded[k : k + len(posteriors)] for k in range(window)], axis=0)
        right.append(model.settings.labels[1 + int(smoothed[:, 1:].max(axis=0).argmax())] == label)
    assert answer["offline"]["accuracy"] == answer["streaming"]["accuracy"] == np.mean(right)


def test_streaming_and_offline_curves_agree(words, model_path):
    answer = evaluate("keywords", words, model_path)
    streaming, offline = (answer[way]["detection"] for way in ("streaming", "offline"))
    assert streaming == offline


def test_false_alarms_are_counted_in_the_hours_without_words_and_bounded_where_there_are_none(words, model_path):
    detection = evaluate("keywords", words, model_path)["streaming"]["detection"]
    assert detection["hours"] == pytest.approx(0.5 / 3600)
    first, last = detection["curve"][0], detection["curve"][-1]
    assert first["threshold"] == 0.05 and first["false_alarms"] >= 1 and first["bound_per_hour"] is None
    assert first["false_alarms_per_hour"] == pytest.approx(first["false_alarms"] / detection["hours"])
    assert last["false_alarms"] == 0 and last["bound_per_hour"] == pytest.approx(3 / detection["hours"])
    assert (first["miss_rate"], last["miss_rate"]) == (0, 1)


def test_negatives_add_hours_but_no_classes_and_leave_training_recordings_out(words, model_path, tmp_path):
    heard, trained = (write_words(tmp_path / split, [""] * 3, split) for split in ("valid", "train"))
    alone = evaluate("keywords", words, model_path)["streaming"]
    with pytest.warns(AudioWarning, match="3 of 6 negatives are of split train, which training may have heard"):
        both = evaluate("keywords", words, model_path, negatives=[heard, trained])["streaming"]
    assert both["detection"]["hours"] == pytest.approx(2.0 / 3600)
    assert (both["accuracy"], both["per_class"]) == (alone["accuracy"], alone["per_class"])


def test_of_negatives_without_splits_only_those_count_that_training_holds_out(words, model_path, tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    for number in range(11):
        write_audio(noise / f"{number}.wav", np.full(RATE // 2, 0.1, np.float32), RATE)
    with pytest.warns(AudioWarning, match="9 of 11 negatives are of split train"):
        answer = evaluate("keywords", words, model_path, negatives=[noise])
    assert answer["clips"] == 4 + 2
    for number in range(1, 11):
        (noise / f"{number}.wav").unlink()
    with pytest.raises(ValueError, match="All negatives are of split train, which training may have heard"):
        evaluate("keywords", words, model_path, negatives=[noise])


def test_talk_in_which_a_word_is_said_is_no_false_alarm(words, model_path, tmp_path):
    write_words(tmp_path / "talk", ["", "", ""])
    rows = '0.wav,"Up, he said",test\n1.wav,he said nothing,test\n2.wav,,test\n'
    (tmp_path / "talk/manifest.csv").write_text("path,transcript,split\n" + rows)
    with pytest.warns(AudioWarning, match="1 of 3 recordings are left out, as a word is said in their talk"):
        answer = evaluate("keywords", words, model_path, negatives=[tmp_path / "talk"])
    assert answer["streaming"]["detection"]["hours"] == pytest.approx(1.5 / 3600)


def test_labels_that_are_none_of_the_words_count_as_unknown_and_are_named(tmp_path, model_path):
    folder = write_words(tmp_path / "words", ["up", "left", "Up", "left", ""])
    told = r"none of the words count as 'unknown', in 4 clips: Up \(1\), left \(2\), no label \(1\)\."
    with pytest.warns(AudioWarning, match=told):
        answer = evaluate("keywords", folder, model_path)
    assert list(answer["streaming"]["per_class"]) == ["unknown", "up"]


def test_folders_and_classes_that_training_takes_for_noise_are_not_judged(tmp_path, model_path):
    for label in ("up", "down", "_background_noise_"):
        (tmp_path / "words" / label).mkdir(parents=True)
        write_audio(tmp_path / "words" / label / "a.wav", np.full(RATE, 0.1, np.float32), RATE)
    for name in ("noise", "music_piano", "rir"):
        write_words(tmp_path / name, ["up"])
    answer = evaluate("keywords", tmp_path, model_path)
    assert (answer["clips"], list(answer["streaming"])) == (
        2,
        ["accuracy", "accuracy_interval", "per_class", "confusions"],
    )
    with pytest.raises(ValueError, match=r"noise has nothing to judge: folders named noise\*, music\*, rir\* are"):
        evaluate("keywords", tmp_path / "noise", model_path)


def test_where_a_folder_says_nothing_of_splits_those_are_valid_that_training_holds_out(tmp_path, model_path):
    folder = write_words(tmp_path / "words", ["up"] * 11 + ["down"] * 3, "")
    assert evaluate("keywords", folder, model_path, "valid")["clips"] == 3
    assert evaluate("keywords", folder, model_path, "train")["clips"] == 11


def test_an_empty_clip_is_left_out_and_the_report_says_so(words, model_path, tmp_path):
    folder = write_words(tmp_path / "words", ["up", "down"])
    write_audio(folder / "1.wav", np.zeros(0, np.float32), RATE)
    with pytest.warns(AudioWarning, match=r"1 of 2 recordings could not be judged .*1\.wav lasts 0 ms"):
        answer = evaluate("keywords", folder, model_path)
    assert answer["clips"] == 1 and len(answer["left_out"]) == 1


def test_a_folder_without_the_models_words_is_refused_with_both_lists(tmp_path, model_path):
    with pytest.raises(ValueError, match=r"Words: up, down\. Labels of the clips: left, right"):
        evaluate("keywords", write_words(tmp_path / "others", ["left", "right"]), model_path)


def test_an_exported_model_is_judged_as_the_model_itself(words, model_path, tmp_path):
    export_onnx(load(model_path), tmp_path / "words.onnx")
    # In another process, where types are not checked: an exported model stands in for a Model.
    command = [sys.executable, "-m", "streamrnn", "evaluate"]
    asked = ["--data", str(words), "--model", str(tmp_path / "words.onnx"), "--json"]
    exported = subprocess.run([*command, "keywords", *asked], check=True, timeout=200, capture_output=True)
    found, expected = json.loads(exported.stdout)["streaming"], evaluate("keywords", words, model_path)["streaming"]
    assert found["confusions"] == expected["confusions"] and found["detection"] == expected["detection"]
    refused = subprocess.run([*command, "phonemes", *asked], timeout=200, capture_output=True)
    assert b"evaluate phonemes got an OnnxModel; it needs a model of phonemes" in refused.stderr


def test_a_model_for_something_else_is_refused(words):
    with pytest.raises(ValueError, match="got a VoiceActivity; it needs a keyword model"):
        evaluate("keywords", words, "vad")


def test_negatives_are_for_tasks_with_false_alarms_alone(words):
    with pytest.raises(ValueError, match="vad takes no negatives, as keywords, wake and phrases do"):
        evaluate("vad", words, "vad", negatives=[words])


def test_confusions_count_what_was_heard_for_each_word():
    found = confusions(["up", "down", "down", "up", "unknown"], ["up", "up", "up", "down", "down"])
    assert found == {"down": {"up": 1, "unknown": 1}, "up": {"down": 2, "up": 1}}
    assert list(found["up"]) == ["down", "up"]
