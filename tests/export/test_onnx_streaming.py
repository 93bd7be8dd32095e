"""Exported models do all that a model does: they stream, decide, enhance, and share a pool."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.cells import GRU
from streamrnn.export.onnx import export_onnx, onnx_recording
from streamrnn.layers import Chain, Dense, Embedding, Lookahead, Recurrent, StackFrames
from streamrnn.models import Model
from streamrnn.runtime import run_file_events
from streamrnn.signals import Series


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    """name -> the exported model, from a file."""
    made = {}

    def load(name):
        if name not in made:
            path = tmp_path_factory.mktemp("exported") / f"{name}.onnx"
            export_onnx(model(name), path)
            made[name] = streamrnn.load(path)
        return made[name]

    return load


def without_scores(events):
    return [replace(event, score=0.0) for event in events]


def heard(listener, sound):
    return listener.feed(sound) + listener.finish()


RECORDINGS = {"vad": "conversation.flac", "keywords-en": "commands.flac", "digits-ctc": "digits.flac"}
SETTINGS = {"vad": {"threshold": 0.8}, "keywords-en": {"smoothing_ms": 100.0}, "digits-ctc": {"beam_width": 4}}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_listener_decides_the_same_with_the_settings_of_the_file_and_with_others(name, model, loaded, sound):
    ours, theirs, recording = model(name), loaded(name), sound(RECORDINGS[name], 0, 6)
    for settings in ({}, SETTINGS[name]):
        expected = heard(streamrnn.Listener(ours, **settings), recording)
        found = heard(streamrnn.Listener(theirs, **settings), recording)
        assert expected and without_scores(found) == without_scores(expected)
    assert (theirs.labels, theirs.frame_s, theirs.lookahead_s) == (ours.labels, ours.frame_s, ours.lookahead_s)
    listener = streamrnn.Listener(theirs)
    listener.feed(recording[:16_000])
    np.testing.assert_allclose(listener.activity, listener.outlet.activity(listener.outputs))


def test_whole_recordings_and_their_events_are_those_of_the_model(model, loaded, sound):
    recording = sound("conversation.flac", 0, 3)
    ours, theirs = (streamrnn.run_file(each, recording, 16_000) for each in (model("vad"), loaded("vad")))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    events = [run_file_events(each, recording, 16_000) for each in (model("vad"), loaded("vad"))]
    assert events[0] and without_scores(events[0]) == without_scores(events[1])


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_enhancer_gives_the_same_sound(model, loaded, sound, rate):
    recording = sound("french_cafe.ogg", 0, 1)
    found = [streamrnn.Enhancer(each, rate, max_attenuation_db=20.0) for each in (model("denoise"), loaded("denoise"))]
    ours, theirs = (np.concatenate([each.process(recording), each.flush()]) for each in found)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)


def test_a_pool_advances_streams_of_different_lengths_as_if_each_were_alone(loaded, sound):
    vad, recording = loaded("vad"), sound("conversation.flac", 0, 2)
    pool, answers = streamrnn.Pool(vad, capacity=3, queue_s=3.0), []
    streams = [pool.open(), pool.open(8_000), pool.open()]
    for stream, samples in zip(streams, (32_000, 7_777, 12_345), strict=True):
        stream.feed(recording[:samples])
    answers += pool.tick()
    pool.grow(5)
    for stream in streams:
        stream.finish()
    while more := pool.tick():
        answers += more
    for stream, samples in zip(streams, (32_000, 7_777, 12_345), strict=True):
        alone = streamrnn.Stream(vad, stream.sample_rate)
        expected = np.concatenate([alone.process(recording[:samples]), alone.flush()])
        found = np.concatenate([answer.outputs for answer in answers if answer.stream is stream])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_stream_moves_and_not_to_another_model(model, loaded, sound):
    recording = sound("conversation.flac", 0, 1)
    whole = streamrnn.Stream(loaded("vad")).process(recording)
    first, second = streamrnn.Listener(loaded("vad")), streamrnn.Pool(loaded("vad"), capacity=1).open()
    first.feed(recording[:8000])
    second.restore(streamrnn.Snapshot.from_bytes(first.snapshot().to_bytes()))
    first.restore(second.snapshot())
    first.feed(recording[8000:])
    np.testing.assert_array_equal(first.outputs, whole[-len(first.outputs) :])
    with pytest.raises(ValueError, match="Restore it into a stream of the model that it was taken from"):
        streamrnn.Listener(model("vad")).restore(first.snapshot())


def test_devices_are_not_for_exported_models(loaded):
    with pytest.raises(ValueError, match="Leave devices out"):
        streamrnn.Pool(loaded("vad"), capacity=1, devices=["cpu"])


@pytest.mark.parametrize("signal", [Series(1, 10.0, "int32", padding=8, ids=9), Series(4, 50.0, padding=-1.0)])
def test_a_model_of_a_series_goes_out_as_well(signal, tmp_path):
    rngs = nnx.Rngs(0)
    first = [Embedding(9, 4, rngs=rngs)] if signal.dtype == "int32" else []
    core = Recurrent(GRU(8, 5, rngs=rngs)), Dense(5, 3, rngs=rngs)
    model = Model(None, None, Chain(*first, Lookahead(2), StackFrames(2), *core), 3, signal=signal)
    export_onnx(model, tmp_path / "series.onnx")
    exported = streamrnn.load(tmp_path / "series.onnx")
    assert exported.signal == signal
    frames = np.random.default_rng(0).integers(0, 9, (31, signal.features)).astype(signal.dtype)
    ours, theirs = (np.concatenate([s.process(frames), s.flush()]) for s in map(streamrnn.Stream, (model, exported)))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    np.testing.assert_allclose(streamrnn.run_file(exported, frames), ours, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="graphs of whole recordings are for sound"):
        onnx_recording(model)
