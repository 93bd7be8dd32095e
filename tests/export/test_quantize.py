"""Weights in 8 bits: smaller, close, and the cost is told."""

import numpy as np
import onnx
import pytest
from flax import nnx

from streamrnn.audio import write_audio
from streamrnn.export.onnx import onnx_step
from streamrnn.export.quantize import export_int8, quantized
from streamrnn.layers import Chain, Dense
from streamrnn.models import Model
from streamrnn.runtime import OnnxModel, Stream
from streamrnn.signals import Series


@pytest.fixture(scope="module")
def files(model, sound, tmp_path_factory):
    """The path of the vad in 8 bits, and what export_int8 said of it."""
    folder = tmp_path_factory.mktemp("int8")
    write_audio(folder / "speech.wav", sound("conversation.flac", 0, 4), 16_000)
    write_audio(folder / "noise.wav", sound("noise_only.ogg", 0, 1), 16_000)
    cost = export_int8(
        model("vad"), folder / "vad.onnx", [folder / "speech.wav", folder / "noise.wav"], about={"name": "vad"}
    )
    return folder / "vad.onnx", cost


def test_a_file_in_8_bits_is_less_than_half_as_large(files, exported):
    assert files[0].stat().st_size < 0.5 * len(exported("vad"))


def test_the_cost_is_what_differs(files, exported, sound):
    path, cost = files
    heard = sound("conversation.flac", 0, 4)
    exact, rounded = (Stream(OnnxModel(each)).process(heard) for each in (exported("vad"), path))
    # The file holds 16 bits, and has an end.
    assert cost.max_difference >= 0.9 * np.abs(exact - rounded).max() > 1e-4
    assert cost.max_difference < 0.1
    assert (cost.recordings, cost.events_changed <= cost.events) == (2, True)
    assert cost.events >= 2


def test_the_metadata_stays(files):
    assert OnnxModel(files[0]).metadata["name"] == "vad"


def test_what_was_designed_and_not_trained_stays_exact(model):
    graph = onnx.load_from_string(quantized(onnx_step(model("vad")), model("vad"))).graph
    exact = [node for node in graph.node if node.op_type == "MatMul"]
    # The two steps of the spectrum, and the filterbank.
    assert len(exact) == 3
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) == 6


def test_a_model_that_gives_sound_has_no_events_to_lose(model, sound, tmp_path):
    write_audio(tmp_path / "speech.wav", sound("conversation.flac", 0, 1), 16_000)
    cost = export_int8(model("denoise"), tmp_path / "denoise.onnx", [tmp_path / "speech.wav"])
    assert (cost.events, cost.events_changed) == (0, 0) and 0 < cost.max_difference < 0.2


def test_without_recordings_nothing_is_written(model, tmp_path):
    with pytest.raises(ValueError, match="no recordings to measure"):
        export_int8(model("vad"), tmp_path / "vad.onnx", [])
    assert not any(tmp_path.iterdir())


def test_a_model_that_takes_no_sound_says_so(tmp_path):
    series = Model.of(Chain(Dense(3, 2, rngs=nnx.Rngs(0))), signal=Series(3, 1.0))
    with pytest.raises(ValueError, match=r"takes Series\(.*no sound. Export it without --int8"):
        export_int8(series, tmp_path / "series.onnx", [tmp_path / "speech.wav"])
    assert list(tmp_path.iterdir()) == []
