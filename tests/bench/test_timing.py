import gc
from time import sleep

import numpy as np
import pytest

from streamrnn.bench import timing
from streamrnn.bench.timing import interleaved, ratio, summary, taking_turns


def test_tasks_take_turns_and_turn_their_order_around():
    calls: list[str] = []
    interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, calls=2)
    warm_up, first, second = "aabb", "bbaa", "aabb"
    assert "".join(calls) == warm_up + first + second


def test_the_slower_task_has_the_longer_times():
    times = interleaved({"slow": lambda: sleep(0.002), "fast": lambda: None}, rounds=2, calls=3)
    assert times["slow"].shape == times["fast"].shape == (2, 3)
    assert times["slow"].min() >= 0.002 > times["fast"].min() > 0


def test_the_garbage_collector_rests_while_calls_are_timed_and_only_then():
    seen: set[bool] = set()
    interleaved({"call": lambda: seen.add(gc.isenabled())}, rounds=1, calls=1)
    assert seen == {False}
    assert gc.isenabled()


def test_the_garbage_collector_comes_back_when_a_call_fails():
    with pytest.raises(ZeroDivisionError):
        interleaved({"call": lambda: 1 // 0}, rounds=1, calls=1)
    assert gc.isenabled()


@pytest.mark.parametrize(("rounds", "calls"), [(0, 1), (1, 0)])
def test_at_least_one_round_of_one_call_is_needed(rounds: int, calls: int):
    with pytest.raises(ValueError, match=f"got {rounds} rounds of {calls} calls; both must be 1 or more"):
        interleaved({"call": lambda: None}, rounds, calls)


def test_a_summary_is_in_microseconds():
    times = np.linspace(0, 100e-6, 101)[None]
    assert summary(times) == {"p50_us": 50.0, "p99_us": 99.0, "p10_us": 50.0, "p90_us": 50.0, "p99_over_p50": 1.98}


def test_a_ratio_compares_the_two_tasks_round_by_round():
    machine_speed = np.array([1.0, 5.0, 2.0])[:, None]
    times, to = 3e-5 * machine_speed * np.ones((3, 4)), 1e-5 * machine_speed * np.ones((3, 4))
    assert ratio(times, to) == {"median": 3.0, "p10": 3.0, "p90": 3.0}


def test_one_slow_call_does_not_move_a_ratio():
    times = np.ones((5, 9))
    times[2, 3] = 1000
    assert ratio(times, np.ones((5, 9)))["p90"] == 1.0


def test_slow_calls_get_one_per_turn_and_fast_ones_as_many_as_fit(monkeypatch: pytest.MonkeyPatch):
    clock = 0.0

    def lasting(seconds: float):
        def task() -> None:
            nonlocal clock
            clock += seconds

        return task

    monkeypatch.setattr(timing, "perf_counter", lambda: clock)
    turns = taking_turns({"fast": lasting(0.25), "slow": lasting(5.0)}, rounds=3, turn_s=1.0)
    assert [len(turn) for turn in turns["fast"]] == [4, 4, 4]
    assert turns["slow"].tolist() == [[5.0]] * 3
    with pytest.raises(ValueError, match="0 rounds"):
        taking_turns({}, rounds=0, turn_s=1.0)
