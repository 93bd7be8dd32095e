"""How many streams of items one process can serve: pools in which each stream gets an item at once."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import machine_line, rounded, rows_table
from streamrnn.pretrained import load
from streamrnn.runtime import Pool, Stream, configure
from streamrnn.signals import Series

# Kinds of items, taken in turn.
DRAWN = 64


def bench_item_pool(model_name: str, streams: Sequence[int] = (1000,), rounds: int = 10) -> dict[str, Any]:
    """Measures pools in which every stream gets one item, and then all are advanced; beside them a lone stream.

    Items are random: their content does not affect the time. Calls streamrnn.configure(threads=1): call it before JAX
    is used.

    Args:
        model_name: a shipped model's name or a path.
        streams: numbers of streams, one pool each.
        rounds: items that each stream gets.

    Returns:
        machine, model, rounds;
        pools: [{streams, round_p50_ms, round_p99_ms, answers_per_s, lone_stream_ratio}]: the time of a round, from the
            first item that is fed to the last answer; and how many times as many answers a pool gives as a lone stream.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: rounds or a number of streams is below 1, or the model hears sound.
    """
    if rounds < 1 or not streams or min(streams) < 1:
        raise ValueError(f"bench_item_pool got {rounds} rounds and {list(streams)} streams; all must be 1 or more.")
    configure(threads=1)
    model, machine = load(model_name), describe_machine()
    if not isinstance(series := model.signal, Series):
        raise ValueError(f"{model_name} hears sound. Measure it by bench_pool.")
    items, alone = _items(series), Stream(model)
    pools = [(Pool(model, capacity=n, queue_s=4 * model.frame_s), n) for n in sorted(set(streams))]
    opened = [[pool.open() for _ in range(n)] for pool, n in pools]
    times: list[list[float]] = [[] for _ in pools]
    alone_s: list[float] = []
    # They take turns, so that ratios hold on a busy machine; the first round warms up and does not count.
    for round_ in range(-1, rounds):
        for (pool, _), members, taken in zip(pools, opened, times, strict=True):
            started = perf_counter()
            for place, stream in enumerate(members):
                stream.feed(items[(round_ + place) % DRAWN])
            while pool.tick():
                pass
            taken += [perf_counter() - started] if round_ >= 0 else []
        started = perf_counter()
        alone.process(items[round_ % DRAWN])
        alone_s += [perf_counter() - started] if round_ >= 0 else []
    rows = [_row(n, np.array(taken), float(np.median(alone_s))) for (_, n), taken in zip(pools, times, strict=True)]
    return {"machine": machine, "model": model_name, "rounds": rounds, "pools": rows}


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_item_pool() returned as a table."""
    console = console or Console()
    console.print(machine_line(report["machine"]))
    console.print(rows_table(f"{report['model']}, an item for each stream at once", report["pools"]))


def _items(series: Series) -> list[np.ndarray]:
    rng, shape = np.random.default_rng(0), (DRAWN, 1, series.features)
    if series.dtype == "int32":
        return list(rng.integers(series.ids or 2, size=shape, dtype=np.int32))
    return list(rng.standard_normal(shape).astype(np.float32))


def _row(streams: int, times_s: np.ndarray, alone_s: float) -> dict[str, Any]:
    median = float(np.median(times_s))
    p50, p99 = 1000 * np.percentile(times_s, [50, 99])
    return {
        "streams": streams,
        "round_p50_ms": rounded(p50),
        "round_p99_ms": rounded(p99),
        "answers_per_s": int(streams / median),
        "lone_stream_ratio": rounded(alone_s * streams / median),
    }


__all__ = ["bench_item_pool", "print_report"]
