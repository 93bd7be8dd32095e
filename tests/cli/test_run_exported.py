"""`streamrnn run` with exported models."""

import subprocess
import sys

import pytest
from flax import nnx

from streamrnn.export.onnx import export_onnx
from streamrnn.layers import Dense
from streamrnn.models import Model
from streamrnn.pretrained import load


@pytest.fixture(scope="module")
def exported(model_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    export_onnx(load(model_path), path)
    return path


def test_an_exported_model_prints_the_same_events(streamrnn, model_path, exported, sound_path, capsys):
    told = []
    for model in (model_path, exported):
        assert streamrnn("run", model, sound_path, "--threshold", "0.4", "--min-speech-ms", "10") == 0
        told.append(capsys.readouterr().out)
    assert told[0] and told[0] == told[1]


@pytest.mark.parametrize(
    "asked",
    [
        ("train", "vad", "--data", ".", "--start", "EXPORTED"),
        ("export", "EXPORTED", "again.onnx"),
        ("card", "EXPORTED"),
        ("generate", "EXPORTED", "the "),
        ("enrol", "EXPORTED", "ada=ada.wav", "--out", "known"),
        ("audit", "groups", "EXPORTED", "--data", ".", "--by", "sex"),
        ("evaluate", "vad", "--data", ".", "--model", "EXPORTED", "--hand-over", "0.9", "--out", "sure"),
    ],
)
def test_what_an_exported_model_cannot_do_is_said_with_what_can(
    streamrnn, exported, capsys, tmp_path, monkeypatch, asked
):
    monkeypatch.chdir(tmp_path)
    assert streamrnn(*(exported if part == "EXPORTED" else part for part in asked)) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "small.onnx is an exported model: it runs and can be evaluated" in told
    assert "Pass the .safetensors file that it was exported from" in told


def test_it_runs_without_jax(exported, sound_path):
    code = f"""if True:
        import sys
        from streamrnn.cli import main
        status = main(["run", {str(exported)!r}, {str(sound_path)!r}])
        sys.exit(status or bool({{"jax", "flax"}} & set(sys.modules)))
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)


def test_a_model_of_numbers_is_for_python(streamrnn, sound_path, tmp_path, capsys):
    model = Model.of(Dense(160, 2, rngs=nnx.Rngs(0)), sample_rate=16_000, hop_samples=160)
    export_onnx(model, tmp_path / "numbers.onnx")
    assert streamrnn("run", tmp_path / "numbers.onnx", sound_path) != 0
    assert "gives numbers, no events and no sound. In Python, use streamrnn.run_file" in capsys.readouterr().err
