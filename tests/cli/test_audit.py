"""The command `streamrnn audit`."""

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


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """Sixteen speakers, half of each sex, with a clip in split train and one in split test."""
    folder = tmp_path_factory.mktemp("data") / "words"
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (32, 8000)).astype(np.float32)
    for number, samples in enumerate(noise):
        write_audio(folder / f"{number}.wav", samples, 16_000)
    rows = "".join(
        f"{n}.wav,{'up' if n % 2 else 'down'},s{n // 2},{'fm'[n // 2 % 2]},{'test' if n < 16 else 'train'}\n"
        for n in range(32)
    )
    (folder / "manifest.csv").write_text("path,label,speaker,sex,split\n" + rows)
    return folder


def test_groups_are_a_table_a_picture_and_json(streamrnn, capsys, words, words_path, tmp_path):
    asked = ("audit", "groups", words_path, "--data", words, "--by", "sex")
    picture = tmp_path / "groups.png"
    assert streamrnn(*asked, "--plot", picture, "--to-show", 0.01) == 0
    # Wrapped where the folder's name is long.
    said = " ".join(capsys.readouterr().out.split())
    assert "accuracy by sex on 32" in said and "do not show that fewer than 38% of all are otherwise" in said
    assert picture.stat().st_size > 10_000
    assert streamrnn(*asked, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["groups"]["f"]["speakers"] == 8 and report["figure"] == "accuracy"


def test_privacy_is_tables_a_picture_and_json(streamrnn, capsys, words, words_path, tmp_path):
    asked = ("audit", "privacy", words_path, "--data", words, "--others", "test")
    picture = tmp_path / "privacy.png"
    assert streamrnn(*asked, "--references", words_path, words_path, "--plot", picture, "--probe") == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in ("members and others", "calibrated", "needs 100 others", "Snapshots were not probed"):
        assert part in said
    assert picture.stat().st_size > 10_000
    assert streamrnn(*asked, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["members"]["clips"] == report["others"]["clips"] == 16
    assert set(report["attacks"]["loss"]) == {"clip", "speaker"} and report["sources"]["matched"]


def test_who_is_a_member_must_be_told(streamrnn, capsys, words, words_path):
    assert streamrnn("audit", "privacy", words_path, "--data", words, "--others", "train") == 2
    assert "--members and --others both name train" in capsys.readouterr().err
    assert streamrnn("audit", "privacy", words_path, "--data", words, "--members", "mine") == 2
    assert "no recording of split 'mine'; the splits are: test, train" in capsys.readouterr().err


def test_models_that_read_lines_are_refused_before_their_data_are_read(streamrnn, capsys, tmp_path):
    for asked in (("groups", "intent", "--by", "sex"), ("privacy", "intent")):
        assert streamrnn("audit", *asked, "--data", tmp_path) == 2
        assert "intent reads lines; audits are for tasks of sound: vad" in capsys.readouterr().err


def test_a_folder_without_splits_is_split_as_in_training(streamrnn, capsys, words, words_path, tmp_path):
    for number in range(22):
        (tmp_path / f"{number}.wav").write_bytes((words / f"{number}.wav").read_bytes())
    rows = (f"{n}.wav,{'up' if n % 2 else 'down'}\n" for n in range(22))
    (tmp_path / "manifest.csv").write_text("path,label\n" + "".join(rows))
    asked = ("audit", "privacy", words_path, "--data", tmp_path, "--each-clip-alone", "--json")
    assert streamrnn(*asked) == 2
    assert "There are 18 speakers among the members and 4 among the others" in capsys.readouterr().err
    assert streamrnn(*asked, "--members", "test") == 2
    assert "no recording of split 'test'; the splits are: train, valid" in capsys.readouterr().err


def test_what_is_missing_is_said(streamrnn, capsys, words, words_path):
    assert streamrnn("audit", "groups", words_path, "--data", words, "--by", "age") == 2
    assert "No manifest.csv has the column 'age'" in capsys.readouterr().err
    assert streamrnn("audit", "groups", words_path, "--data", words, "--by", "split", "--split", "test") == 2
    assert "All clips are of one group, 'test'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("groups", "--by", "sex", "--to-show", 0), "--to-show is 0; a difference to show is above 0"),
        (("groups", "--by", "sex", "--clips", -3), "--clips is -3; it must be 1 or more"),
        (("groups", "--by", "sex", "--clips", 4, "--drop-small"), "No clip is of a group"),
        (("groups", "--by", "sex", "--cuts", 5), "--cuts need numbers, and the column has 'f'"),
        (("groups", "--by", "sex", "--plot", "nowhere/x.png"), "nowhere/x.png: cannot write"),
        (("groups", "--by", "sex", "--task", "keyword"), "There is no task 'keyword'. Did you mean 'keywords'?"),
        (("privacy", "--clips", 0), "--clips is 0; it must be 1 or more"),
        (("privacy", "--others", "test", "train"), "--members and --others both name train"),
    ],
)
def test_flags_that_mean_nothing_are_named(streamrnn, capsys, words, words_path, flags, says):
    assert streamrnn("audit", flags[0], words_path, "--data", words, *flags[1:]) == 2
    assert says in capsys.readouterr().err
