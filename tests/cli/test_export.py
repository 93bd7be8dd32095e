"""`streamrnn export`: files that are what they say, and flags that make no sense."""

import sys

import pytest

from streamrnn.runtime.export_format import RECORDING


@pytest.fixture
def recordings(tmp_path, sound_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    # As recorders name it.
    (folder / "noise.WAV").write_bytes(sound_path.read_bytes())
    return folder


def metadata(path):
    from streamrnn.runtime import OnnxModel

    return OnnxModel(path).metadata


def test_an_onnx_file_is_written_and_runs(streamrnn, model_path, tmp_path, capsys):
    assert streamrnn("export", model_path, tmp_path / "small.onnx") == 0
    assert capsys.readouterr().out.startswith(f"wrote {tmp_path / 'small.onnx'}, 0.")
    found = metadata(tmp_path / "small.onnx")
    assert (found["name"], found["task"], found["figures"]) == ("small", "vad", {"validation": 0.875})


def test_with_scan_it_is_one_of_recordings(streamrnn, model_path, tmp_path):
    assert streamrnn("export", model_path, tmp_path / "small.onnx", "--scan") == 0
    with pytest.raises(ValueError, match=repr(RECORDING)):
        metadata(tmp_path / "small.onnx")


def test_with_int8_its_cost_is_printed(streamrnn, model_path, recordings, tmp_path, capsys):
    assert streamrnn("export", model_path, tmp_path / "small.onnx", "--int8", "--recordings", recordings) == 0
    cost, wrote = capsys.readouterr().out.splitlines()
    assert cost.startswith("8 bits on 1 recordings: outputs differ by at most ")
    assert wrote.startswith("wrote ")
    assert metadata(tmp_path / "small.onnx")["name"] == "small"


def test_a_stablehlo_file_comes_with_what_it_says_of_itself(streamrnn, model_path, tmp_path):
    assert streamrnn("export", model_path, tmp_path / "small.stablehlo") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"small.stablehlo", "small.stablehlo.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.pt"], "out.pt ends in '.pt'. Name a file that ends in .onnx or .stablehlo."),
        (["out"], "out ends in ''. Name a file"),
        (["out.stablehlo", "--int8"], "--int8 is for .onnx files. Leave it out"),
        (["out.stablehlo", "--scan"], "--scan is for .onnx files. Leave it out"),
        (["out.onnx", "--recordings", "sound"], "--recordings is what the cost of --int8 is measured on. Leave it out"),
        (["out.onnx", "--scan", "--int8"], "--scan and --int8 exclude each other"),
        (["out.onnx", "--int8", "--silero"], "--int8 and --silero exclude each other"),
        (["out.stablehlo", "--silero"], "--silero is for .onnx files. Leave it out"),
        (["out.onnx", "--silero"], "takes 160 samples at a time, and 512 is not a multiple of that"),
        (["nowhere/out.onnx"], "nowhere/out.onnx: cannot write (No such file or directory). Pass a file"),
        (["out.onnx", "--int8", "--recordings", "nowhere"], "nowhere has none (.flac, .mp3"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_makes_no_sense_is_said_before_anything_is_written(
    arguments, message, streamrnn, model_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert streamrnn("export", model_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_an_unknown_model_names_the_shipped_ones(streamrnn, tmp_path, capsys):
    assert streamrnn("export", "vda", tmp_path / "out.onnx") == 2
    assert "There is no model 'vda'. Did you mean 'vad'? Shipped are: " in capsys.readouterr().err


def test_without_the_package_onnx_the_extra_is_named(streamrnn, model_path, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("streamrnn.export.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert streamrnn("export", model_path, tmp_path / "out.onnx") == 2
    assert 'pip install "streamrnn[onnx]"' in capsys.readouterr().err


def test_a_recording_that_is_none_leaves_no_file(streamrnn, model_path, recordings, tmp_path, capsys):
    (recordings / "broken.wav").write_text("no sound")
    assert streamrnn("export", model_path, tmp_path / "out.onnx", "--int8", "--recordings", recordings) == 2
    assert "broken.wav" in capsys.readouterr().err
    assert not (tmp_path / "out.onnx").exists()
