"""What is no export, or one that cannot be run here, says so; packages that are missing are named."""

import json
import subprocess
import sys

import onnx
import pytest

from streamrnn.export.onnx import export_onnx, onnx_recording
from streamrnn.runtime import OnnxModel
from streamrnn.runtime.export_format import RECORDING, STEP, initial_state, read_metadata


def changed(exported, **entries):
    proto = onnx.load_from_string(exported)
    (entry,) = (entry for entry in proto.metadata_props if entry.key == "streamrnn")
    entry.value = json.dumps(json.loads(entry.value) | entries)
    return proto.SerializeToString()


@pytest.mark.parametrize("version", [0, 3, None])
def test_an_export_of_another_format_is_refused_with_what_to_do(version, exported, tmp_path):
    path = tmp_path / "old.onnx"
    path.write_bytes(changed(exported("vad"), format=version))
    with pytest.raises(
        ValueError, match=rf"old\.onnx has export format {version}; .* streamrnn export vad .*old\.onnx"
    ):
        OnnxModel(path)


def test_a_graph_of_recordings_is_not_run_block_by_block(model):
    with pytest.raises(ValueError, match=r"kind 'recording'; needed is 'step'\. Export the model again"):
        OnnxModel(onnx_recording(model("vad")).SerializeToString())


def test_a_graph_of_others_is_refused(exported):
    proto = onnx.load_from_string(exported("vad"))
    del proto.metadata_props[:]
    with pytest.raises(ValueError, match="not exported by streamrnn"):
        OnnxModel(proto.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE"], ids=["nothing", "sound"])
def test_what_is_no_onnx_file_is_refused(content, tmp_path):
    (tmp_path / "wrong.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.onnx cannot be run by ONNX Runtime"):
        OnnxModel(tmp_path / "wrong.onnx")


VALUES = [None, True, -1, 0, 3, 0.5, 1e300, float("nan"), 10**9, 2**70, "", "x", [], [1], [[1], 2], {}, {"name": 3}]
ENTRIES = ["format", "kind", "name", "sample_rate", "block_samples", "warm_up_frames", "out_features", "states"]
STATE = {"name": "x", "next": "y", "shape": [2, 3], "dtype": "float32"}


@pytest.mark.parametrize("kind", [STEP, RECORDING])
def test_any_entry_of_the_metadata_with_any_value_is_read_or_refused(kind):
    sound = {"format": 1, "kind": kind, "name": "vad", "sample_rate": 8000, "block_samples": 80, "warm_up_frames": 2}
    sound |= {"out_features": 3, "states": [STATE, STATE | {"initial": [[1, 2, 3], [4, 5, 6]]}]}
    assert read_metadata(json.dumps(sound), "a.onnx", kind) == sound
    crafted = [sound | {entry: value} for entry in ENTRIES for value in VALUES]
    crafted += [sound | {"states": [STATE | {k: v}]} for k in (*STATE, "initial") for v in VALUES]
    refused = 0
    for each in crafted:
        try:
            read = read_metadata(json.dumps(each), "a.onnx", kind)
            assert all(initial_state(state).nbytes < 10**6 for state in read["states"])
        except ValueError as error:
            assert "a.onnx" in str(error)
            refused += 1
    assert refused > 0.8 * len(crafted)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "3", "null", "1" * 5000])
def test_metadata_that_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError, match=r"a\.onnx has damaged metadata"):
        read_metadata(text, "a.onnx", STEP)


@pytest.mark.parametrize(
    ("entries", "named"), [({"states": []}, "state"), ({"block_samples": 80}, "pcm"), ({"out_features": 2}, "outputs")]
)
def test_metadata_of_another_graph_are_refused(entries, named, exported):
    with pytest.raises(ValueError, match=f"The graph does not match its metadata: .*{named}"):
        OnnxModel(changed(exported("vad"), **entries))


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        OnnxModel(tmp_path / "vad.onnx")


def test_a_file_that_cannot_be_written_leaves_the_old_one(model, tmp_path):
    (tmp_path / "vad.onnx").mkdir()
    with pytest.raises(OSError):
        export_onnx(model("vad"), tmp_path / "vad.onnx")
    with pytest.raises(OSError):
        export_onnx(model("vad"), tmp_path / "nowhere" / "vad.onnx")


@pytest.mark.parametrize(("missing", "module"), [("onnx", "onnx"), ("onnxruntime", "quantize")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(missing, module):
    code = f"import sys; sys.modules[{missing!r}] = None; import streamrnn.export.{module}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert f"needs the package {missing}, which is not installed" in run.stderr
    assert 'pip install "streamrnn[onnx]"' in run.stderr


def test_running_a_file_imports_no_jax(exported, tmp_path):
    (tmp_path / "vad.onnx").write_bytes(exported("vad"))
    code = f"""if True:
        import sys, numpy as np, streamrnn
        model, sound = streamrnn.load({str(tmp_path / "vad.onnx")!r}), np.zeros(16_000, np.float32)
        for run in (streamrnn.Stream(model, 8000).process, streamrnn.Listener(model, threshold=0.7).feed):
            run(sound)
        pool = streamrnn.Pool(model, 4)
        stream = pool.open()
        stream.feed(sound)
        assert pool.tick()
        streamrnn.run_file(model, sound, 16_000)
        sys.exit(bool({{"jax", "flax", "jaxtyping", "librosa", "scipy"}} & set(sys.modules)))
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
