"""Every shipped model in ONNX Runtime against streamrnn.Stream: outputs, events, sizes, metadata."""

import json
import re

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import nnx

import streamrnn
from streamrnn.contract import Constant
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.export.onnx import onnx_recording, onnx_step
from streamrnn.export.onnx_stream import OnnxStep, OnnxStream
from streamrnn.pretrained import shipped

RECORDINGS = {"digits": "digits.flac", "denoise": "french_cafe.ogg", "vad": "conversation.flac"}


def recording_for(name):
    return next((file for task, file in RECORDINGS.items() if name.startswith(task)), "commands.flac")


def whole(stream, sound):
    return np.concatenate([stream.process(sound), stream.flush()])


def events(model, outputs, duration_s):
    decoder = model.decoder()
    return [*decoder.push(outputs), *decoder.finish(duration_s)]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_model_gives_the_same_outputs_and_events(name, model, exported, sound):
    model, heard = model(name), sound(recording_for(name))
    ours, theirs = whole(streamrnn.Stream(model), heard), whole(OnnxStream(exported(name)), heard)
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    if model.Decision is not SoundSettings:
        expected = events(model, ours, len(heard) / 16_000)
        found = events(model, theirs, len(heard) / 16_000)
        # What wakes up to other words than those in the recording has nothing to say.
        assert expected or name.startswith(("wake", "keywords-ar"))
        assert [(e.kind, e.label, e.start_s, e.end_s) for e in found] == [
            (e.kind, e.label, e.start_s, e.end_s) for e in expected
        ]


@pytest.mark.parametrize("name", ["vad", "digits-transducer", "denoise"])
def test_streams_in_a_batch_are_those_alone(name, exported, noise):
    step, alone = OnnxStep(exported(name), batch_size=3), OnnxStep(exported(name))
    blocks = noise(5, 3, step.metadata["block_samples"])
    together = np.stack([step(block) for block in blocks])
    np.testing.assert_allclose(together[:, 1:2], [alone(block[1:2]) for block in blocks], atol=1e-5)


def test_a_stream_does_not_care_how_its_sound_is_cut(exported, sound):
    stream, heard = OnnxStream(exported("vad")), sound("conversation.flac", 0, 2)
    at_once = whole(stream, heard)
    cut = [stream.process(chunk) for chunk in np.split(heard, [1, 77, 160, 5000, 5003])]
    np.testing.assert_array_equal(np.concatenate([*cut, stream.flush()]), at_once)


def test_a_reset_stream_is_a_fresh_one(exported, noise):
    stream = OnnxStream(exported("keywords-en"))
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


@pytest.mark.parametrize("name", shipped())
def test_a_file_is_hardly_larger_than_the_weights(name, model, exported):
    stored = nnx.state(model(name), nnx.Any(nnx.Param, Constant))
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(stored))
    assert len(exported(name)) < 1.2 * weights


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
    found = OnnxStep(exported("keywords-en")).metadata
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
        "block_samples": 320,
        "frame_s": 0.02,
        "lookahead_s": 0.1,
        "warm_up_frames": 5,
        "out_features": len(keywords.settings.labels),
        "labels": list(keywords.settings.labels),
        "decision_kind": "KeywordSettings",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["decision"]["threshold"] == keywords.decision.threshold
    assert found["card"].startswith("#") and found["figures"]


def test_the_states_are_named_after_the_layers_that_they_belong_to(exported):
    states = OnnxStep(exported("vad")).metadata["states"]
    assert {
        "name": "state.0.4.RunningNormalise.mean",
        "next": "state.0.4.RunningNormalise.mean.next",
    }.items() <= states[2].items()
    assert [(state["name"].split(".")[3], state["shape"], state["dtype"]) for state in states] == [
        ("STFT", [2, 160], "float32"),
        ("RunningNormalise", [], "int32"),
        ("RunningNormalise", [40], "float32"),
        ("RunningNormalise", [40], "float32"),
        ("CausalConv", [4, 40], "float32"),
        ("GRU", [128], "float32"),
        ("GRU", [128], "float32"),
    ]


def test_the_second_threshold_is_told_where_it_follows_from_the_first(model, exported):
    vad = model("vad")
    assert OnnxStep(exported("vad")).metadata["decision"]["off_threshold"] == vad.decision.resolved_off_threshold


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
    assert OnnxStep(exported(name)).metadata["labels"][:3] == labels


def test_a_graph_passes_the_checker_and_reads_back(model):
    onnx.checker.check_model(onnx_step(model("vad")), full_check=True)
