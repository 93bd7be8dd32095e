"""What a pool tells about itself."""

import numpy as np
import pytest

from streamrnn.runtime import Pool
from streamrnn.runtime.pool_statistics import PoolLedger


def test_statistics_tell_who_is_there_who_waits_and_how_fast_it_goes(model, bursts):
    pool = Pool(model, capacity=20)
    before = pool.statistics
    assert (before.streams, before.capacity, before.missed_deadlines, before.queue_age_ms) == (0, 20, 0, 0.0)
    assert np.isnan([before.real_time_factor, before.tick_p50_ms, before.queue_age_p99_ms]).all()
    stream = pool.open()
    stream.feed(bursts(0.2))
    waiting = pool.statistics
    assert waiting.streams == 1 and waiting.queue_age_ms > 0
    while pool.tick():
        pass
    after = pool.statistics
    assert after.queue_age_ms == 0 and after.queue_age_p99_ms >= waiting.queue_age_ms
    assert 0 < after.tick_p50_ms <= after.tick_p99_ms and after.real_time_factor > 0


def test_a_tick_that_takes_longer_than_its_sound_lasts_misses_the_deadline():
    ledger = PoolLedger()
    ledger.add(elapsed_s=0.09, longest_s=0.1, sound_s=1.0, age_s=0.05)
    ledger.add(elapsed_s=0.11, longest_s=0.1, sound_s=1.0, age_s=0.07)
    found = ledger.statistics(10, 16, np.zeros(0))
    assert (found.missed_deadlines, found.real_time_factor) == (1, pytest.approx(0.1))
    assert (found.tick_p50_ms, found.queue_age_p99_ms) == (pytest.approx(100), pytest.approx(69.8))
