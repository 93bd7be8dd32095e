"""Every other command, and what all of them share."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import streamrnn as package
from streamrnn.cli import COMMANDS
from streamrnn.samples import sample


@pytest.fixture
def labelled(tmp_path) -> Path:
    """A folder of two recordings as evaluation reads it; the second half of each is speech."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        samples = rng.uniform(-0.3, 0.3, 16_000) * np.repeat([0.01, 1.0], 8_000)
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000)
    (tmp_path / "manifest.csv").write_text("path,split\na.wav,test\nb.wav,valid\n")
    (tmp_path / "vad_segments.csv").write_text("path,start,end\na.wav,8000,16000\nb.wav,8000,16000\n")
    return tmp_path


def test_without_a_command_all_are_listed(streamrnn, capsys):
    assert streamrnn() == 0
    overview = capsys.readouterr().out
    assert streamrnn("--help") == 0
    assert capsys.readouterr().out == overview
    assert all(f"\n  {command} " in overview for command in COMMANDS)


def test_the_version_is_the_package_s(streamrnn, capsys):
    assert streamrnn("--version") == 0
    assert capsys.readouterr().out == f"streamrnn {package.__version__}\n"


def test_an_unknown_command_names_the_known_ones(streamrnn, capsys):
    assert streamrnn("listen") == 2
    assert capsys.readouterr().err == f"streamrnn: there is no command 'listen'. Commands are: {', '.join(COMMANDS)}.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, streamrnn, capsys):
    with pytest.raises(SystemExit) as ended:
        streamrnn(command, "--help")
    assert ended.value.code == 0
    assert f"usage: streamrnn {command}" in capsys.readouterr().out


def test_a_flag_that_does_not_exist_is_refused(streamrnn, capsys, model_path, sound_path):
    with pytest.raises(SystemExit) as ended:
        streamrnn("run", model_path, sound_path, "--treshold", "0.5")
    assert ended.value.code == 2
    assert "--treshold" in capsys.readouterr().err


def test_bugs_keep_their_traceback(streamrnn, monkeypatch):
    def broken(*_):
        raise AssertionError("a bug")

    monkeypatch.setattr("streamrnn.cli.models.shipped", broken)
    with pytest.raises(AssertionError, match="a bug"):
        streamrnn("models")


def test_shipped_models_are_listed_with_size_latency_and_figures(streamrnn, capsys, monkeypatch, model_path):
    monkeypatch.setattr("streamrnn.pretrained.weights.SHIPPED", model_path.parent)
    assert streamrnn("models", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    parameters = 5 * 20 * 8 + 8 + 2 * (8 * 24 + 8 * 24 + 24 + 24) + 8 + 1
    assert row == {
        "name": "small",
        "task": "vad",
        "gives": "events",
        "model": "VoiceActivity",
        "labels": ["speech"],
        "megabytes": pytest.approx(model_path.stat().st_size / 1e6, abs=0.01),
        "sample_rate": 16_000,
        "frames_per_s": 100.0,
        "parameters": parameters,
        "algorithmic_latency_ms": pytest.approx(40.0),
        "frames_per_item": 1,
        "figures": {"validation": 0.875},
    }
    assert streamrnn("models") == 0
    head, line, *_ = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["name", "task"] and line.split()[:2] == ["small", "vad"] and "40 ms" in line
    assert max(len(head), len(line)) <= 80
    assert streamrnn("models", "small") == 0
    rest = capsys.readouterr().out
    assert all(text in rest for text in ("small", f"{parameters:,}", "40 ms", "validation 0.875"))


def test_the_latency_of_a_model_of_spelling_is_told_in_letters(streamrnn, capsys):
    assert streamrnn("models", "say-en") == 0
    assert "latency     5 items: the one that is answered, and 4 later" in capsys.readouterr().out


def test_a_model_that_is_not_shipped_is_named_with_those_that_are(streamrnn, capsys):
    assert streamrnn("models", "vat") == 2
    assert "There is no model 'vat'. Did you mean 'vad'? Shipped are: choices," in capsys.readouterr().err


@pytest.mark.parametrize(("task", "heard"), [("vad", "speech_start"), ("keywords", "keyword"), ("digits", "endpoint")])
def test_the_demo_hears_the_sample_of_its_task(streamrnn, capsys, task, heard):
    assert streamrnn("demo", "--task", task) == 0
    out = capsys.readouterr().out
    assert heard in out and "streamrnn run" in out


def test_samples_are_known_by_name():
    assert sample().name == "conversation.opus"
    with pytest.raises(ValueError, match=r"There is no sample 'dog'\. There are: commands, conversation,"):
        sample("dog")


def test_evaluation_prints_streaming_and_offline_figures(streamrnn, capsys, model_path, labelled):
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["clips"]) == ("vad", 2)
    assert result["streaming"].keys() == result["offline"].keys()
    for name, figure in result["streaming"].items():
        assert figure == pytest.approx(result["offline"][name], abs=1e-3)
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path) == 0
    table = capsys.readouterr().out
    assert f"{result['streaming']['roc_auc']:.4f}" in table


def test_evaluation_takes_the_split_that_is_asked_for(streamrnn, capsys, model_path, labelled):
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path, "--split", "valid", "--json") == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 1


def test_an_unknown_task_and_a_missing_folder_are_one_clear_line(streamrnn, capsys, model_path, tmp_path):
    assert streamrnn("evaluate", "singing", "--data", tmp_path, "--model", model_path) == 2
    assert "Tasks are: vad, vad-compact, keywords" in capsys.readouterr().err
    assert streamrnn("evaluate", "vad", "--data", tmp_path / "none", "--model", model_path) == 2
    assert capsys.readouterr().err.startswith("streamrnn: ")


def test_bench_measures_what_is_asked_for_and_prints_json(streamrnn, capsys, monkeypatch):
    asked = SimpleNamespace()

    def measure(model, against, *, hour):
        asked.step = (model, against, hour)
        return {"figures": []}

    monkeypatch.setattr("streamrnn.bench.speed.bench_step", measure)
    assert streamrnn("bench", "step", "--model", "small", "--against", "onnxruntime", "--json") == 0
    assert asked.step == ("small", "onnxruntime", False)
    assert json.loads(capsys.readouterr().out) == {"figures": []}


@pytest.mark.parametrize(
    "args, told",
    [
        (("train", "vda"), "train needs a subcommand, 'vda' came. Did you mean 'vad'? Choose one of: "),
        (("bench", "stepp"), "bench needs a subcommand, 'stepp' came. Did you mean 'step'?"),
        (("compose", "--out", "x"), "compose needs a subcommand, '--out' came. Choose one of: vad, "),
        (("audit",), "audit needs a subcommand, none came. Choose one of: groups, privacy."),
    ],
)
def test_a_command_that_lacks_its_second_word_says_which_there_are(streamrnn, capsys, args, told):
    assert streamrnn(*args) == 2
    assert told in capsys.readouterr().err
