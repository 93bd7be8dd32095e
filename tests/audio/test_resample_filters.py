"""The filters of resamplers: designed once, shared, kept within bounds."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streamrnn.audio import StreamingResampler

# Not by name: the room exports a function that is called as the module is.
resampling = sys.modules[StreamingResampler.__module__]

RATES = (8_000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)


def test_filters_of_all_usual_rates_are_designed_once(monkeypatch):
    designs, designed = resampling._Designs(resampling.MOST_KEPT_BYTES), []
    design = resampling._design
    monkeypatch.setattr(resampling, "_design", lambda *rates: designed.append(rates) or design(*rates))
    for _ in range(3):
        for rate in RATES:
            designs.of(rate, 16_000)
            designs.of(16_000, rate)
    assert sorted(designed) == sorted({*((rate, 16_000) for rate in RATES), *((16_000, rate) for rate in RATES)})


def test_filters_are_kept_within_bounds_those_used_last(monkeypatch):
    monkeypatch.setattr(resampling, "_design", lambda *_: (np.zeros(250, np.float32), 0))
    designs = resampling._Designs(most_bytes=3000)
    first, second, third = (designs.of(rate, 16_000)[0] for rate in (8000, 9000, 10_000))
    assert designs.of(8000, 16_000)[0] is first
    designs.of(11_000, 16_000)
    assert designs.of(8000, 16_000)[0] is first
    assert designs.of(10_000, 16_000)[0] is third
    assert designs.of(9000, 16_000)[0] is not second


def test_threads_that_need_the_same_filters_share_one_design_and_others_do_not_wait(monkeypatch):
    begun, released, designed = threading.Event(), threading.Event(), []

    def design(*rates):
        designed.append(rates)
        if rates == (8000, 16_000):
            begun.set()
            assert released.wait(10)
        return np.zeros(1, np.float32), 0

    monkeypatch.setattr(resampling, "_design", design)
    designs = resampling._Designs(1000)
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(designs.of, 8000, 16_000)
        assert begun.wait(10)
        same = threads.submit(designs.of, 8000, 16_000)
        designs.of(9000, 16_000)
        released.set()
        assert slow.result() is same.result()
    assert designed == [(8000, 16_000), (9000, 16_000)]


def test_a_design_that_failed_is_tried_again(monkeypatch):
    outcomes = iter([MemoryError("no room"), (np.zeros(1, np.float32), 0)])

    def design(*_):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(resampling, "_design", design)
    designs = resampling._Designs(1000)
    with pytest.raises(MemoryError):
        designs.of(8000, 16_000)
    assert designs.of(8000, 16_000)[1] == 0
