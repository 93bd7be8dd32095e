"""Timing calls against each other, so that a busy or throttled machine disturbs all of them alike."""

import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from streamrnn.bench.tables import rounded

Times = Float[np.ndarray, "rounds calls"]
Name = TypeVar("Name", bound=Hashable)

MOST_CALLS = 200  # of a turn


def interleaved(
    tasks: Mapping[Name, Callable[[], object]],
    rounds: int,
    calls: int | Mapping[Name, int],
    warm_up: bool = True,
) -> dict[Name, Times]:
    """Seconds of each call, float64[rounds, calls] per task: in every round each task runs `calls` times in a row.

    The order of the tasks turns around from round to round, and the garbage collector rests while calls are timed. One
    round before the first compiles and warms up, unless tasks have run already; it does not count.

    Raises:
        ValueError: rounds or calls is below 1.
    """
    each = {name: calls if isinstance(calls, int) else calls[name] for name in tasks}
    if rounds < 1 or min(each.values(), default=1) < 1:
        raise ValueError(f"interleaved got {rounds} rounds of {calls} calls; both must be 1 or more.")
    times = {name: np.empty((rounds, each[name])) for name in tasks}
    order = list(tasks)
    with _no_collection():
        for round_ in range(-1 if warm_up else 0, rounds):
            for name in order:
                turn = [_timed(tasks[name]) for _ in range(each[name])]
                if round_ >= 0:
                    times[name][round_] = turn
            order.reverse()
    return times


def taking_turns(tasks: Mapping[Name, Callable[[], object]], rounds: int, turn_s: float) -> dict[Name, Times]:
    """`interleaved` for calls of very different length: as many calls as fit into a turn of about `turn_s`.

    One at least, MOST_CALLS at most. Each task runs twice before: the first call compiles and warms up, the second
    tells how long it takes.
    """
    calls = {name: _fitting(task, turn_s) for name, task in tasks.items()}
    return interleaved(tasks, rounds, calls, warm_up=False)


def summary(times: Times) -> dict[str, float]:
    """In microseconds: median and 99th percentile of all calls, their ratio, and the 10th and 90th percentile of the
    medians of the rounds, which tell their spread."""
    p50, p99 = np.percentile(1e6 * times, [50, 99])
    p10, p90 = np.percentile(1e6 * np.median(times, axis=1), [10, 90])
    figures = {"p50_us": p50, "p99_us": p99, "p10_us": p10, "p90_us": p90, "p99_over_p50": p99 / p50}
    return {name: rounded(value, 4) for name, value in figures.items()}


def ratio(times: Times, to: Times) -> dict[str, float]:
    """How many times as long as `to`: the ratio of the medians of each round; its median, 10th and 90th percentile.

    Both are to come from one `interleaved` run.
    """
    low, middle, high = np.percentile(np.median(times, axis=1) / np.median(to, axis=1), [10, 50, 90])
    return {"median": round(middle, 3), "p10": round(low, 3), "p90": round(high, 3)}


def _fitting(task: Callable[[], object], turn_s: float) -> int:
    task()
    return int(np.clip(turn_s / _timed(task), 1, MOST_CALLS))


def _timed(task: Callable[[], object]) -> float:
    started = perf_counter()
    task()
    return perf_counter() - started


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


__all__ = ["Times", "interleaved", "ratio", "summary", "taking_turns"]
