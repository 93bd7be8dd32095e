"""The command `streamrnn evaluate`: tables and JSON of every kind of figure."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.models import Keywords, KeywordsSettings
from streamrnn.pretrained import save


@pytest.fixture(scope="module")
def words_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "words.safetensors"
    settings = KeywordsSettings(words=("up", "down"), mels=8, channels=(6, 6), hidden=5)
    save(Keywords(settings, rngs=nnx.Rngs(3)), path, task="keywords")
    return path


def write_folder(folder: Path, labels: list[str]) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (len(labels), 8000)).astype(np.float32)
    for number, samples in enumerate(noise):
        write_audio(folder / f"{number}.wav", samples, 16_000)
    rows = "".join(f"{number}.wav,{label},test\n" for number, label in enumerate(labels))
    (folder / "manifest.csv").write_text("path,label,split\n" + rows)
    return folder


def test_figures_of_words_are_a_table_with_classes_and_a_detection_curve(streamrnn, capsys, tmp_path, words_path):
    words, noise = write_folder(tmp_path / "words", ["up", "down"]), write_folder(tmp_path / "noise", ["", ""])
    assert streamrnn("evaluate", "keywords", "--data", words, "--negatives", noise, "--model", words_path) == 0
    table = capsys.readouterr().out
    for part in ("accuracy", "per_class up", "detection hours", "missed, alarms/h at 0.50"):
        assert part in table


def test_a_table_says_how_many_recordings_are_not_in_it(streamrnn, capsys, tmp_path, words_path):
    words = write_folder(tmp_path / "words", ["up", "down"])
    (words / "1.wav").write_bytes(b"no sound")
    assert streamrnn("evaluate", "keywords", "--data", words, "--model", words_path) == 0
    said = capsys.readouterr()
    assert "1 more could not be judged" in said.out and "1.wav is damaged" in said.err


def test_several_folders_are_judged_together(streamrnn, capsys, tmp_path, words_path):
    folders = [write_folder(tmp_path / name, ["up", "down"]) for name in ("a", "b")]
    assert streamrnn("evaluate", "keywords", "--data", *folders, "--model", words_path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["clips"] == 4 and answer["data"] == [str(folder) for folder in folders]


def test_data_without_a_folder_is_refused(streamrnn, capsys, words_path):
    assert streamrnn("evaluate", "keywords", "--model", words_path, "--data") == 2
    assert "--data names no folder" in capsys.readouterr().err


def test_several_splits_are_judged_together_without_the_recordings_that_are_left_out(
    streamrnn, capsys, tmp_path, words_path
):
    folder = write_folder(tmp_path / "words", ["up", "down", "up", "down"])
    (folder / "manifest.csv").write_text(
        "path,label,split\n0.wav,up,valid\n1.wav,down,test\n2.wav,up,test\n3.wav,up,\n"
    )
    asked = ("--split", "valid", "test", "--exclude", "2", "--model", words_path, "--json")
    assert streamrnn("evaluate", "keywords", "--data", folder, *asked) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["clips"], answer["split"], answer["excluded"]) == (2, ["valid", "test"], ["2"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--split", "test", "tset"), "no recording of split 'tset'; the splits are: test"),
        (("--exclude", "up.wav"), "exclude names up.wav, but there is no such recording"),
    ],
)
def test_what_is_not_there_is_named(streamrnn, capsys, tmp_path, words_path, flags, message):
    folder = write_folder(tmp_path / "words", ["up", "down"])
    assert streamrnn("evaluate", "keywords", "--data", folder, "--model", words_path, *flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())
