"""`streamrnn strings`: words in, a transcribed test set out."""

from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.cli.strings import main
from streamrnn.training import read_manifest


@pytest.fixture
def data(tmp_path) -> Path:
    for word in ("yes", "no"):
        (tmp_path / "data" / word).mkdir(parents=True)
        write_audio(tmp_path / "data" / word / "1.wav", 0.1 * np.sin(np.arange(8000)), 16_000)
    (tmp_path / "data/testing_list.txt").write_text("yes/1.wav\nno/1.wav\n")
    return tmp_path / "data"


def test_words_become_strings_with_transcripts(data, tmp_path, capsys):
    out = tmp_path / "strings"
    main(["--data", str(data), "--out", str(out), "--strings", "3", "--symbols", "yes", "no"])
    clips = read_manifest(out, "test")
    assert len(clips) == 3
    assert {word for clip in clips for word in clip.transcript.split()} == {"yes", "no"}
    assert f"streamrnn evaluate digits --data {out}" in capsys.readouterr().out
