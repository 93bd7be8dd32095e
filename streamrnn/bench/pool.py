"""How many live streams one process can serve: a pool, decisions included, beside a lone stream in the same run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from time import perf_counter, process_time
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.sounds import noise_and_tones
from streamrnn.bench.tables import machine_line, rounded, rows_table
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.runtime import Pool, Stream, configure

CHUNK_MS = 100
CHUNKS_PER_S = 1000 // CHUNK_MS
SOUND_S = 10

LONE = "lone Stream"

# Minimum figures for voice activity.
TARGETS = {"real-time streams": 2000.0, "silero-vad / pool": 10.0, "earshot / pool": 1.0}

# Takes the next second of one stream, float32[sample_rate].
Hear = Callable[[Float[np.ndarray, " samples"]], object]


def bench_pool(
    model_name: str = "vad",
    streams: Sequence[int] = (2000,),
    seconds: int = 10,
    beside: Mapping[str, tuple[int, Hear]] | None = None,
) -> dict[str, Any]:
    """Measures pools in which every stream gets a chunk of 100 ms, 16 bit, at the model's rate, and then all are
    advanced: chunks taken apart, steps and decisions, all included.

    Pools and what runs beside them take turns, each with a second of sound, so that ratios hold on a busy machine too;
    absolute figures need an idle one. It calls streamrnn.configure(threads=1): call it before JAX is used. So a pool
    has one core.

    Args:
        model_name: a shipped model's name or a path.
        streams: numbers of streams, one pool each.
        seconds: of sound that each stream hears; as many rounds.
        beside: others to measure in the same run, each on one stream: its sample rate, and what hears a second of it.

    Returns:
        machine, model, chunk_ms, seconds;
        pools: [{streams, cost_ms, cpu_ms, real_time_streams, feed_share, tick_p50_ms, tick_p99_ms}]: wall time and
            processor time per second of one stream's sound; how many streams that makes in real time; the share of
            feeding in it; and the time of ticks, which is how long a chunk waits for its events at worst;
        beside: [{name, cost_ms}] of one stream by itself, a lone Stream of the same model first;
        figures: [{name, value, p10, p90, target, met}] of the largest pool; a figure is to be at
            least its target, where voice activity has one.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: seconds or a number of streams is below 1.
    """
    if seconds < 1 or not streams or min(streams) < 1:
        raise ValueError(f"bench_pool got {seconds} seconds and {list(streams)} streams; all must be 1 or more.")
    configure(threads=1)
    model, machine = load(model_name), describe_machine()
    hears_speech = "speech_start" in model.outlet().kinds
    pools = [PoolLoad(model, n) for n in sorted(set(streams))]
    others = {LONE: (model.sample_rate, _lone(model))} | dict(beside or {})
    heard = {name: _timed(rate, hear) for name, (rate, hear) in others.items()}
    costs: dict[str, list[float]] = {name: [] for name in heard}
    # The first round warms up and does not count.
    for round_ in range(-1, seconds):
        for pool in pools:
            pool.hear(counts=round_ >= 0)
        for name, hear in heard.items():
            cost_s = hear()
            costs[name] += [cost_s] if round_ >= 0 else []
    return {
        "machine": machine,
        "model": model_name,
        "chunk_ms": CHUNK_MS,
        "seconds": seconds,
        "pools": [pool.figures() for pool in pools],
        "beside": [{"name": name, "cost_ms": rounded(1000 * np.median(cost))} for name, cost in costs.items()],
        "figures": _figures(pools[-1].costs_s, costs, TARGETS if hears_speech else {}),
    }


class PoolLoad:
    """A pool whose streams all get a chunk at the same time, and the time that this takes."""

    def __init__(self, model: Model, streams: int):
        pcm = (32767 * noise_and_tones(model.sample_rate, SOUND_S)).astype("<i2")
        self.chunks = [chunk.tobytes() for chunk in np.split(pcm, SOUND_S * CHUNKS_PER_S)]
        self.pool = Pool(model, capacity=streams)
        self.streams = [self.pool.open() for _ in range(streams)]
        self.costs_s: list[float] = []
        """Per round: wall time per second of one stream's sound."""
        self._cpu_s: list[float] = []
        self._feed_s: list[float] = []
        self._ticks_s: list[float] = []
        self._chunk = count()

    def hear(self, counts: bool = True) -> None:
        """Runs a second of sound through each stream; measured if it `counts`."""
        cpu_s = process_time()
        times = np.array([self._hear_chunk(next(self._chunk)) for _ in range(CHUNKS_PER_S)])
        cpu_s = process_time() - cpu_s
        if counts:
            self.costs_s.append(times.sum() / len(self.streams))
            self._cpu_s.append(cpu_s / len(self.streams))
            self._feed_s.append(times[:, 0].sum() / len(self.streams))
            self._ticks_s += times[:, 1].tolist()

    def figures(self) -> dict[str, Any]:
        """The pool's entry in the result of bench_pool."""
        cost_s = float(np.median(self.costs_s))
        p50, p99 = 1000 * np.percentile(self._ticks_s, [50, 99])
        return {
            "streams": len(self.streams),
            "cost_ms": rounded(1000 * cost_s),
            "cpu_ms": rounded(1000 * np.median(self._cpu_s)),
            "real_time_streams": int(1 / cost_s),
            "feed_share": rounded(sum(self._feed_s) / sum(self.costs_s)),
            "tick_p50_ms": rounded(p50),
            "tick_p99_ms": rounded(p99),
        }

    def _hear_chunk(self, number: int) -> tuple[float, float]:
        """Seconds that feeding a chunk to each stream took, and advancing all of them."""
        started, chunks = perf_counter(), self.chunks
        for place, stream in enumerate(self.streams):
            # Each is at another place in the sound, so that events do not come all at once.
            stream.feed(chunks[(number + place) % len(chunks)])
        fed = perf_counter()
        while self.pool.tick():
            pass
        return fed - started, perf_counter() - fed


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_pool() returned as tables."""
    console = console or Console()
    console.print(machine_line(report["machine"]))
    console.print(rows_table(f"{report['model']}, chunks of {report['chunk_ms']} ms", report["pools"]))
    for title, rows in (("One stream by itself", report["beside"]), ("Figures", report["figures"])):
        if rows:
            console.print(rows_table(title, rows))


def _lone(model: Model) -> Hear:
    """The model on one live stream, in chunks of 100 ms."""
    stream = Stream(model)

    def hear(second: Float[np.ndarray, " samples"]) -> None:
        for chunk in np.array_split(second, CHUNKS_PER_S):
            stream.process(chunk)

    return hear


def _timed(sample_rate: int, hear: Hear) -> Callable[[], float]:
    """A function that lets the next second be heard and gives the seconds that it took."""
    seconds = _seconds(sample_rate)

    def take() -> float:
        sound = next(seconds)
        started = perf_counter()
        hear(sound)
        return perf_counter() - started

    return take


def _seconds(sample_rate: int) -> Iterator[Float[np.ndarray, " samples"]]:
    sound = noise_and_tones(sample_rate, SOUND_S)
    for second in count():
        start = second % SOUND_S * sample_rate
        yield sound[start : start + sample_rate]


def _figures(ours_s: list[float], peers_s: dict[str, list[float]], targets: dict[str, float]) -> list[dict[str, Any]]:
    ours = np.array(ours_s)
    ratios = {f"{name} / pool": np.array(costs_s) / ours for name, costs_s in peers_s.items()}
    measured = {"real-time streams": 1 / ours} | ratios
    return [_figure(name, values, targets.get(name)) for name, values in measured.items()]


def _figure(name: str, values: Float[np.ndarray, " rounds"], target: float | None) -> dict[str, Any]:
    low, middle, high = (rounded(value) for value in np.percentile(values, [10, 50, 90]))
    met = None if target is None else bool(middle >= target)
    return {"name": name, "value": middle, "p10": low, "p90": high, "target": target, "met": met}


__all__ = ["Hear", "PoolLoad", "bench_pool", "print_report"]
