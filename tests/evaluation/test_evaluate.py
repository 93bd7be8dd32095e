"""Figures of voice activity models on folders of labelled recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.audit.speech import SpeechTeller
from streamrnn.data import Clip, read_manifest
from streamrnn.decisions import best_f1, cell_truth, equal_error_rate, roc_auc
from streamrnn.evaluation import evaluate
from streamrnn.evaluation.voice_activity import cell_scores, evaluate_voice_activity, speech_truth
from streamrnn.models import VoiceActivity, VoiceActivitySettings

FIGURES = ("roc_auc", "eer", "best_f1", "best_f1_threshold")


def figures(model, data: Path, split: str | None = None, progress=None) -> dict:
    return evaluate_voice_activity(model, [data], read_manifest(data, split), progress)


def recording(seed: int, rate: int = 16_000, duration_s: float = 1.0) -> np.ndarray:
    """Noise that is loud in its second quarter, where it counts as speech."""
    n = round(duration_s * rate)
    samples = 0.01 * np.random.default_rng(seed).standard_normal(n)
    samples[n // 4 : n // 2] *= 30
    return samples.clip(-1, 1).astype(np.float32)


def write_data(folder: Path, recordings: dict[str, tuple[np.ndarray, int]], manifest: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for name, (samples, rate) in recordings.items():
        write_audio(folder / name, samples, rate)
    lines = "".join(f"{name},test\n" for name in recordings)
    (folder / "manifest.csv").write_text(manifest or "path,split\n" + lines)
    spoken = [f"{name},{len(samples) // 4},{len(samples) // 2}\n" for name, (samples, _) in recordings.items()]
    (folder / "vad_segments.csv").write_text("path,start,end\n" + "".join(spoken))
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    return write_data(tmp_path / "data", {f"{i}.flac": (recording(i), 16_000) for i in range(3)})


def test_the_answer_has_exactly_these_entries_and_is_json(data, model_path):
    answer = evaluate("vad", data, model_path, "test")
    assert list(answer) == ["task", "model", "data", "split", "clips", "streaming", "offline"]
    assert [answer[name] for name in ("task", "model", "data", "split", "clips")] == [
        *("vad", model_path, str(data), "test", 3)
    ]
    assert tuple(answer["streaming"]) == tuple(answer["offline"]) == (*FIGURES, "roc_auc_interval")
    assert json.loads(json.dumps(answer)) == answer


def test_figures_are_pooled_over_the_cells_of_all_recordings(data, model):
    scores = np.concatenate([streamrnn.run_file(model, data / f"{i}.flac")[:, 0] for i in range(3)])
    truth = np.tile(cell_truth([(0.25, 0.5)], 100), 3)
    f1, threshold = best_f1(scores, truth)
    expected = [roc_auc(scores, truth), equal_error_rate(scores, truth), f1, threshold]
    *found, (low, high) = figures(model, data)["offline"].values()
    assert found == pytest.approx(expected, abs=1e-9)
    assert low <= found[0] <= high


def test_streaming_and_offline_agree_to_three_decimals_at_any_rate_and_in_any_format(tmp_path, model):
    files = {"a.flac": 16_000, "b.wav": 8_000, "c.ogg": 44_100, "d.wav": 48_000, "e.wav": 11_025}
    written = {name: (recording(i, rate, 0.987), rate) for i, (name, rate) in enumerate(files.items())}
    written["stereo.wav"] = (np.repeat(recording(9)[:, None], 2, axis=1), 16_000)
    answer = figures(model, write_data(tmp_path / "data", written))
    assert answer["clips"] == 6
    ways = (answer["streaming"], answer["offline"])
    streaming, offline = ([way[name] for name in FIGURES] + way["roc_auc_interval"] for way in ways)
    assert streaming == pytest.approx(offline, abs=5e-4)


def test_a_part_of_a_recording_counts_as_if_it_were_a_file_of_its_own(tmp_path, model):
    samples = recording(0)
    part = write_data(tmp_path / "part", {"a.wav": (samples, 16_000)}, "path,start,end\na.wav,3000,13003\n")
    whole = tmp_path / "whole"
    whole.mkdir()
    write_audio(whole / "a.wav", samples[3000:13003], 16_000)
    (whole / "manifest.csv").write_text("path\na.wav\n")
    (whole / "vad_segments.csv").write_text("path,start,end\na.wav,1000,5000\n")
    cut, file = (figures(model, data) for data in (part, whole))
    assert (cut["streaming"], cut["offline"]) == (file["streaming"], file["offline"])


def test_where_nobody_knows_whether_somebody_speaks_nothing_is_judged(data, model):
    (data / "manifest.csv").write_text("path\n0.flac\n")
    (data / "vad_segments.csv").write_text("path,start,end,kind\n0.flac,4000,8000,speech\n0.flac,6400,12800,unknown\n")
    scores = streamrnn.run_file(model, data / "0.flac")[:, 0]
    known, truth = np.r_[0:40, 80:100], cell_truth([(0.25, 0.5)], 100)
    answer = figures(model, data)
    assert answer["offline"]["roc_auc"] == pytest.approx(roc_auc(scores[known], truth[known]), abs=1e-9)
    told = SpeechTeller(model, [data]).tell(Clip(data / "0.flac"))
    assert told.sums.sum() == len(known)


def test_a_recording_without_rows_is_not_speech(data, model):
    write_audio(data / "silence.wav", recording(7)[:8000], 16_000)
    with (data / "manifest.csv").open("a") as file:
        file.write("silence.wav,test\n")
    paths = [*(data / f"{i}.flac" for i in range(3)), data / "silence.wav"]
    scores = np.concatenate([streamrnn.run_file(model, path)[:, 0] for path in paths])
    truth = np.append(np.tile(cell_truth([(0.25, 0.5)], 100), 3), np.zeros(50, bool))
    assert figures(model, data)["offline"]["roc_auc"] == pytest.approx(roc_auc(scores, truth), abs=1e-9)


def test_only_the_split_that_was_asked_for_is_judged(data, model):
    (data / "manifest.csv").write_text("path,split\n0.flac,test\n1.flac,valid\n2.flac,test\n")
    assert [figures(model, data, split)["clips"] for split in (None, "test", "valid")] == [3, 2, 1]


def test_recordings_that_cannot_be_read_are_skipped_counted_and_named(data, model):
    expected = figures(model, data)
    (data / "noise.flac").write_bytes(b"this is no sound")
    with (data / "manifest.csv").open("a") as file:
        file.write("noise.flac,test\nmissing.flac,test\n")
    with pytest.warns(
        AudioWarning, match=r"2 of 5 recordings .*noise\.flac is damaged .* no audio file .*missing\.flac"
    ):
        answer = figures(model, data)
    assert [name in why for name, why in zip(("noise", "missing"), answer.pop("left_out"), strict=True)] == [True, True]
    assert answer == expected


@pytest.mark.parametrize(("samples", "lasts"), [(0, "0 ms"), (100, "6.2 ms")])
def test_a_recording_that_is_empty_or_shorter_than_a_cell_is_left_out(data, model, samples, lasts):
    expected = figures(model, data)
    write_audio(data / "empty.wav", np.zeros(samples, np.float32), 16_000)
    with (data / "manifest.csv").open("a") as file:
        file.write("empty.wav,test\n")
    with pytest.warns(AudioWarning, match=rf"1 of 4 recordings could not be judged .*empty\.wav lasts {lasts}"):
        answer = figures(model, data)
    said = f"{data / 'empty.wav'} lasts {lasts}. Leave it out, or correct its bounds."
    assert answer.pop("left_out") == [f"{data / 'manifest.csv'}, line 5: {said}"]
    assert answer == expected


def test_a_rate_that_cannot_be_heard_is_left_out_with_the_path_of_its_recording(data, model):
    write_audio(data / "0.flac", recording(0, 192_000), 192_000)
    with pytest.warns(AudioWarning, match="1 of 3 recordings could not be judged"):
        answer = figures(model, data)
    assert answer["left_out"][0].startswith(
        f"{data / 'manifest.csv'}, line 2: {data / '0.flac'}: sample rate is 192000"
    )


def test_a_model_with_longer_frames_is_judged_on_the_same_cells(data):
    settings = VoiceActivitySettings(channels=8, hidden=8, hop_samples=400, window_samples=800)
    coarse = VoiceActivity(settings, rngs=nnx.Rngs(0))
    outputs = streamrnn.run_file(coarse, data / "0.flac")[:, 0]
    (data / "manifest.csv").write_text("path\n0.flac\n")
    held = np.array([outputs[(2 * cell + 1) * 80 // 400] for cell in range(100)])
    answer = figures(coarse, data)
    assert answer["offline"]["roc_auc"] == pytest.approx(roc_auc(held, cell_truth([(0.25, 0.5)], 100)), abs=1e-9)


def test_progress_counts_every_recording(data, model):
    seen = []
    figures(model, data, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_unknown_task_is_answered_with_the_known_ones(data, model_path):
    with pytest.raises(ValueError, match=r"no task 'singing'. Tasks are: vad"):
        evaluate("singing", data, model_path)


def test_a_folder_without_labels_is_refused_with_the_columns_that_they_need(data, model_path):
    (data / "vad_segments.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"vad_segments.csv is missing.*path, start, end"):
        evaluate("vad", data, model_path)


def test_segments_of_recordings_that_are_not_there_or_end_before_are_named(data, model):
    with (data / "vad_segments.csv").open("a") as file:
        file.write("0.flac,15000,16001\nelsewhere.flac,0,1\n")
    with pytest.warns(AudioWarning) as told:
        figures(model, data)
    first, second = (str(warning.message) for warning in told)
    assert "of 1 recordings that are not there" in first and first.endswith("elsewhere.flac.")
    assert "end behind their recordings, 1 in all" in second and "0.flac" in second


@pytest.mark.parametrize(("segment", "share"), [("0.flac,0,0", "none"), ("0.flac,0,16000", "all")])
def test_labels_of_one_class_alone_are_refused(data, model, segment, share):
    (data / "manifest.csv").write_text("path\n0.flac\n")
    (data / "vad_segments.csv").write_text(f"path,start,end\n{segment}\n")
    with pytest.raises(ValueError, match=f"{share} are speech; figures need speech and non-speech"):
        figures(model, data)


def test_a_folder_where_nothing_can_be_read_is_refused_with_the_first_reason(data, model_path):
    (data / "manifest.csv").write_text("path\nmissing.flac\ngone.flac\n")
    with pytest.raises(AudioError, match=r"None of 2 recordings .*missing\.flac"):
        evaluate("vad", data, model_path)


def test_a_cell_is_true_where_its_centre_is_spoken_and_counts_where_its_centre_is_heard():
    clip, segments = Clip(Path("a.wav"), start=100), [(100 + 241, 100 + 720)]
    truth = speech_truth(clip, segments, sample_rate=16_000, duration_s=881 / 16_000)
    assert truth.tolist() == [False, False, True, True, False, False]
    assert len(speech_truth(clip, segments, sample_rate=16_000, duration_s=880 / 16_000)) == 5


@pytest.mark.parametrize("frame_ms", [5, 10, 16, 20, 30, 32])
def test_every_cell_has_the_score_of_the_frame_over_its_centre(frame_ms):
    frames_of_cells = [int((2 * cell + 1) * 5 // frame_ms) for cell in range(1000)]
    frame_numbers = np.arange(max(frames_of_cells) + 1)
    assert cell_scores(frame_numbers, frame_ms / 1000, 1000).tolist() == frames_of_cells


def test_recordings_that_training_may_have_heard_are_warned_of_where_others_are_for_tests(data, model_path):
    rows = (data / "manifest.csv").read_text().splitlines()
    name = rows[1].partition(",")[0]
    (data / "manifest.csv").write_text("\n".join([rows[0], f"{name},train", *rows[2:]]) + "\n")
    with pytest.warns(AudioWarning, match=r"1 of 3 recordings are of split train, .*: --split test\."):
        evaluate("vad", data, model_path)
