"""Snapshots: a stream that is put away and taken up again, here or elsewhere, has not been interrupted."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from streamrnn.pretrained import load, save
from streamrnn.runtime import Listener, Snapshot, Stream


def sent(snapshot):
    """The snapshot as another process gets it."""
    return Snapshot.from_bytes(snapshot.to_bytes())


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
@hypothesis.settings(max_examples=8)
@hypothesis.given(cut_at=st.integers(0, 8000))
def test_another_stream_goes_on_from_a_snapshot_bit_for_bit(any_model, bursts, run, sample_rate, cut_at):
    sound = bursts(0.5, sample_rate)
    first, second = Stream(any_model, sample_rate), Stream(any_model, sample_rate)
    second.process(sound[:777])
    before = first.process(sound[:cut_at])
    second.restore(sent(first.snapshot()))
    assert second.duration_s == first.duration_s
    whole = run(Stream(any_model, sample_rate), [sound])
    np.testing.assert_array_equal(np.concatenate([before, run(second, [sound[cut_at:]])]), whole)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_a_snapshot_does_not_change_while_its_stream_goes_on(model, bursts, run, sample_rate):
    sound = bursts(0.5, sample_rate)
    stream = Stream(model, sample_rate)
    stream.process(sound[:3333])
    snapshot = stream.snapshot()
    rests = [run(stream, [sound[3333:]])]
    for _ in range(2):
        stream.restore(snapshot)
        rests.append(run(stream, [sound[3333:]]))
    np.testing.assert_array_equal(rests[0], rests[1])
    np.testing.assert_array_equal(rests[0], rests[2])


def test_the_snapshot_of_a_flushed_stream_is_flushed(model, bursts):
    first, second = Stream(model), Stream(model)
    first.process(bursts(0.1))
    first.flush()
    second.restore(first.snapshot())
    with pytest.raises(RuntimeError, match="reset"):
        second.process(bursts(0.1))


@pytest.mark.parametrize(
    "other",
    [{"seed": 2}, {"logit_scale": 21.0}, {"lookahead_frames": 0}, {"lookahead_frames": 2}],
    ids=["other weights", "trained further", "no look-ahead", "shorter look-ahead"],
)
def test_a_snapshot_of_another_model_is_refused_and_leaves_no_trace(model, new_model, bursts, run, other):
    sound = bursts(0.3)
    stream = Stream(model)
    before = stream.process(sound[:2000])
    foreign = Stream(new_model(**other)).snapshot()
    with pytest.raises(ValueError, match="Restore it into a stream of the model that it was taken from"):
        stream.restore(foreign)
    outputs = np.concatenate([before, run(stream, [sound[2000:]])])
    np.testing.assert_array_equal(outputs, run(Stream(model), [sound]))


def test_a_snapshot_at_another_sample_rate_is_refused(model):
    snapshot = Stream(model, 48_000).snapshot()
    with pytest.raises(ValueError, match=r"48000 Hz; this one takes 16000 Hz\. Make the stream with sample_rate=48000"):
        Stream(model).restore(snapshot)


def test_a_model_that_was_saved_and_loaded_takes_the_snapshots_of_the_original(model, bursts, run, tmp_path):
    sound = bursts(0.4)
    save(model, tmp_path / "model")
    first, second = Stream(model), Stream(load(tmp_path / "model"))
    before = first.process(sound[:3000])
    second.restore(sent(first.snapshot()))
    outputs = np.concatenate([before, run(second, [sound[3000:]])])
    np.testing.assert_array_equal(outputs, run(Stream(model), [sound]))


@hypothesis.given(cut_at=st.integers(0, 24_000))
def test_another_listener_goes_on_from_a_snapshot_with_the_same_events(model, bursts, hear, cut_at):
    sound = bursts(1.5)
    first, second = Listener(model), Listener(model)
    second.feed(sound[:5000])
    before = first.feed(sound[:cut_at])
    second.restore(sent(first.snapshot()))
    events = before + hear(second, [sound[cut_at:]])
    assert len(events) >= 4
    assert events == hear(Listener(model), [sound])


def test_a_snapshot_taken_while_somebody_speaks_remembers_the_start(loudness, tone_between, hear):
    sound = tone_between([(0.2, 0.8)], 1.2)
    first, second = Listener(loudness), Listener(loudness)
    [start] = first.feed(sound[:8000])
    second.restore(sent(first.snapshot()))
    [end] = hear(second, [sound[8000:]])
    assert (start.kind, end.kind) == ("speech_start", "speech_end")
    assert end.start_s == start.start_s


def test_a_listener_refuses_a_foreign_snapshot_and_leaves_no_trace(model, new_model, bursts, hear):
    sound = bursts(1)
    listener, foreign = Listener(model), Listener(new_model(seed=2))
    foreign.feed(sound)
    before = listener.feed(sound[:7000])
    with pytest.raises(ValueError, match="Restore it into a stream of the model"):
        listener.restore(foreign.snapshot())
    assert before + hear(listener, [sound[7000:]]) == hear(Listener(model), [sound])


def test_a_damaged_snapshot_is_refused_and_leaves_no_trace(model, bursts, hear):
    listener = Listener(model)
    before = listener.feed(bursts(0.3)[:3000])
    snapshot = listener.snapshot()
    cut = dataclasses.replace(snapshot, state={name: leaf[:, :1] for name, leaf in snapshot.state.items()})
    with pytest.raises(ValueError, match="changed or damaged"):
        listener.restore(cut)
    assert before + listener.feed(bursts(0.3)[3000:]) + listener.finish() == hear(Listener(model), [bursts(0.3)])


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, np.array])
def test_settings_may_be_numbers_of_numpy(loudness, number):
    plain = {"threshold": 1.0, "min_silence_ms": 200.0, "off_threshold": 1.0}
    listener = Listener(loudness, **{name: number(value) for name, value in plain.items()})
    Listener(loudness, **plain).restore(sent(listener.snapshot()))
