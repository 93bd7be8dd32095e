"""Streams of something else than sound: frames of readings, ids of tokens."""

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.audio import AudioError
from streamrnn.contract import aligned
from streamrnn.runtime import Listener, Pool, Stream, listen, run_file

ODD = 31


@pytest.fixture(params=["of_readings", "of_ids"])
def series_model(request):
    return request.getfixturevalue(request.param)


def offline(model, frames):
    """What the contract says of whole recordings: the last block padded."""
    padded = np.pad(frames, ((0, -len(frames) % model.stride), (0, 0)), constant_values=model.padding)
    return np.asarray(model.readout(aligned(model, jnp.asarray(padded)[None])))[0]


@pytest.mark.parametrize("name", ["of_readings", "of_ids"])
@hypothesis.settings(max_examples=8)
@hypothesis.given(cuts=st.lists(st.integers(0, ODD), max_size=5))
def test_any_chunking_gives_the_same_outputs_which_are_those_of_the_whole(request, frames, cut, run, name, cuts):
    model = request.getfixturevalue(name)
    whole = frames(model, ODD)
    live = run(Stream(model), np.split(whole, sorted(cuts)))
    np.testing.assert_array_equal(live, run(Stream(model), [whole]))
    np.testing.assert_allclose(live, offline(model, whole), rtol=0, atol=1e-5)
    assert len(live) == -(-ODD // model.stride)


def test_a_pool_gives_the_same_numbers_and_its_streams_move(series_model, frames, run):
    model, whole = series_model, frames(series_model, ODD)
    pool, alone = Pool(model, capacity=3, queue_s=10.0, warm_up=False), Stream(model)
    first, other = pool.open(), pool.open()
    first.feed(whole[:11])
    other.feed(whole[::-1])
    answers = pool.tick()
    alone.restore(first.snapshot())
    assert alone.duration_s == first.duration_s == model.signal.duration_s(11)
    first.restore(alone.snapshot())
    first.feed(whole[11:])
    first.finish()
    while more := pool.tick():
        answers += more
    outputs = [answer.outputs for answer in answers if answer.stream is first]
    np.testing.assert_allclose(np.concatenate(outputs), run(Stream(model), [whole]), rtol=0, atol=1e-5)
    assert not any(answer.events or answer.sound is not None for answer in answers)


def test_whole_recordings_are_frames_or_chunks_of_them(series_model, frames):
    whole = frames(series_model, ODD)
    expected = offline(series_model, whole)
    np.testing.assert_allclose(run_file(series_model, whole), expected, rtol=0, atol=1e-5)
    pieces = [whole[:7], whole[7:14], whole[14:]]
    for chunks in (iter(pieces), tuple(pieces), pieces, list(whole), whole.tolist()):
        np.testing.assert_allclose(run_file(series_model, chunks), expected, rtol=0, atol=1e-5)


def test_chunks_of_ids_may_be_rows(of_ids):
    expected = run_file(of_ids, np.array([1, 2, 3, 4, 5]))
    for chunks in ([np.array([1, 2]), np.array([3, 4, 5])], [np.array([1, 2, 3, 4]), np.array([5])], [1, 2, 3, 4, 5]):
        np.testing.assert_allclose(run_file(of_ids, chunks), expected, rtol=0, atol=1e-5)


def test_the_caller_may_overwrite_frames_at_once(series_model, frames, run):
    whole, buffer, outputs = frames(series_model, ODD), frames(series_model, 1), []
    stream, pooled = Stream(series_model), Pool(series_model, capacity=1, queue_s=10.0, warm_up=False)
    waiting = pooled.open()
    for frame in whole:
        buffer[:] = frame
        outputs.append(stream.process(buffer))
        waiting.feed(buffer)
        buffer[:] = 0
    waiting.finish()
    expected = run(Stream(series_model), [whole])
    np.testing.assert_array_equal(np.concatenate([*outputs, stream.flush()]), expected)
    answers = []
    while more := pooled.tick():
        answers += [answer.outputs for answer in more]
    np.testing.assert_allclose(np.concatenate(answers), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("feeding", ["a stream", "a pool"])
@pytest.mark.parametrize(
    ("name", "chunk", "error", "message"),
    [
        ("of_ids", np.zeros((3, 1), np.float32), TypeError, r"float32; this model takes whole numbers.*astype"),
        ("of_ids", np.array([[9]]), ValueError, "range from 9 to 9; this model knows 0 to 8"),
        ("of_ids", np.array([[-1]]), ValueError, "knows 0 to 8"),
        ("of_ids", b"\x00\x01", TypeError, "whole numbers"),
        ("of_readings", np.zeros((3, 4), np.int32), TypeError, r"int32; this model takes floats"),
        ("of_readings", np.zeros((3, 4), bool), TypeError, r"bool; this model takes floats"),
        ("of_readings", np.zeros((3, 5)), ValueError, r"shape \[3, 5\]; this model takes \[frames, 4\]"),
        ("of_readings", np.zeros(4), ValueError, r"this model takes \[frames, 4\]"),
        ("of_readings", np.array([[0, 0, 0, 0], [0, np.nan, 0, 0.0]]), ValueError, "NaN,.* the first in frame 1"),
        ("of_readings", np.array([[0, 0, 0, 0], [0, 0, -1e39, 0]]), ValueError, "beyond 1e.18, the first in frame 1"),
        ("of_readings", np.full((1, 4), np.inf, np.float16), ValueError, "infinite or beyond 1e.18"),
        ("model", np.zeros((20, 3), np.float32), AudioError, r"\[20, 3\]: 3 channels, .*channels=3.*a Series"),
    ],
)
def test_frames_that_a_model_does_not_take_are_refused_as_a_whole(
    request, frames, feeding, name, chunk, error, message
):
    model = request.getfixturevalue(name)
    stream = Stream(model) if feeding == "a stream" else Pool(model, capacity=1, warm_up=False).open()
    feed = stream.process if isinstance(stream, Stream) else stream.feed
    feed(np.zeros(100, np.float32) if name == "model" else frames(model, 1))
    before = stream.snapshot()
    with pytest.raises(error, match=message):
        feed(chunk)
    after = stream.snapshot()
    assert after.inlet["taken"] == before.inlet["taken"]
    np.testing.assert_array_equal(after.inlet["waiting"], before.inlet["waiting"])


def test_channels_that_were_announced_are_mixed_down(model, bursts, run):
    sound = bursts(0.1)
    four = np.stack([sound] * 4, axis=1)
    expected = run(Stream(model), [sound])
    np.testing.assert_allclose(run(Stream(model, channels=4), [four]), expected, rtol=0, atol=1e-5)
    pool = Pool(model, capacity=1, warm_up=False)
    pool.open(channels=4).feed(four)


def test_what_is_for_sound_is_refused_where_there_is_none(of_readings, frames):
    for wrong in ({"sample_rate": 16_000}, {"channels": 2}):
        with pytest.raises(TypeError, match="are for sound; this model takes Series"):
            Stream(of_readings, **wrong)
    with pytest.raises(TypeError, match=r"not sound\. Pass an array or iterable of frames"):
        run_file(of_readings, "recording.wav")
    with pytest.raises(TypeError, match=r"takes Series.*so it has no samples"):
        _ = of_readings.sample_rate


def test_a_model_that_gives_numbers_says_where_they_come_from(of_readings, frames):
    for way in (lambda: Listener(of_readings), lambda: listen(of_readings, frames(of_readings, 3))):
        with pytest.raises(TypeError, match=r"Model gives numbers, not events\. Use streamrnn\.Stream"):
            way()
    with pytest.raises(TypeError, match="has no settings; threshold came"):
        Pool(of_readings, capacity=1, warm_up=False).open(threshold=0.5)
