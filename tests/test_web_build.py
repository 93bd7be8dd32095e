"""What makes the page of examples/web writes where it was told to, and nowhere else."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from streamrnn.pretrained import locate

BUILD = Path(__file__).parents[1] / "examples" / "web" / "build.py"


@pytest.fixture
def build(monkeypatch, tmp_path):
    """build(*arguments): the program, in a folder of its own, without the runtime that comes from the network."""
    spec = importlib.util.spec_from_file_location("build", BUILD)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def fetch_nothing(out: Path) -> None:
        out.mkdir()
        (out / "ort.js").write_text("")

    monkeypatch.setattr(module, "fetch_runtime", fetch_nothing)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [str(BUILD), *arguments])
        module.main()

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_that_is_named_by_its_path_is_read_and_not_written_to(build, tmp_path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copy(locate("vad").with_suffix(suffix), own / f"mine{suffix}")
    before = contents(own)
    build("out", "--models", str(own / "mine.safetensors"))
    assert contents(own) == before
    (served,) = json.loads((tmp_path / "out/v1/models").read_text())["models"]
    assert served["name"] == "mine" and (tmp_path / "out/models/mine.onnx").is_file()
    # The same page again, in place of the old one; what failed half-way leaves it as it was.
    first = contents(tmp_path / "out")
    build("out", "--models", str(own / "mine.safetensors"))
    assert contents(tmp_path / "out") == first
    with pytest.raises(FileNotFoundError):
        build("out", "--models", "nowhere")
    assert contents(tmp_path / "out") == first
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=r"notes\.txt is no part of an earlier page"):
        build("out", "--models", str(own / "mine.safetensors"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]


def test_a_folder_with_something_else_in_it_is_left_alone(build, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "page.html").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for wrong, said in (("full", "not empty"), ("file", "is a file")):
        with pytest.raises(SystemExit, match=said):
            build(wrong)
    assert contents(tmp_path) == {"full/page.html": b"mine", "file": b"mine"}


def test_asking_for_help_or_with_nonsense_writes_nothing(build, tmp_path, capsys):
    for wrong in (["--help"], [], ["a", "b"], ["--nonsense"]):
        with pytest.raises(SystemExit):
            build(*wrong)
    with pytest.raises(SystemExit, match="same name"):
        build("out", "--models", "vad", "/elsewhere/vad.safetensors")
    assert list(tmp_path.iterdir()) == []
    assert "--models" in capsys.readouterr().out
