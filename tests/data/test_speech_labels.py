"""Tables of where somebody speaks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import write_audio
from streamrnn.data.clips import Clip
from streamrnn.data.live_scenes import NOISE, SPEECH, UNKNOWN
from streamrnn.data.speech_labels import SpeechLabels, labelled_clips, read_speech_labels


def test_a_table_gives_speech_and_what_nobody_knows_of_each_recording(tmp_path):
    rows = "a.wav,10,20,speech,A\na.wav,30,40,unknown,A\nb.wav,0,5,speech,B\na.wav,50,60,,A\n"
    (tmp_path / "vad_segments.csv").write_text(f"path,start,end,kind,quality\n{rows}")
    assert read_speech_labels(tmp_path / "vad_segments.csv") == {
        tmp_path / "a.wav": SpeechLabels(((10, 20), (50, 60)), ((30, 40),), "A"),
        tmp_path / "b.wav": SpeechLabels(((0, 5),), (), "B"),
    }


def test_a_table_may_lie_apart_from_its_recordings(tmp_path):
    (tmp_path / "vad_segments.csv").write_text("path,start,end\na.wav,10,20\n")
    assert list(read_speech_labels(tmp_path / "vad_segments.csv", tmp_path / "there")) == [tmp_path / "there/a.wav"]


@pytest.mark.parametrize("row", ["a.wav,1.5,9", "a.wav,-1,9", "a.wav,9,8", "a.wav,,9"])
def test_a_segment_that_is_none_is_named_with_its_line(tmp_path, row):
    (tmp_path / "vad_segments.csv").write_text(f"path,start,end\na.wav,0,9\n{row}\n")
    with pytest.raises(ValueError, match=r"vad_segments\.csv, line 3: .*whole samples with 0 <= start <= end"):
        read_speech_labels(tmp_path / "vad_segments.csv")


def test_another_kind_is_refused_with_its_line(tmp_path):
    (tmp_path / "vad_segments.csv").write_text("path,start,end,kind\na.wav,0,9,music\n")
    with pytest.raises(ValueError, match=r"line 2: kind is 'music'; it is one of speech, unknown"):
        read_speech_labels(tmp_path / "vad_segments.csv")


def test_another_quality_is_refused_with_its_line(tmp_path):
    (tmp_path / "vad_segments.csv").write_text("path,start,end,quality\na.wav,0,9,A\na.wav,9,12,a\n")
    with pytest.raises(ValueError, match=r"line 3: quality is 'a'; it is one of A, B"):
        read_speech_labels(tmp_path / "vad_segments.csv")


def test_a_clip_has_the_labels_of_its_part_at_the_rate_that_is_asked_for(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(4000, np.float32), 4000)
    labels = SpeechLabels(((1000, 2000), (3500, 4000)), ((2000, 2200),))
    part = labels.of(Clip(tmp_path / "a.wav", 800, 3000), 1100, 2000)
    assert part == SpeechLabels(((100, 600),), ((600, 700),))
    cells = part.cells(1100, 100)
    assert cells.tolist() == [NOISE] + 5 * [SPEECH] + [UNKNOWN] + 4 * [NOISE]


def test_only_clips_with_labels_of_the_wanted_quality_are_used(tmp_path):
    a, b, c = (Clip(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav"))
    labels = {a.path: SpeechLabels(quality="A"), b.path: SpeechLabels(quality="B")}
    assert labelled_clips([a, b, c], labels, ["A"]) == [(a, labels[a.path])]


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_the_script_writes_places_in_samples_of_the_recording(tmp_path, rate: int):
    spec = importlib.util.spec_from_file_location("label_speech", Path(__file__).parents[2] / "scripts/label_speech.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rng, seconds = np.random.default_rng(0), np.arange(8 * rate) / rate
    sound = 0.0005 * rng.standard_normal(len(seconds)) + 0.3 * np.sin(1500 * seconds) * ((seconds >= 5) & (seconds < 6))
    write_audio(tmp_path / "a.wav", sound.astype(np.float32), rate)
    # The clip begins after 2 s, and the other judge hears speech where it is.
    clip = Clip(tmp_path / "a.wav", start=2 * rate, end=8 * rate)
    rows = script._rows(tmp_path, lambda samples: np.repeat(np.float32([0, 0, 0, 1, 0, 0]), 100), clip)
    [(_, start, end, _, _)] = [row for row in rows if row[3] == "speech"]
    assert start / rate == pytest.approx(5, abs=0.05) and end / rate == pytest.approx(6, abs=0.05)


def test_two_qualities_of_one_recording_are_refused_with_their_line(tmp_path):
    (tmp_path / "vad_segments.csv").write_text("path,start,end,quality\na.wav,0,9,A\nb.wav,0,9,B\na.wav,9,12,B\n")
    with pytest.raises(ValueError, match=r"line 4: quality is B, and an earlier row of a\.wav says A"):
        read_speech_labels(tmp_path / "vad_segments.csv")
