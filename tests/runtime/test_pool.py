"""A pool: every stream in it as if it were alone, whoever comes, goes, falls behind or breaks beside it."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from flax import nnx

from streamrnn.audio import AudioError
from streamrnn.models import Transducer, TransducerSettings
from streamrnn.runtime import Listener, Pool, QueueFull

RATES = [16_000, 8_000, 44_100]


def drained(pool):
    """The answers of as many ticks as it takes until nothing waits."""
    answers = []
    while new := pool.tick():
        answers += new
    return answers


def events_of(stream, answers):
    return [event for answer in answers if answer.stream is stream for event in answer.events]


def outputs_of(stream, answers):
    found = [answer.outputs for answer in answers if answer.stream is stream]
    return np.concatenate(found) if found else None


def without_scores(events):
    """Scores are means of outputs, which are equal to 1e-5; all else is equal exactly."""
    return [replace(event, score=0.0) for event in events]


def assert_heard_as_alone(stream, answers, model, sound, sample_rate=None):
    listener = Listener(model, sample_rate)
    events = listener.feed(sound)
    outputs = listener.outputs
    events += listener.finish()
    heard = events_of(stream, answers)
    assert without_scores(heard) == without_scores(events)
    assert [event.score for event in heard] == pytest.approx([event.score for event in events], abs=1e-5)
    np.testing.assert_allclose(
        outputs_of(stream, answers), np.concatenate([outputs, listener.outputs]), rtol=0, atol=1e-5
    )


@pytest.fixture(scope="module")
def pool(model):
    """One for many tests, each of which leaves it empty."""
    return Pool(model, capacity=20)


@pytest.fixture
def empty_pool(pool):
    yield pool
    for stream in pool.streams:
        stream.close()


# What happens to one of the streams: so many samples come, or the pool ticks.
ARRIVALS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 160, 441]) | st.integers(0, 6000)), max_size=40)


@hypothesis.given(arrivals=ARRIVALS, rates=st.tuples(*[st.sampled_from(RATES)] * 4))
def test_each_stream_is_heard_as_if_it_were_alone(pool, model, bursts, arrivals, rates):
    streams, answers = [pool.open(rate) for rate in rates], []
    sounds = [bursts(1.0, rate)[: rate * (i + 4) // 8] for i, rate in enumerate(rates)]
    fed = [0] * len(rates)
    for which, samples in arrivals:
        if which == len(rates):
            answers += pool.tick()
        elif fed[which] + samples <= len(sounds[which]):
            streams[which].feed(sounds[which][fed[which] : fed[which] + samples])
            fed[which] += samples
    for stream, sound, start in zip(streams, sounds, fed, strict=True):
        answers += drained(pool) if stream.queued_s > 0.2 else []
        stream.feed(sound[start:])
        stream.finish()
    answers += drained(pool)
    for stream, sound, rate in zip(streams, sounds, rates, strict=True):
        assert_heard_as_alone(stream, answers, model, sound, rate)
        stream.close()


def test_models_of_any_stride_and_look_ahead_are_heard_as_alone(any_model, bursts):
    pool, sound = Pool(any_model, capacity=2, queue_s=2.0, warm_up=False), bursts(1.5)
    streams = [pool.open(), pool.open(44_100)]
    streams[0].feed(sound)
    streams[1].feed(bursts(1.5, 44_100, channels=2))
    for stream in streams:
        stream.finish()
    answers = drained(pool)
    assert len(events_of(streams[0], answers)) >= 2
    assert_heard_as_alone(streams[0], answers, any_model, sound)
    assert_heard_as_alone(streams[1], answers, any_model, bursts(1.5, 44_100, channels=2), 44_100)


def test_streams_come_and_go_and_nothing_is_compiled(model, bursts, compilations):
    Pool(model, capacity=20)
    with compilations() as compiled:
        pool = Pool(model, capacity=20)
        first = [pool.open(rate) for rate in RATES]
        for stream in first:
            stream.feed(bursts(0.2, stream.sample_rate))
        drained(pool)
        moved = first[0].snapshot()
        first[0].close()
        second = [pool.open() for _ in range(18)]
        second[0].restore(moved)
        for stream in pool.streams:
            stream.feed(bursts(0.1, stream.sample_rate))
        second[1].reset()
        first[1].finish()
        drained(pool)
    assert compiled == []


def test_the_programs_of_a_pool_go_with_its_model(new_model, bursts):
    model = new_model()
    pool = Pool(model, capacity=1, warm_up=False)
    pool.open().feed(bursts(0.1))
    pool.tick()
    programs = weakref.ref(pool._rows._programs)
    del pool
    assert programs() is not None
    del model
    gc.collect()
    assert programs() is None


def test_idle_streams_keep_their_state_bit_for_bit(empty_pool, bursts):
    idle, busy = empty_pool.open(), empty_pool.open()
    idle.feed(bursts(0.1)[:1000])
    drained(empty_pool)
    before = idle.snapshot()
    busy.feed(bursts(0.5))
    drained(empty_pool)
    after = idle.snapshot()
    assert len(before.inlet["waiting"]) == 1000 % 160
    np.testing.assert_array_equal(before.inlet["waiting"], after.inlet["waiting"])
    for name, leaf in before.state.items():
        np.testing.assert_array_equal(leaf, after.state[name])


def test_one_tick_advances_a_stream_by_16_blocks_at_most(empty_pool, bursts):
    behind, keeping_up = empty_pool.open(), empty_pool.open()
    behind.feed(bursts(0.5))
    keeping_up.feed(bursts(0.01))
    assert [(a.stream, len(a.outputs)) for a in empty_pool.tick()] == [(behind, 13), (keeping_up, 0)]
    assert behind.queued_s == pytest.approx(0.34)
    assert [(a.stream, len(a.outputs)) for a in drained(empty_pool)] == [(behind, 16), (behind, 16), (behind, 2)]


def test_a_stream_that_is_reset_or_takes_over_a_slot_begins_afresh(empty_pool, model, bursts):
    sound = bursts(0.7)
    reset = empty_pool.open()
    left = empty_pool.open()
    for stream in (reset, left):
        stream.feed(bursts(0.333)[::-1].copy())
    empty_pool.tick()
    reset.reset()
    left.close()
    successor = empty_pool.open()
    answers = []
    for stream in (reset, successor):
        assert stream.duration_s == 0
        stream.feed(sound)
        stream.finish()
    answers += drained(empty_pool)
    for stream in (reset, successor):
        assert_heard_as_alone(stream, answers, model, sound)


def test_a_finished_stream_answers_once_more_and_takes_no_more_sound(empty_pool, bursts):
    stream = empty_pool.open()
    stream.feed(bursts(0.2))
    stream.finish()
    stream.finish()
    assert [answer.finished for answer in drained(empty_pool)] == [False, True]
    with pytest.raises(RuntimeError, match=r"Call reset\(\)"):
        stream.feed(bursts(0.1))
    stream.reset()
    stream.feed(bursts(0.1))
    assert not any(answer.finished for answer in drained(empty_pool))


@pytest.mark.parametrize("samples", [0, 160])
def test_a_stream_that_ends_with_nothing_under_way_still_has_a_last_answer(models, bursts, samples):
    pool = Pool(models["not looking ahead"], capacity=1, warm_up=False)
    stream = pool.open()
    stream.feed(bursts(1)[:samples])
    heard = drained(pool)
    stream.finish()
    (last,) = drained(pool)
    assert last.finished and last.outputs.shape == (0, 1)
    assert len(heard) == samples // 160


def test_speech_that_is_open_at_the_end_ends_with_the_sound(loudness, tone_between):
    pool = Pool(loudness, capacity=1, warm_up=False)
    stream = pool.open()
    stream.feed(tone_between([(0.2, 0.505)], 0.505))
    stream.finish()
    start, end = events_of(stream, drained(pool))
    assert (start.kind, end.kind) == ("speech_start", "speech_end")
    assert end.end_s == end.decided_s == 0.505


def test_what_is_concluded_ends_where_it_was_heard_and_not_where_it_waits(loudness, tone_between):
    pool = Pool(loudness, capacity=1, queue_s=2.0, warm_up=False)
    stream = pool.open()
    sound = tone_between([(0.2, 1.0)], 1.0)
    half = len(sound) // 2
    stream.feed(sound[:half])
    drained(pool)
    stream.feed(sound[half:])
    [end] = stream.conclude()
    assert (end.kind, end.end_s, end.decided_s) == ("speech_end", 0.5, 0.5)
    start = events_of(stream, drained(pool))[0]
    assert start.kind == "speech_start" and 0.5 <= start.start_s <= start.decided_s


def test_decision_settings_are_each_stream_s_own(loudness, tone_between):
    pool = Pool(loudness, capacity=2, queue_s=2.0, warm_up=False)
    usual, quick = pool.open(), pool.open(min_speech_ms=30, min_silence_ms=50)
    for stream in (usual, quick):
        stream.feed(tone_between([(0.2, 0.4), (0.6, 0.8)], 1.2))
    answers = drained(pool)
    assert [len(events_of(stream, answers)) for stream in (usual, quick)] == [2, 4]


@pytest.mark.parametrize("rate", RATES)
def test_a_full_queue_refuses_a_chunk_as_a_whole(empty_pool, model, bursts, rate):
    sound = bursts(1.3, rate)
    first, last = np.split(sound, [rate * 9 // 10])
    stream = empty_pool.open(rate)
    stream.feed(first)
    queued_s = stream.queued_s
    with pytest.raises(QueueFull, match=r"chunk of 0\.400 s came; the limit is 1\.000 s\. .* Pool\.tick\(\)"):
        stream.feed(last)
    assert (stream.queued_s, stream.duration_s) == (queued_s, 0.9)
    answers = empty_pool.tick()
    answers += drained(empty_pool)
    stream.feed(last)
    stream.finish()
    answers += drained(empty_pool)
    assert_heard_as_alone(stream, answers, model, sound, rate)


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000])
def test_a_stream_whose_queue_is_full_can_be_finished(models, bursts, rate):
    model = models["of stride 2"]
    pool, sound = Pool(model, capacity=1, queue_s=0.1, warm_up=False), bursts(0.1, rate)
    stream = pool.open(rate)
    while True:
        try:
            stream.feed(sound[:7])
        except QueueFull:
            break
    stream.finish()
    assert len(outputs_of(stream, drained(pool))) == np.ceil(stream.duration_s / model.frame_s)


def test_a_bad_chunk_is_refused_as_a_whole_and_the_stream_goes_on(empty_pool, model, bursts):
    sound = bursts(0.6, 44_100)
    stream, answers = empty_pool.open(44_100), []
    for chunk in np.split(sound, 3):
        with pytest.raises(AudioError, match="NaN"):
            stream.feed(np.array([0.1, np.nan]))
        stream.feed(chunk)
        answers += empty_pool.tick()
    stream.finish()
    answers += drained(empty_pool)
    assert_heard_as_alone(stream, answers, model, sound, 44_100)


def test_a_stream_whose_outputs_are_no_numbers_leaves_the_others_alone(empty_pool, model, bursts):
    broken, sane = empty_pool.open(), empty_pool.open()
    snapshot = broken.snapshot()
    nan = {
        name: np.full_like(leaf, np.nan) if leaf.dtype.kind == "f" else leaf for name, leaf in snapshot.state.items()
    }
    broken.restore(replace(snapshot, state=nan))
    for stream in (broken, sane):
        stream.feed(bursts(0.5))
        stream.finish()
    answers = drained(empty_pool)
    assert all("NaN" in str(answer.error) for answer in answers if answer.stream is broken and len(answer.outputs))
    assert_heard_as_alone(sane, answers, model, bursts(0.5))


def test_a_slot_is_free_again_once_its_stream_is_closed(model):
    pool = Pool(model, capacity=20, warm_up=False)
    streams = [pool.open() for _ in range(20)]
    with pytest.raises(RuntimeError, match=r"All 20 slots .* Close a stream, or make room with Pool\.grow\(\)"):
        pool.open()
    streams[7].close()
    streams[7].close()
    assert pool.open() in pool.streams
    assert streams[7] not in pool.streams
    with pytest.raises(RuntimeError, match=r"Pool\.open\(\)"):
        streams[7].feed(np.zeros(160))


def test_a_stream_that_cannot_be_opened_takes_no_slot(empty_pool):
    with pytest.raises(AudioError, match="4000"):
        empty_pool.open(4000)
    with pytest.raises(TypeError, match="treshold"):
        empty_pool.open(treshold=0.5)
    assert empty_pool.streams == []


def test_a_pool_that_grows_loses_no_stream_and_no_sound(model, bursts):
    pool = Pool(model, capacity=2, warm_up=False)
    sounds = [bursts(0.7), bursts(0.7)[::-1].copy()]
    streams, answers = [pool.open(), pool.open()], []
    for stream, sound in zip(streams, sounds, strict=True):
        stream.feed(sound[:5555])
    answers += pool.tick()
    pool.grow()
    assert pool.capacity == 4
    streams += [pool.open(), pool.open()]
    for stream, sound in zip(streams, [sounds[0][5555:], sounds[1][5555:], sounds[1], sounds[0]], strict=True):
        stream.feed(sound)
        stream.finish()
    answers += drained(pool)
    for stream, sound in zip(streams, [*sounds, *reversed(sounds)], strict=True):
        assert_heard_as_alone(stream, answers, model, sound)
    with pytest.raises(ValueError, match="above 4"):
        pool.grow(4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"capacity": 0}, "at least one slot"),
        ({"queue_s": 0.001}, r"one block is 0\.01 s"),
        ({"devices": []}, "device"),
    ],
)
def test_a_pool_that_could_hold_nothing_is_refused(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        Pool(model, **wrong)


def test_what_is_said_is_written_as_by_a_lone_listener(bursts):
    settings = TransducerSettings(mels=8, channels=4, hidden=8, layers=1, lookahead_frames=1)
    model = Transducer(settings, rngs=nnx.Rngs(0))
    pool, sound = Pool(model, capacity=1, queue_s=2.0, warm_up=False), bursts(1.5)
    stream = pool.open()
    stream.feed(sound)
    stream.finish()
    answers = drained(pool)
    assert {"partial", "word", "endpoint"} <= {event.kind for event in events_of(stream, answers)}
    assert_heard_as_alone(stream, answers, model, sound)


def test_streams_are_fed_while_another_thread_ticks(model, bursts):
    pool, sound, answers, over = Pool(model, capacity=20, queue_s=2.0), bursts(1.2), [], threading.Event()
    streams = [pool.open() for _ in range(8)]

    def tick():
        while not over.is_set():
            answers.extend(pool.tick())

    def feed(stream):
        for chunk in np.array_split(sound, 97):
            stream.feed(chunk)
        stream.finish()

    with ThreadPoolExecutor(9) as threads:
        ticking = threads.submit(tick)
        for feeding in [threads.submit(feed, stream) for stream in streams]:
            feeding.result()
        over.set()
        ticking.result()
    answers += drained(pool)
    for stream in streams:
        assert_heard_as_alone(stream, answers, model, sound)
