"""Detectors beside each other in situations, with stand-ins whose answers are known."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.peers import FramewisePeer, Peer
from benchmarks.situations import compare_in_situations, show
from streamrnn.audio import write_audio


class Loudness(FramewisePeer):
    """Hears up to four times as much speech as others where frames of 10 ms are loud."""

    frame_samples = 160

    def fresh(self):
        return lambda frame: 4.0 if np.mean(frame**2) > 0.01 else 3.0 if np.mean(frame**2) > 0.0001 else 0.0


def absent():
    raise ImportError("No module named 'absent'")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A recording at 8 kHz that is faint, silent, loud where somebody speaks, and silent."""
    place = tmp_path / "hums"
    place.mkdir()
    samples = np.repeat([0.02, 0.0, 0.3, 0.0], 8000) * np.sin(np.arange(32_000))
    write_audio(place / "a.flac", samples.astype(np.float32), 8000)
    (place / "manifest.csv").write_text("path,label,judged_from\na.flac,,0\n")
    (place / "vad_segments.csv").write_text("path,start,end,quality\na.flac,16000,24000,A\n")
    (place / "words.csv").write_text("path,start,end,word\n")
    (tmp_path / "situations.csv").write_text("situation,says,compared\nhums,hums,0\n")
    return tmp_path


def peer(threshold: float) -> Peer:
    return Peer("stand-in", Loudness, (), "pip install stand-in", highest=4.0, threshold=threshold)


def test_scores_of_peers_are_decided_on_as_parts_of_their_highest_one(folder):
    for threshold, false_starts in ((1.0, 0), (0.7, 1)):
        row = compare_in_situations(folder, (), peers=[peer(threshold)])["detectors"]["stand-in"]["hums"]
        assert row["false_starts_per_hour"] == pytest.approx(false_starts / (2.5 / 3600))
        assert row["speech_found"] == pytest.approx(1, abs=0.02)


def test_the_answer_is_json_and_its_table_names_every_detector_and_what_is_missing(folder):
    others = [peer(1.0), Peer("absent", absent, (), "pip install absent")]
    answer = json.loads(json.dumps(compare_in_situations(folder, ["vad"], peers=others)))
    assert [name.split()[0] for name in answer["detectors"]] == ["vad", "stand-in"]
    page = io.StringIO()
    show(answer, Console(file=page, width=80))
    printed = page.getvalue()
    assert all(part in printed for part in ("hums", "vad", "stand-in", "starts/h", "Install it: pip install absent"))
