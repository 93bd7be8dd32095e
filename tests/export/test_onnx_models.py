"""Every shipped model in ONNX Runtime against streamrnn.Stream: outputs, events, sizes, metadata."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx

import streamrnn
from streamrnn.contract import Constant
from streamrnn.export.onnx import onnx_recording, onnx_step
from streamrnn.layers import Apply, Chain, Lookahead
from streamrnn.pretrained import shipped
from streamrnn.runtime import OnnxModel
from tests.shipped_models import OF_LINES, OF_SOUND

RECORDINGS = {"digits": "digits.flac", "denoise": "french_cafe.ogg", "vad": "conversation.flac"}


def recording_for(name):
    return next((file for task, file in RECORDINGS.items() if name.startswith(task)), "commands.flac")


def whole(stream, sound):
    return np.concatenate([stream.process(sound), stream.flush()])


def events(model, outputs, duration_s):
    decoder = model.decoder()
    return [*decoder.push(outputs), *decoder.finish(duration_s)]


@pytest.mark.parametrize("name", OF_SOUND)
def test_a_shipped_model_gives_the_same_outputs_and_events(name, model, exported, sound):
    model, heard = model(name), sound(recording_for(name))
    ours, theirs = whole(streamrnn.Stream(model), heard), whole(streamrnn.Stream(OnnxModel(exported(name))), heard)
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    # A model of phonemes has events for whoever types phrases.
    if model.outlet().gives == "events":
        expected = events(model, ours, len(heard) / 16_000)
        found = events(model, theirs, len(heard) / 16_000)
        # What wakes up to other words than those in the recording has nothing to say.
        assert expected or name.startswith(("wake", "keywords-ar"))
        assert [(e.kind, e.label, e.start_s, e.end_s) for e in found] == [
            (e.kind, e.label, e.start_s, e.end_s) for e in expected
        ]


@pytest.mark.parametrize("name", OF_LINES)
def test_a_shipped_model_of_lines_gives_the_same_outputs(name, model, exported):
    model = model(name)
    signal, rng = model.signal, np.random.default_rng(0)
    shape = (30, signal.features)
    frames = rng.integers(0, signal.ids, shape) if signal.dtype == "int32" else rng.standard_normal(shape)
    frames = frames.astype(signal.dtype)
    ours, theirs = (whole(streamrnn.Stream(of), frames) for of in (model, OnnxModel(exported(name))))
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vad", "digits-transducer", "denoise"])
def test_streams_in_a_batch_are_those_alone(name, exported, noise):
    step = OnnxModel(exported(name))
    blocks, alone = noise(5, 3, 1, step.block_samples), step.fresh_state
    together = {name: array.repeat(3, axis=0) for name, array in alone.items()}
    for block in blocks:
        together, outputs = step(together, block)
        alone, output = step(alone, block[1:2])
        np.testing.assert_allclose(outputs[1:2], output, atol=1e-5)


def test_a_stream_does_not_care_how_its_sound_is_cut(exported, sound):
    stream, heard = streamrnn.Stream(OnnxModel(exported("vad"))), sound("conversation.flac", 0, 2)
    at_once = whole(stream, heard)
    stream.reset()
    cut = [stream.process(chunk) for chunk in np.split(heard, [1, 77, 160, 5000, 5003])]
    np.testing.assert_array_equal(np.concatenate([*cut, stream.flush()]), at_once)


def test_a_reset_stream_is_a_fresh_one(exported, noise):
    stream = streamrnn.Stream(OnnxModel(exported("keywords-en")))
    first = stream.process(noise(9000))
    stream.process(noise(333))
    stream.reset()
    np.testing.assert_array_equal(stream.process(noise(9000)), first)


@pytest.mark.parametrize(("name", "samples"), [("vad", 8000), ("vad", 8001), ("vad", 1), ("digits-transducer", 7777)])
def test_the_graph_of_recordings_gives_what_a_stream_gives(name, samples, model, sound):
    heard = np.stack([sound("digits.flac")[5000 : 5000 + samples], sound("commands.flac")[:samples]])
    recording = onnx_recording(model(name)).SerializeToString()
    session = onnxruntime.InferenceSession(recording, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["outputs"], {"pcm": heard})
    for row, ours in zip(heard, np.asarray(outputs), strict=True):
        np.testing.assert_allclose(ours, whole(streamrnn.Stream(model(name)), row), rtol=0, atol=1e-4)


@pytest.mark.parametrize("late", [0, 2])
def test_the_graph_of_recordings_gives_nothing_for_a_recording_of_nothing(late):
    model = streamrnn.Model.of(Chain(Lookahead(late), Apply(jnp.tanh)), sample_rate=800, hop_samples=8)
    recording = onnx_recording(model).SerializeToString()
    session = onnxruntime.InferenceSession(recording, providers=["CPUExecutionProvider"])
    assert session.run(["outputs"], {"pcm": np.zeros((2, 0), np.float32)})[0].shape == (2, 0, 8)


@pytest.mark.parametrize("name", shipped())
def test_a_file_is_hardly_larger_than_the_weights_and_the_first_state(name, model, exported):
    stored = nnx.state(model(name), nnx.Any(nnx.Param, Constant))
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(stored))
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(model(name).init_state(1)))
    # Names of nodes and what a file says of itself take some, which counts beside the smallest weights.
    assert len(exported(name)) < 1.2 * weights + state + 4096


@pytest.mark.parametrize("name", shipped())
def test_a_graph_has_nothing_that_nothing_needs(name, exported):
    graph = onnx.load_from_string(exported(name)).graph
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert all(set(node.output) & used for node in graph.node)
    assert {tensor.name for tensor in graph.initializer} <= used
    assert {node.domain for node in graph.node} == {""}
    assert all(
        re.match(r"batch$|\d", d.dim_param or str(d.dim_value))
        for x in graph.input
        for d in x.type.tensor_type.shape.dim
    )


def test_a_file_says_all_that_is_needed_to_run_it(model, exported):
    found = OnnxModel(exported("keywords-en")).metadata
    assert json.loads(json.dumps(found)) == found
    keywords = model("keywords-en")
    expected = {
        "format": 1,
        "streamrnn": streamrnn.__version__,
        "kind": "step",
        "name": "keywords-en",
        "task": "keywords",
        "model": "Keywords",
        "sample_rate": 16_000,
        "block_samples": 640,
        "frame_s": 0.04,
        "lookahead_s": 0.2,
        "warm_up_frames": 5,
        "out_features": len(keywords.settings.labels),
        "labels": list(keywords.settings.labels),
        "decision_kind": "KeywordSettings",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["decision"]["threshold"] == keywords.decision.threshold
    assert found["card"].startswith("#") and found["figures"]


def test_the_states_are_named_after_the_layers_that_they_belong_to(exported):
    states = OnnxModel(exported("vad")).metadata["states"]
    assert [(state["name"].split(".")[3], state["shape"], state["dtype"]) for state in states] == [
        ("STFT", [2, 160], "float32"),
        ("AboveFloor", [40], "float32"),
        ("CausalConv", [4, 80], "float32"),
        ("GRU", [128], "float32"),
        ("GRU", [128], "float32"),
    ]
    named = [
        state for state in OnnxModel(exported("digits-transducer")).metadata["states"] if "Normalise" in state["name"]
    ]
    assert [(state["name"].rpartition(".")[2], state["shape"], state["dtype"]) for state in named] == [
        ("frames", [], "int32"),
        ("mean", [40], "float32"),
        ("variance", [40], "float32"),
    ]
    assert named[1]["next"] == named[1]["name"] + ".next"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("vad", ["speech"]),
        ("keywords-en", ["silence", "unknown", "yes"]),
        ("digits-ctc", ["", "zero", "one"]),
        ("digits-transducer", ["", "zero", "one"]),
        ("denoise", []),
    ],
)
def test_outputs_have_names_and_what_a_search_gives_counts_from_the_blank(name, labels, exported):
    assert OnnxModel(exported(name)).metadata["labels"][:3] == labels


def test_a_graph_passes_the_checker_and_reads_back(model):
    onnx.checker.check_model(onnx_step(model("vad")), full_check=True)
