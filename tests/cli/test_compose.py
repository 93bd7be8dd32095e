"""`streamrnn compose`: recordings of a split in, a test set with its truth out."""

from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.data import read_manifest


@pytest.fixture
def data(tmp_path) -> Path:
    for word in ("yes", "no"):
        (tmp_path / "data" / word).mkdir(parents=True)
        write_audio(tmp_path / "data" / word / "1.wav", 0.1 * np.sin(np.arange(8000)), 16_000)
    (tmp_path / "data/testing_list.txt").write_text("yes/1.wav\nno/1.wav\n")
    return tmp_path / "data"


def test_words_become_strings_with_transcripts(streamrnn, data, tmp_path, capsys):
    out = tmp_path / "strings"
    assert streamrnn("compose", "digits", "--data", data, "--out", out, "--clips", 3, "--symbols", "yes", "no") == 0
    clips = read_manifest(out, "test")
    assert len(clips) == 3
    assert {word for clip in clips for word in clip.transcript.split()} == {"yes", "no"}
    assert f"wrote 3 recordings to {out}. Next: streamrnn evaluate digits --data {out}" in capsys.readouterr().out


asked: dict = {}


def write(data: Path, out: Path, *, clips: int = 120, duration_s: float = 30.0, seed: int = 0, progress=None) -> None:
    """Writes nothing; what it got is in `asked`.

    Args:
        data: a folder.
        out: made where missing.
        clips: how many.
        duration_s: length of each.
        seed: chooses them.
        progress: called after each.
    """
    progress(1, clips)
    asked.update(data=data, out=out, clips=clips, duration_s=duration_s, seed=seed)


@pytest.mark.parametrize("task", ["vad", "denoise"])
def test_flags_are_the_parameters_of_the_task_s_writer(streamrnn, capsys, monkeypatch, tmp_path, task):
    place = {"vad": "scenes.write_scenes", "denoise": "mixes.write_noisy_speech"}[task]
    monkeypatch.setattr(f"streamrnn.recipes.test_sets.{place}", write)
    assert streamrnn("compose", task, "--data", tmp_path, "--out", tmp_path / "a", "--clips", 3, "--duration-s", 2) == 0
    assert asked == {"data": tmp_path, "out": tmp_path / "a", "clips": 3, "duration_s": 2.0, "seed": 0}
    assert f"streamrnn evaluate {task} --data {tmp_path / 'a'}" in capsys.readouterr().out


def test_a_task_without_a_test_set_names_those_that_have_one(streamrnn, capsys):
    assert streamrnn("compose", "keywords") == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("vad", "digits", "denoise"))


def test_situations_are_composed_of_several_folders(streamrnn, capsys, monkeypatch, tmp_path):
    def write_situations(data, out, *, progress, **flags):
        progress(1, 1)
        asked.update(data=data, out=out, **flags)
        return list(flags["only"])

    monkeypatch.setattr("streamrnn.recipes.test_sets.situations.write_situations", write_situations)
    flags = ("--hours", 0.1, "--split", "valid", "--only", "noise-begins", "clicks")
    assert streamrnn("compose", "situations", "--data", tmp_path, tmp_path, "--out", tmp_path / "s", *flags) == 0
    assert asked["data"] == (tmp_path, tmp_path) and asked["hours"] == 0.1 and asked["split"] == "valid"
    said = capsys.readouterr().out
    assert f"wrote 2 situations to {tmp_path / 's'}. Next: streamrnn evaluate vad --situations {tmp_path / 's'}" in said
