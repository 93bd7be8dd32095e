"""Timing calls against each other, so that a busy or throttled machine disturbs all of them alike."""

import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

import numpy as np
from jaxtyping import Float

Times = Float[np.ndarray, "rounds calls"]
Name = TypeVar("Name", bound=Hashable)


def interleaved(tasks: Mapping[Name, Callable[[], object]], rounds: int, calls: int) -> dict[Name, Times]:
    """Seconds of each call, float64[rounds, calls] per task: in every round each task runs `calls` times in a row.

    The order of the tasks turns around from round to round, and the garbage collector rests while calls are timed. One
    round before the first compiles and warms up; it does not count.

    Raises:
        ValueError: rounds or calls is below 1.
    """
    if rounds < 1 or calls < 1:
        raise ValueError(f"interleaved got {rounds} rounds of {calls} calls; both must be 1 or more.")
    times = {name: np.empty((rounds, calls)) for name in tasks}
    order = list(tasks)
    with _no_collection():
        for round_ in range(-1, rounds):
            for name in order:
                turn = _timed(tasks[name], calls)
                if round_ >= 0:
                    times[name][round_] = turn
            order.reverse()
    return times


def summary(times: Times) -> dict[str, float]:
    """Median, 99th percentile and their ratio, over all rounds, in microseconds."""
    p50, p99 = np.percentile(1e6 * times, [50, 99])
    return {"p50_us": round(p50, 2), "p99_us": round(p99, 2), "p99_over_p50": round(p99 / p50, 3)}


def ratio(times: Times, to: Times) -> dict[str, float]:
    """How many times as long as `to`: the ratio of the medians of each round; its median, 10th and 90th percentile.

    Both are to come from one `interleaved` run.
    """
    low, middle, high = np.percentile(np.median(times, axis=1) / np.median(to, axis=1), [10, 50, 90])
    return {"median": round(middle, 3), "p10": round(low, 3), "p90": round(high, 3)}


def _timed(task: Callable[[], object], calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        started = perf_counter()
        task()
        seconds.append(perf_counter() - started)
    return seconds


@contextmanager
def _no_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


__all__ = ["Times", "interleaved", "ratio", "summary"]
