"""Streams move: between pools, and between a pool and a lone Listener, and nobody hears it."""

from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from flax import nnx

from streamrnn.layers import Dense
from streamrnn.models import Model
from streamrnn.runtime import Listener, Pool, Snapshot


class Pooled:
    """A stream of a pool, to be used like a Listener."""

    def __init__(self, model, sample_rate):
        self.pool = Pool(model, capacity=20, warm_up=False)
        self.pool.open()
        self.stream = self.pool.open(sample_rate)
        self.snapshot, self.restore = self.stream.snapshot, self.stream.restore

    def feed(self, chunk):
        self.stream.feed(chunk)
        return self._events()

    def finish(self):
        self.stream.finish()
        return self._events()

    def _events(self):
        events = []
        while answers := self.pool.tick():
            events += [event for answer in answers for event in answer.events]
        return events


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
@hypothesis.settings(max_examples=8)
@hypothesis.given(cuts=st.lists(st.integers(0, 1200), min_size=3, max_size=3), first=st.booleans())
def test_a_stream_moves_between_pools_and_listeners(model, bursts, hear, sample_rate, cuts, first):
    sound = bursts(1.2, sample_rate)
    ways = [Pooled, Pooled, Listener, Pooled] if first else [Listener, Pooled, Listener, Listener]
    events, snapshot = [], None
    for way, part in zip(ways, np.split(sound, [cut * sample_rate // 1000 for cut in sorted(cuts)]), strict=True):
        listener = way(model, sample_rate)
        if snapshot is not None:
            listener.restore(snapshot)
        for half in np.array_split(part, 2):
            events += listener.feed(half)
        snapshot = Snapshot.from_bytes(listener.snapshot().to_bytes())
    events += listener.finish()
    expected = hear(Listener(model, sample_rate), [sound])
    assert len(expected) >= 4
    assert [replace(event, score=0.0) for event in events] == [replace(event, score=0.0) for event in expected]


def test_a_snapshot_lies_between_blocks(model, bursts):
    pool = Pool(model, capacity=3, warm_up=False)
    stream = pool.open()
    stream.feed(bursts(0.25))
    with pytest.raises(RuntimeError, match=r"0\.250 s .* Call Pool\.tick\(\) until"):
        stream.snapshot()
    pool.tick()
    with pytest.raises(RuntimeError, match=r"0\.090 s"):
        stream.snapshot()
    pool.tick()
    assert stream.snapshot().inlet["taken"] == 4000


def test_the_snapshot_of_a_finished_stream_is_flushed(model, bursts):
    pooled = Pooled(model, 16_000)
    pooled.feed(bursts(0.1))
    pooled.finish()
    listener, other = Listener(model), Pooled(model, 16_000)
    for copy in (listener, other):
        copy.restore(pooled.snapshot())
        with pytest.raises(RuntimeError, match="reset"):
            copy.feed(bursts(0.1))


def test_what_waits_is_forgotten_when_another_state_is_restored(model, bursts, hear):
    pooled, sound = Pooled(model, None), bursts(0.7)
    fresh = pooled.snapshot()
    pooled.stream.feed(bursts(0.333))
    pooled.restore(fresh)
    assert pooled.stream.queued_s == pooled.stream.duration_s == 0
    assert [event.start_s for event in hear(pooled, [sound])] == [e.start_s for e in hear(Listener(model), [sound])]


def test_foreign_and_damaged_snapshots_are_refused_and_leave_no_trace(model, new_model, bursts, hear):
    pooled, sound = Pooled(model, None), bursts(0.7)
    events = pooled.feed(sound[:5555])
    whole = Listener(model).snapshot()
    damaged = [
        {"state": {name: leaf[:, :1] for name, leaf in whole.state.items()}},
        {"inlet": whole.inlet | {"waiting": np.zeros(160, np.float32)}},
    ]
    refused = [
        (Listener(new_model(seed=2)).snapshot(), "Restore it into a stream of the model that it was taken from"),
        (Listener(model, 8_000).snapshot(), "sample_rate=8000"),
        *((replace(whole, **damage), "changed or damaged") for damage in damaged),
        (replace(whole, outlet={}), "needs"),
    ]
    for snapshot, message in refused:
        with pytest.raises(ValueError, match=message):
            pooled.restore(snapshot)
    heard = events + hear(pooled, [sound[5555:]])
    assert [replace(e, score=0.0) for e in heard] == [replace(e, score=0.0) for e in hear(Listener(model), [sound])]


def test_many_snapshots_at_once_are_those_of_each_but_for_streams_with_a_block_waiting(loudness):
    pool, rng = Pool(loudness, capacity=20, warm_up=False), np.random.default_rng(0)
    streams = [pool.open() for _ in range(19)]
    for number, stream in enumerate(streams):
        stream.feed(rng.uniform(-0.3, 0.3, 1600 + 7 * number).astype(np.float32))
    pool.tick()
    streams[3].feed(np.zeros(1600, np.float32))
    streams[5].finish()
    streams[7].close()
    found = pool.snapshots(streams)
    assert found.keys() == set(streams) - {streams[3], streams[5], streams[7]}
    assert all(snapshot.to_bytes() == stream.snapshot().to_bytes() for stream, snapshot in found.items())


@pytest.mark.parametrize("hop_samples", [160, 441, 480, 490])
def test_a_stream_is_behind_from_the_last_sample_of_a_block_until_it_is_answered(hop_samples):
    head = Dense(hop_samples, 1, rngs=nnx.Rngs(0))
    own = Model.of(head, sample_rate=16_000, hop_samples=hop_samples, readout="sigmoid")
    pool = Pool(own, capacity=1, warm_up=False)
    stream = pool.open()
    stream.feed(np.zeros(hop_samples - 1, np.float32))
    assert not stream.is_behind
    stream.feed(np.zeros(1, np.float32))
    assert stream.is_behind
    pool.tick()
    assert not stream.is_behind
