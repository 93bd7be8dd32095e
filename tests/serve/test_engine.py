"""The thread that ticks: what is ordered is done, in order, and the event loop is never held up."""

import asyncio
import threading
from functools import partial

import numpy as np
import pytest

from streamrnn.audio import StreamingResampler
from streamrnn.runtime import QueueFull
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.engine import MOST_ORDERS, Engine
from streamrnn.serve.listen import web_server
from streamrnn.serve.metrics import Metrics

SETTINGS = ServerSettings(max_streams=32)


@pytest.fixture
def with_engine(loudness):
    """with_engine(work): runs the coroutine function `work` with an engine that has started."""

    def run(work, settings=SETTINGS):
        async def started():
            engine = Engine("loudness", loudness, settings, Metrics())
            await engine.start()
            try:
                return await work(engine)
            finally:
                await engine.stop()

        return asyncio.run(asyncio.wait_for(started(), 20))

    return run


def test_answers_come_in_the_event_loop(with_engine):
    async def work(engine):
        stream, answers = await engine.open(None, {}), asyncio.Queue()
        engine.hear(stream, lambda answer: answers.put_nowait((answer, threading.current_thread())))
        stream.feed(np.zeros(1600, np.float32))
        return await answers.get()

    answer, thread = with_engine(work)
    assert len(answer.outputs) > 0 and thread is threading.main_thread()


def test_orders_are_carried_out_in_order_by_the_engines_thread(with_engine):
    async def work(engine):
        done = []
        orders = [engine.run(partial(done.append, i)) for i in range(20)]
        thread = await engine.run(threading.current_thread)
        assert all(order.done() for order in orders)
        return done, thread

    done, thread = with_engine(work)
    assert done == list(range(20)) and thread.name == "streamrnn loudness"


def test_what_an_order_raises_is_raised_to_whoever_gave_it(with_engine):
    async def work(engine):
        with pytest.raises(TypeError):
            await engine.open(None, {"volume": 1.0})
        return await engine.open(8000, {})

    assert with_engine(work).sample_rate == 8000


def test_a_stream_that_nobody_waits_for_any_more_gives_its_slot_back(with_engine):
    async def work(engine):
        held = threading.Event()
        engine.run(held.wait)
        opening = asyncio.create_task(engine.open(None, {}))
        await asyncio.sleep(0.01)
        opening.cancel()
        held.set()
        await asyncio.wait({opening})
        # Two orders later: the opening, and the closing that it ordered.
        for _ in range(2):
            await engine.run(lambda: None)
            await asyncio.sleep(0)
        return engine.statistics.streams

    assert with_engine(work) == 0


def test_room_is_made_up_to_the_limit_and_no_further(with_engine, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.engine.FIRST_CAPACITY", 1)

    async def work(engine):
        for _ in range(3):
            await engine.open(None, {})
        with pytest.raises(RuntimeError, match="taken"):
            await engine.open(None, {})
        return engine.statistics

    statistics = with_engine(work, ServerSettings(max_streams=3))
    assert (statistics.streams, statistics.capacity) == (3, 3)


def test_a_hearer_that_fails_is_told_so_and_the_others_hear(with_engine, caplog):
    async def work(engine):
        heard = []

        def broken(answer):
            heard.append(answer)
            if answer is not None:
                raise RuntimeError("no ears")

        first, second = [await engine.open(None, {}) for _ in range(2)]
        answers = asyncio.Queue()
        engine.hear(first, broken)
        engine.hear(second, answers.put_nowait)
        for stream in (first, second):
            stream.feed(np.zeros(1600, np.float32))
        return heard, await answers.get()

    heard, answer = with_engine(work)
    assert heard[1] is None and answer.error is None
    assert "answer lost" in caplog.text


def test_an_engine_without_streams_does_nothing(with_engine, monkeypatch):
    ticks = []
    monkeypatch.setattr(Engine, "_tick", lambda self: ticks.append(1))

    async def work(engine):
        await asyncio.sleep(0.15)
        idle = len(ticks)
        await engine.open(None, {})
        await asyncio.sleep(0.15)
        return idle

    assert with_engine(work) <= 1
    assert len(ticks) >= 2


def test_what_is_resampled_or_mixed_down_is_so_in_the_engines_thread_and_none_of_it_is_lost(with_engine, monkeypatch):
    threads, process = set(), StreamingResampler.process

    def noted(self, samples):
        threads.add(threading.current_thread().name)
        return process(self, samples)

    monkeypatch.setattr(StreamingResampler, "process", noted)

    async def work(engine):
        stream, answers = await engine.open(44_100, {}, channels=8), asyncio.Queue()
        engine.hear(stream, answers.put_nowait)
        chunk, fed = np.zeros((4410, 8), np.int16), 0
        while fed < 30:
            try:
                engine.feed(stream, chunk)
                fed += 1
            except QueueFull:
                await answers.get()
        assert engine.is_behind(stream)
        await engine.finish(stream)
        while not (await answers.get()).finished:
            pass
        finished_s = stream.duration_s
        await engine.reset(stream)
        engine.feed(stream, chunk)
        await engine.finish(stream)
        while not (await answers.get()).finished:
            pass
        return finished_s, stream.duration_s

    assert with_engine(work) == (3.0, 0.1)
    assert threads == {"streamrnn loudness"}


def test_whoever_waits_for_snapshots_is_answered_also_where_the_engine_fails(with_engine, monkeypatch):
    monkeypatch.setattr(Engine, "_begins_anew", lambda self: False)

    async def work(engine):
        stream, held, found = await engine.open(None, {}), threading.Event(), []
        engine.run(held.wait)
        monkeypatch.setattr(engine, "_tick", lambda: 1 / 0)
        # More than are carried out before the next tick.
        orders = [engine.run(lambda: None) for _ in range(MOST_ORDERS)]
        engine.capture([stream], found.append)
        held.set()
        await asyncio.gather(*orders, return_exceptions=True)
        while not engine.failed:
            await asyncio.sleep(0.001)
        engine.capture([stream], found.append)
        await asyncio.sleep(0.01)
        return found

    assert with_engine(work) == [{}, {}]


def test_what_keeps_a_server_from_starting_is_what_is_raised(loudness, monkeypatch):
    def full(_engine):
        raise MemoryError("the device is full")

    monkeypatch.setattr(Engine, "_make_pool", full)
    app = make_app({"loudness": loudness}, SETTINGS)
    with pytest.raises(MemoryError, match="device is full"):
        asyncio.run(web_server(app, SETTINGS).startup())
