"""Whatever fails in a pool, wherever it fails: what was asked for has happened as a whole or not at all."""

import contextlib
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

import streamrnn.runtime
from streamrnn.models import Denoising, DenoisingSettings
from streamrnn.runtime import Enhancer, Listener, Pool

ROOM = str(Path(streamrnn.runtime.__file__).parent)
# What begins when all is done: handing outputs to an outlet, which answers with what it raises, and letting Ctrl-C in.
AFTERWARDS = ("given_together", "_hear", "__exit__")


class Injected(Exception):
    """Of this test."""


class failing:
    """A context manager: the n-th call of a function of the runtime raises. `reached` says whether there were so many.

    Tracing sees every call, so that no step of a change is forgotten.
    """

    def __init__(self, n):
        self.left, self.reached = n, False

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def _trace(self, frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(ROOM) and code.co_name not in AFTERWARDS:
            self.left -= 1
            if self.left == 0:
                self.reached = True
                raise Injected
        return None


def interrupting(n):
    """Ctrl-C at the n-th line of the runtime."""

    class Interrupting(failing):
        def _trace(self, frame, event, argument):
            if not frame.f_code.co_filename.startswith(ROOM):
                return None
            self.left -= event == "line"
            if self.left == 0:
                self.left, self.reached = -1, True
                signal.raise_signal(signal.SIGINT)
            return self._trace

    return Interrupting(n)


def drained(pool):
    answers = []
    while new := pool.tick():
        answers += new
    return answers


def outputs_of(stream, answers):
    return np.concatenate([answer.outputs for answer in answers if answer.stream is stream])


@pytest.fixture(scope="module")
def denoiser():
    return Denoising(DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8), rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def expected(model, bursts):
    """The outputs of a stream that hears the first and then the second half of the sound."""
    listener, sound = Listener(model), bursts(0.3)
    listener.feed(sound)
    first = listener.outputs
    listener.finish()
    return np.concatenate([first, listener.outputs])


# What is asked of the pool: (pool, the stream in question, a snapshot of a stream that heard the first half, sound).
CHANGES = {
    "tick": lambda pool, stream, snapshot, rest: pool.tick(),
    "feed": lambda pool, stream, snapshot, rest: stream.feed(rest),
    "open": lambda pool, stream, snapshot, rest: pool.open(44_100),
    "grow": lambda pool, stream, snapshot, rest: pool.grow(),
    "finish": lambda pool, stream, snapshot, rest: stream.finish(),
    "reset": lambda pool, stream, snapshot, rest: stream.reset(),
    "restore": lambda pool, stream, snapshot, rest: stream.restore(snapshot),
    "close": lambda pool, stream, snapshot, rest: stream.close(),
    "snapshot": lambda pool, stream, snapshot, rest: stream.snapshot(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_fails_at_any_step_has_changed_nothing(model, bursts, expected, change):
    sound = bursts(0.3)
    lone = Listener(model)
    lone.feed(sound[:2000])
    warm = Pool(model, capacity=2, warm_up=False)
    warm.open().feed(sound)
    drained(warm)
    warm.grow()
    step = 0
    while True:
        step += 1
        pool = Pool(model, capacity=2, warm_up=False)
        stream, bystander = pool.open(), pool.open()
        if change == "open":
            bystander.close()
        for each in pool.streams:
            each.feed(sound[:2000])
        answers = [] if change in ("tick", "feed") else drained(pool)
        with failing(step) as failure, contextlib.suppress(Injected):
            CHANGES[change](pool, stream, lone.snapshot(), sound[2000:])
        if not failure.reached:
            break
        # As if nothing had been: all go on, and there is as much room as before.
        assert pool.capacity == 2 and len(pool._free) == (change == "open"), step
        for each in pool.streams:
            each.feed(sound[2000:])
            each.finish()
        assert stream in pool.streams
        answers += drained(pool)
        for each in pool.streams:
            np.testing.assert_allclose(outputs_of(each, answers), expected, rtol=0, atol=1e-5, err_msg=f"step {step}")
    assert step > 2


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_denoiser_s_chunk_that_fails_at_any_step_is_not_heard(denoiser, bursts, rate):
    sound = bursts(0.05, rate)
    alone = Enhancer(denoiser, rate, max_attenuation_db=6.0)
    whole = np.concatenate([alone.process(sound), alone.flush()])
    step = 0
    while True:
        step += 1
        pool = Pool(denoiser, capacity=1, warm_up=False)
        stream = pool.open(rate, max_attenuation_db=6.0)
        stream.feed(sound[:300])
        with failing(step) as failure, contextlib.suppress(Injected):
            stream.feed(sound[300:])
        if not failure.reached:
            break
        assert stream.duration_s == 300 / rate
        stream.feed(sound[300:])
        stream.finish()
        heard = np.concatenate([answer.sound for answer in drained(pool)])
        np.testing.assert_allclose(heard, whole, rtol=0, atol=1e-5)
    assert step > 2


@pytest.mark.parametrize("change", ["tick", "open", "reset", "restore", "close", "grow", "finish"])
def test_ctrl_c_at_any_line_leaves_a_pool_whole(model, bursts, expected, change):
    sound = bursts(0.3)
    lone = Listener(model)
    lone.feed(sound[:2000])
    snapshot, step, lost = lone.snapshot(), 0, 0
    while True:
        # Not each line: they are many, and the pool is used anew each time.
        step += 1 if step < 10 else 11
        pool = Pool(model, capacity=3, warm_up=False)
        stream, bystander = pool.open(), pool.open()
        bystander.feed(sound[:2000])
        stream.feed(sound[:2000])
        answers = [] if change == "tick" else drained(pool)
        with interrupting(step) as interrupt:
            try:
                found = CHANGES[change](pool, stream, snapshot, sound[2000:])
                answers += found if change == "tick" else []
            except KeyboardInterrupt:
                pass
        if not interrupt.reached:
            break
        answers += drained(pool)
        bystander.feed(sound[2000:])
        bystander.finish()
        answers += drained(pool)
        heard = outputs_of(bystander, answers)
        lost += len(heard) < len(expected)
        np.testing.assert_allclose(heard, expected[-len(heard) :], rtol=0, atol=1e-5, err_msg=f"line {step}")
        # As many as there were can be had, whatever became of the one in question.
        for left in pool.streams:
            left.close()
        again = [pool.open() for _ in range(pool.capacity)]
        again[-1].feed(sound)
        again[-1].finish()
        np.testing.assert_allclose(outputs_of(again[-1], drained(pool)), expected, rtol=0, atol=1e-5)
    assert step > 10
    # While answers are handed over they are nobody's: two lines of many.
    assert lost <= (change == "tick")


def test_an_outlet_that_fails_in_any_way_fails_alone(model, bursts, monkeypatch):
    pool = Pool(model, capacity=2, warm_up=False)
    broken, sane = pool.open(), pool.open()

    def fail(*_):
        raise IndexError("of a decoder")

    monkeypatch.setattr(broken.outlet.decoder, "push", fail)
    for stream in (broken, sane):
        stream.feed(bursts(0.1))
    by_stream = {answer.stream: answer for answer in pool.tick()}
    assert isinstance(by_stream[broken].error, IndexError)
    assert by_stream[sane].error is None and len(by_stream[sane].outputs)
    broken.reset()
    broken.feed(bursts(0.1))
    assert pool.tick()[0].error is None
