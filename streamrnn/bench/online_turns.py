"""Calls of very different length that take turns: `interleaved` of timing.py, with as many calls as fit into a turn."""

import gc
from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from streamrnn.bench import tables

Name = TypeVar("Name", bound=Hashable)
Turns = list[Float[np.ndarray, " calls"]]

MOST_CALLS = 200


def taking_turns(tasks: Mapping[Name, Callable[[], object]], rounds: int, turn_s: float) -> dict[Name, Turns]:
    """Seconds of each call: per task, float64[calls] for each round.

    In every round each task gets a turn of about `turn_s`: one call at least, MOST_CALLS at most. The order of the
    tasks turns around from round to round, and the garbage collector rests. Each task runs twice before the first round
    (the first call compiles and warms up, the second tells how long it takes), which does not count.

    Raises:
        ValueError: rounds is below 1.
    """
    if rounds < 1:
        raise ValueError(f"taking_turns got {rounds} rounds; it needs 1 or more.")
    calls = {name: _fitting(task, turn_s) for name, task in tasks.items()}
    times: dict[Name, Turns] = {name: [] for name in tasks}
    order, was_enabled = list(tasks), gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name in order:
                times[name].append(np.array([_timed(tasks[name]) for _ in range(calls[name])]))
            order.reverse()
    finally:
        if was_enabled:
            gc.enable()
    return times


def in_microseconds(turns: Turns) -> dict[str, float]:
    """p50_us and p99_us of all calls; p10_us and p90_us of the medians of the rounds, which tell their spread."""
    p50, p99 = np.percentile(np.concatenate(turns), [50, 99])
    p10, p90 = np.percentile([np.median(turn) for turn in turns], [10, 90])
    seconds = {"p50_us": p50, "p99_us": p99, "p10_us": p10, "p90_us": p90}
    return {name: rounded(1e6 * value) for name, value in seconds.items()}


def rounded(value: Any) -> float:
    """Four significant digits."""
    return tables.rounded(value, 4)


def _fitting(task: Callable[[], object], turn_s: float) -> int:
    task()
    return int(np.clip(turn_s / _timed(task), 1, MOST_CALLS))


def _timed(task: Callable[[], object]) -> float:
    started = perf_counter()
    task()
    return perf_counter() - started


__all__ = ["Turns", "in_microseconds", "rounded", "taking_turns"]
