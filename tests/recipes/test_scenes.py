"""Scenes on disk: what is written, that it is always the same, and what is refused."""

import csv
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import read_audio, write_audio
from streamrnn.data import read_manifest, reading_outside
from streamrnn.data.speech_labels import read_speech_labels
from streamrnn.recipes.test_sets.scenes import write_scenes

RATE = 8000


def write_folder(folder: Path, recordings: dict[str, np.ndarray], segments: str = "", split: str = "test") -> None:
    folder.mkdir(parents=True)
    for name, samples in recordings.items():
        write_audio(folder / name, samples, RATE)
    (folder / "manifest.csv").write_text("path,split\n" + "".join(f"{name},{split}\n" for name in recordings))
    if segments:
        (folder / "vad_segments.csv").write_text("path,start,end,quality\n" + segments)


@pytest.fixture
def data(tmp_path) -> Path:
    """One voice of each label quality (a low and a high tone), a noise and a piece of music."""
    rng = np.random.default_rng(0)
    clean, crowd = (0.3 * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE) for hz in (300, 3000))
    spoken = "clean.wav,4000,12000,A\ncrowd.wav,4000,12000,B\n"
    write_folder(tmp_path / "data/speech", {"clean.wav": clean, "crowd.wav": crowd}, spoken)
    write_folder(tmp_path / "data/noise", {"hiss.wav": 0.01 * rng.standard_normal(RATE)})
    write_folder(tmp_path / "data/music", {"chord.wav": 0.1 * np.sin(np.arange(RATE))})
    return tmp_path / "data"


def draw(data: Path, out: Path, **arguments) -> Path:
    write_scenes(data, out, **{"sample_rate": RATE, "clips": 8, "duration_s": 4.0, **arguments})
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_scenes_reads_as_any_other_folder_of_recordings(data, tmp_path):
    out = draw(data, tmp_path / "scenes")
    layout = "path,start,end,sample_rate,speaker,label,transcript,source,split,snr_db"
    assert (out / "manifest.csv").read_text().splitlines()[0] == layout
    clips = read_manifest(out, "test")
    assert [clip.path.name for clip in clips] == [f"scene_{number:04}.flac" for number in range(8)]
    assert {clip.label for clip in clips} <= {"noise", "music"}
    for clip in clips:
        samples, rate = read_audio(clip.path)
        assert (len(samples), rate, clip.start, clip.end) == (4 * RATE, RATE, 0, 4 * RATE)


def test_speech_lies_inside_its_scene_and_a_silent_scene_has_neither_speech_nor_snr(data, tmp_path):
    out = draw(data, tmp_path / "scenes", clips=30)
    labels = read_speech_labels(out / "vad_segments.csv")
    assert {of.quality for of in labels.values()} == {"A"}
    segments = {path: of.speech for path, of in labels.items()}
    assert all(0 <= start < end <= 4 * RATE for spoken in segments.values() for start, end in spoken)
    silent = {row["path"] for row in rows(out / "manifest.csv") if row["snr_db"] == ""}
    assert silent
    assert silent == {row["path"] for row in rows(out / "manifest.csv")} - {path.name for path in segments}


def test_the_snr_in_the_manifest_is_that_of_the_scenes_settings(data, tmp_path):
    out = draw(data, tmp_path / "scenes", clips=30)
    snr_db = [float(row["snr_db"]) for row in rows(out / "manifest.csv") if row["snr_db"]]
    assert min(snr_db) >= -5 and max(snr_db) <= 20 and np.ptp(snr_db) > 10


def test_speech_comes_from_recordings_with_labels_of_quality_a_alone(data, tmp_path):
    write_folder(data / "noise_faint", {"faint.wav": np.zeros(RATE)})
    (data / "noise" / "manifest.csv").unlink()
    (data / "music" / "manifest.csv").write_text("path,split\n../noise_faint/faint.wav,test\n")
    with reading_outside():
        out = draw(data, tmp_path / "scenes", clips=6)
    for path, labels in read_speech_labels(out / "vad_segments.csv").items():
        samples, _ = read_audio(path)
        spectrum = np.abs(np.fft.rfft(samples[slice(*labels.speech[0])]))
        assert np.argmax(spectrum) / len(spectrum) * RATE / 2 == pytest.approx(300, abs=30)


def test_the_same_arguments_give_the_same_folder(data, tmp_path):
    assert contents(draw(data, tmp_path / "one")) == contents(draw(data, tmp_path / "two"))


def test_another_seed_gives_other_scenes(data, tmp_path):
    first = contents(draw(data, tmp_path / "one"))
    assert first["scene_0000.flac"] != contents(draw(data, tmp_path / "two", seed=1))["scene_0000.flac"]


def test_more_scenes_only_add_to_fewer(data, tmp_path):
    few, many = (contents(draw(data, tmp_path / str(clips), clips=clips)) for clips in (2, 4))
    assert all(many[name] == few[name] for name in ("scene_0000.flac", "scene_0001.flac"))


def test_progress_counts_every_scene(data, tmp_path):
    seen = []
    draw(data, tmp_path / "scenes", clips=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_that_holds_recordings_is_not_written_into(data):
    before = contents(data / "noise")
    with pytest.raises(FileExistsError, match=r"holds a manifest\.csv already"):
        draw(data, data / "noise")
    assert contents(data / "noise") == before


def test_a_split_without_recordings_is_refused_before_anything_is_written(data, tmp_path):
    with pytest.raises(ValueError, match="no speech and no noise and no music in split 'valid'"):
        draw(data, tmp_path / "scenes", split="valid")
    assert not (tmp_path / "scenes").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("clips", 0), ("sample_rate", 0), *(("duration_s", value) for value in (0.0, -1.0, float("nan"), float("inf")))],
)
def test_no_scenes_or_empty_or_endless_ones_are_refused(data, tmp_path, name, value):
    with pytest.raises(
        ValueError, match=f"{name} is {value}; (it must be at least 1|a recording needs a sample or more)"
    ):
        draw(data, tmp_path / "scenes", **{name: value})
