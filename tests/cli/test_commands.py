"""Every other command, and what all of them share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from flax import nnx

import streamrnn as package
from streamrnn.cli import COMMANDS
from streamrnn.models import VoiceActivity, VoiceActivitySettings
from streamrnn.pretrained import describe, load
from streamrnn.training import TrainingSettings


@dataclass(frozen=True)
class TinyTraining:
    """Settings of the tiny task."""

    training: TrainingSettings = field(default_factory=TrainingSettings)
    pull: float = 0.5
    """How much small weights are worth."""


class TinyRecipe:
    """Makes weights small, which compiles fast; the figures of the validations are given beforehand."""

    Settings = TinyTraining
    figures: Iterator[float | BaseException]

    def __init__(self, data: Path, settings: TinyTraining):
        self.settings, self.training = settings, settings.training

    def model(self, rngs: nnx.Rngs) -> VoiceActivity:
        return VoiceActivity(VoiceActivitySettings(mels=20, channels=8, hidden=8), rngs=rngs)

    def batches(self, start: int, stop: int):
        for _ in range(start, stop):
            yield np.float32(self.settings.pull)

    def loss(self, model, batch):
        weights = jax.tree.leaves(nnx.state(model, nnx.Param))
        return batch * jnp.sum(jnp.stack([jnp.sum(leaf**2) for leaf in weights]))

    def validate(self, model) -> float:
        figure = next(self.figures)
        if isinstance(figure, BaseException):
            raise figure
        return figure


@pytest.fixture
def train(streamrnn, monkeypatch, tmp_path):
    """Trains the tiny task: train(*flags) -> exit status; what it writes lies in tmp_path / "run"."""
    monkeypatch.setattr("streamrnn.recipes.RECIPES", {"tiny": TinyRecipe})
    monkeypatch.setattr("streamrnn.cli.train.RECIPES", {"tiny": TinyRecipe})
    where = ("--data", tmp_path, "--out", tmp_path / "run")
    return lambda *flags: streamrnn("train", "tiny", *where, *flags)


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
        "model": "VoiceActivity",
        "sample_rate": 16_000,
        "parameters": parameters,
        "algorithmic_latency_ms": pytest.approx(40.0),
        "figures": {"validation": 0.875},
    }
    assert streamrnn("models") == 0
    table = capsys.readouterr().out
    assert all(text in table for text in ("small", f"{parameters:,}", "40 ms", "validation 0.875"))


def test_evaluation_prints_streaming_and_offline_figures(streamrnn, capsys, model_path, labelled):
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["task"], result["clips"]) == ("vad", 2)
    assert result["streaming"] == pytest.approx(result["offline"], abs=1e-3)
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path) == 0
    table = capsys.readouterr().out
    assert f"{result['streaming']['roc_auc']:.4f}" in table


def test_evaluation_takes_the_split_that_is_asked_for(streamrnn, capsys, model_path, labelled):
    assert streamrnn("evaluate", "vad", "--data", labelled, "--model", model_path, "--split", "valid", "--json") == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 1


def test_an_unknown_task_and_a_missing_folder_are_one_clear_line(streamrnn, capsys, model_path, tmp_path):
    assert streamrnn("evaluate", "singing", "--data", tmp_path, "--model", model_path) == 2
    assert "it knows: vad" in capsys.readouterr().err
    assert streamrnn("evaluate", "vad", "--data", tmp_path / "none", "--model", model_path) == 2
    assert capsys.readouterr().err.startswith("streamrnn: ")


def test_training_writes_a_model_and_says_what_to_do_next(train, capsys, tmp_path):
    TinyRecipe.figures = iter([0.25, 0.75])
    assert train("--steps", "2", "--validate-every", "1", "--pull", "0.1") == 0
    weights = tmp_path / "run" / "tiny.safetensors"
    assert f"validation 0.7500; wrote {weights}. Next: streamrnn run {weights} mic" in capsys.readouterr().out
    assert isinstance(load(weights), VoiceActivity)
    card = describe(weights)
    assert (card["task"], card["figures"]) == ("tiny", {"validation": 0.75})


def test_interrupted_training_goes_on_with_the_same_command(train, capsys, tmp_path):
    flags = ("--steps", "3", "--validate-every", "1")
    TinyRecipe.figures = iter([0.5, KeyboardInterrupt()])
    assert train(*flags) == 130
    assert f"stopped; {tmp_path / 'run'} holds step 1, and the same command goes on" in capsys.readouterr().err
    TinyRecipe.figures = iter([0.75, 0.625])
    assert train(*flags) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'run'} holds a run at step 1; going on from there" in printed
    assert "validation 0.7500" in printed


def test_training_that_is_interrupted_before_its_first_checkpoint_says_so(train, capsys):
    TinyRecipe.figures = iter([KeyboardInterrupt()])
    assert train("--steps", "1") == 130
    assert "stopped before the first checkpoint; the same command starts anew" in capsys.readouterr().err


def test_training_refuses_the_folder_of_another_run(train, capsys, tmp_path):
    TinyRecipe.figures = iter([0.5])
    assert train("--steps", "1") == 0
    assert train("--steps", "1", "--pull", "0.9") == 2
    assert "holds another run: settings.pull is 0.5 there and 0.9 here." in capsys.readouterr().err


def test_scenes_are_composed_as_asked_for(streamrnn, capsys, monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr("streamrnn.cli.scenes.write_scenes", lambda data, out, **settings: asked.update(settings))
    flags = ("--clips", "3", "--duration-s", "2", "--split", "valid", "--seed", "7")
    assert streamrnn("scenes", "--data", tmp_path, "--out", tmp_path / "scenes", *flags) == 0
    asked.pop("progress")(1, 3)
    assert asked == {"clips": 3, "duration_s": 2.0, "split": "valid", "seed": 7, "sample_rate": 16_000}
    assert f"streamrnn evaluate vad --data {tmp_path / 'scenes'}" in capsys.readouterr().out


def test_bench_measures_what_is_asked_for_and_prints_json(streamrnn, capsys, monkeypatch):
    asked = SimpleNamespace()

    def measure(model, against, *, hour):
        asked.step = (model, against, hour)
        return {"figures": []}

    monkeypatch.setattr("streamrnn.bench.speed.bench_step", measure)
    assert streamrnn("bench", "step", "--model", "small", "--against", "onnxruntime", "--json") == 0
    assert asked.step == ("small", "onnxruntime", False)
    assert json.loads(capsys.readouterr().out) == {"figures": []}


def test_bench_compares_peers_on_a_folder(streamrnn, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "streamrnn.bench.peers.compare_vad_peers",
        lambda data, models, split: {"data": str(data), "models": list(models), "split": split},
    )
    assert streamrnn("bench", "peers", "--data", tmp_path, "--models", "vad", "other", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"data": str(tmp_path), "models": ["vad", "other"], "split": None}
