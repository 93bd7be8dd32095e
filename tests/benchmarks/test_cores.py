"""Cores that learn, and trained ones that are judged: what is reported, never how fast it is."""

import io
import json
from pathlib import Path

import pytest
from flax import nnx
from rich.console import Console

import streamrnn
from benchmarks import core_accuracy, cores
from benchmarks.core_accuracy import judged, saved_systems
from benchmarks.cores import CoresEffort, compare_cores, print_report
from streamrnn.bench.online_systems import SYSTEMS
from streamrnn.bench.sounds import write_recording
from streamrnn.models import Keywords, KeywordsSettings, VoiceActivity, VoiceActivitySettings

TINY = {"mels": 8, "channels": 6, "hidden": 8, "heads": 2}


@pytest.fixture(scope="module")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = VoiceActivity(VoiceActivitySettings(**TINY | {"hidden": 24, "layers": 1}), rngs=nnx.Rngs(0))
    streamrnn.save(model, path := tmp_path_factory.mktemp("models") / "gru.safetensors", task="vad")
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three clips, of which training has heard one."""
    folder = tmp_path_factory.mktemp("words")
    clips = [("a", "yes", "train"), ("b", "yes", "valid"), ("c", "no", "valid")]
    for number, (name, _, _) in enumerate(clips):
        # At different rates: no recording is a copy of another one.
        write_recording(folder / f"{name}.wav", 16_000 + 100 * number, 1)
    lines = [f"{name}.wav,{label},{split}\n" for name, label, split in clips]
    (folder / "manifest.csv").write_text("path,label,split\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def report(tiny_path: Path, words: Path) -> dict:
    figures = {"clips": 2, "streaming": {"roc_auc": 0.875, "roc_auc_interval": [0.85, 0.9]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "configure", lambda: None)
        patch.setattr(cores, "keep_memory", lambda: None)
        patch.setattr(core_accuracy, "evaluate", lambda task, data, path, split: figures)
        systems, effort = ("gru", "transformer", "transformer-recompute"), CoresEffort((8,), 2, 2, 0.001)
        report = compare_cores(systems, effort, [tiny_path.parent], [words], tiny_path)
    return json.loads(json.dumps(report))


def test_each_core_is_trained(report: dict):
    speeds = {row["system"]: row for row in report["training"]}
    assert speeds["gru"]["frames_per_s"] > 0 and speeds["transformer"]["frames_per_s"] > 0
    assert speeds["transformer-recompute"]["note"] == "as transformer"


def test_those_that_are_trained_are_judged_and_cost_what_they_do_after_a_minute(report: dict):
    (row,) = report["accuracy"]
    judged = ("vad", "gru", "roc_auc", 0.875, [0.85, 0.9], 2)
    assert tuple(row[name] for name in ("task", "core", "figure", "value", "interval", "clips")) == judged
    assert row["parameters"] > 1000 and row["core_ms_per_s"] > 0


def test_keyword_models_are_judged_by_clips_that_training_has_not_heard(tmp_path: Path, words: Path):
    sizes = {"mels": 8, "channels": (6, 6), "hidden": 8, "heads": 2, "layers": 1}
    for core in ("gru", "transformer"):
        model = Keywords(KeywordsSettings(words=("yes", "no"), core=core, **sizes), rngs=nnx.Rngs(0))
        streamrnn.save(model, tmp_path / f"{core}.safetensors", task="keywords")
    rows = judged(saved_systems(tmp_path, SYSTEMS), words, rounds=1, turn_s=0.001)
    # Both clips sound alike, so no model can tell them apart.
    assert [(row["core"], row["figure"], row["clips"]) for row in rows] == [
        ("gru", "accuracy", 2),
        ("transformer", "accuracy", 2),
    ]
    assert {row["value"] for row in rows} <= {0.0, 0.5}


def test_the_report_is_printed_as_tables(report: dict):
    console = Console(record=True, width=160, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    for text in (report["machine"]["cpu"], "roc_auc", "0.8750", "0.8500-0.9000", "as transformer"):
        assert text in printed


def test_models_that_cannot_be_compared_are_refused(tiny_path: Path, tmp_path: Path):
    model = streamrnn.load(tiny_path)
    with pytest.raises(ValueError, match=r"holds none of gru.safetensors, lstm.safetensors"):
        saved_systems(tmp_path, ("gru", "lstm"))
    streamrnn.save(model, tmp_path / "lstm.safetensors", task="vad")
    with pytest.raises(ValueError, match=r"lstm.safetensors holds a model whose core is 'gru'"):
        saved_systems(tmp_path, ("gru", "lstm"))
    streamrnn.save(model, tmp_path / "gru.safetensors", task="denoise")
    with pytest.raises(ValueError, match=r"of the task 'denoise'; cores are compared by vad, keywords"):
        saved_systems(tmp_path, ("gru",))


def test_recordings_that_models_were_trained_on_judge_nothing(tiny_path: Path, tmp_path: Path):
    (tmp_path / "manifest.csv").write_text("path,split\na.wav,train\n")
    with pytest.raises(ValueError, match="split train, which models have heard"):
        judged(saved_systems(tiny_path.parent, ("gru",)), tmp_path, rounds=1, turn_s=0.001)


def test_accuracy_takes_recordings_for_each_folder_of_models(tmp_path: Path):
    with pytest.raises(ValueError, match="got 1 folders of weights and 0 of data"):
        compare_cores(weights=[tmp_path])
    with pytest.raises(FileNotFoundError, match="no folder"):
        compare_cores(weights=[tmp_path / "none"], data=[tmp_path])
