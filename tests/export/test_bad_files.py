"""What is no export, or one that cannot be run here, says so; packages that are missing are named."""

import json
import subprocess
import sys

import onnx
import pytest

from streamrnn.export.onnx import export_onnx, onnx_recording
from streamrnn.export.onnx_stream import OnnxStep


def changed(exported, **entries):
    proto = onnx.load_from_string(exported)
    (entry,) = (entry for entry in proto.metadata_props if entry.key == "streamrnn")
    entry.value = json.dumps(json.loads(entry.value) | entries)
    return proto.SerializeToString()


@pytest.mark.parametrize("version", [0, 2, None])
def test_an_export_of_another_format_is_refused_with_what_to_do(version, exported, tmp_path):
    path = tmp_path / "old.onnx"
    path.write_bytes(changed(exported("vad"), format=version))
    with pytest.raises(
        ValueError, match=rf"old\.onnx has export format {version}; .* streamrnn export vad .*old\.onnx"
    ):
        OnnxStep(path)


def test_a_graph_of_recordings_is_not_run_block_by_block(model):
    with pytest.raises(ValueError, match=r"kind 'recording'; needed is 'step'\. Export the model again"):
        OnnxStep(onnx_recording(model("vad")).SerializeToString())


def test_a_graph_of_others_is_refused(exported):
    proto = onnx.load_from_string(exported("vad"))
    del proto.metadata_props[:]
    with pytest.raises(ValueError, match="not exported by streamrnn"):
        OnnxStep(proto.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE"], ids=["nothing", "sound"])
def test_what_is_no_onnx_file_is_refused(content, tmp_path):
    (tmp_path / "wrong.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.onnx cannot be run by ONNX Runtime"):
        OnnxStep(tmp_path / "wrong.onnx")


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        OnnxStep(tmp_path / "vad.onnx")


def test_a_file_that_cannot_be_written_leaves_the_old_one(model, tmp_path):
    (tmp_path / "vad.onnx").mkdir()
    with pytest.raises(OSError):
        export_onnx(model("vad"), tmp_path / "vad.onnx")
    with pytest.raises(OSError):
        export_onnx(model("vad"), tmp_path / "nowhere" / "vad.onnx")


@pytest.mark.parametrize(
    ("missing", "module"), [("onnx", "onnx"), ("onnxruntime", "onnx_stream"), ("onnxruntime", "quantize")]
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(missing, module):
    code = f"import sys; sys.modules[{missing!r}] = None; import streamrnn.export.{module}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert f"needs the package {missing}, which is not installed" in run.stderr
    assert 'pip install "streamrnn[onnx]"' in run.stderr


def test_running_a_file_imports_no_jax():
    code = "import sys; from streamrnn.export import OnnxStream; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
