"""What a command says where an optional package is missing."""

import tomllib
from pathlib import Path

import pytest

from streamrnn.cli.extras import advice

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("uvicorn", "serve"),
        ("websockets.sync.client", "serve"),
        ("prometheus_client", "serve"),
        ("tensorboardX", "tensorboard"),
        ("onnxruntime", "onnx"),
        ("psutil", "bench"),
        ("matplotlib.pyplot", "plot"),
    ],
)
def test_the_extra_that_brings_a_module_is_named(module, extra):
    assert extra in PROJECT["optional-dependencies"]
    said = advice(ModuleNotFoundError(name=module))
    assert said is not None and said.endswith(f'pip install "streamrnn[{extra}]"')


@pytest.mark.parametrize("module", ["numpy", "streamrnn.nonsense", "os", None])
def test_other_modules_are_none_of_an_extras(module):
    assert advice(ModuleNotFoundError(name=module)) is None


def test_a_command_names_the_extra_and_no_module_that_nobody_asked_for(streamrnn, capsys, monkeypatch):
    def missing(_name):
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.setattr("streamrnn.cli.import_module", missing)
    assert streamrnn("serve", "vad") == 2
    assert capsys.readouterr().err == (
        "streamrnn: this needs the package uvicorn, which is not installed. "
        'Install it: pip install "streamrnn[serve]"\n'
    )
