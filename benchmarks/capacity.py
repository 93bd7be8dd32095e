"""How late answers come with so many streams per process, and when one node of n is lost: simulated, not measured.

One thread handles messages in the order of their arrival. Every 20 ms a tick works off the sound of all messages
handled so far; meanwhile messages wait. An answer comes with the end of its tick. The costs are those of
docs/scaling.md. The network and other programs on the machine take no time here, so real tails are longer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from streamrnn.bench.tables import rows_table

TARGET_MS = 100.0
# Before a node is lost, and after; clients have come back long before the end.
BEFORE_S, AFTER_S, SETTLED_S = 4.0, 16.0, 4.0
# Lateness is judged in windows of this length.
WINDOW_S = 0.5


@dataclass(frozen=True)
class Costs:
    """What a process takes.

    Raises:
        ValueError: one is not above 0.
    """

    tick_cost_ms: float = 2.64
    """Of each tick that finds sound: 0.132 of 20 ms, where the line through 0.23 cores at 100 streams and 0.72 at 600
    begins."""
    stream_ms: float = 0.98
    """Of a stream's second of sound in all, model and messages: the slope of that line."""
    model_ms: float = 0.345
    """Of it the model: a pool alone carries 2,900 streams."""
    tick_ms: float = 20.0
    """Time between ticks."""
    message_ms: float = 100.0
    """Sound in a message."""

    def __post_init__(self) -> None:
        if wrong := [name for name, value in asdict(self).items() if not value > 0]:
            raise ValueError(f"{wrong[0]} is {getattr(self, wrong[0])}; it must be above 0.")
        if self.model_ms >= self.stream_ms:
            raise ValueError(f"model_ms is {self.model_ms}; it is a part of stream_ms, which is {self.stream_ms}.")

    def load(self, streams: float) -> float:
        """The share of its time that a process with so many streams takes; it falls behind from 1 on."""
        return self.tick_cost_ms / self.tick_ms + streams * self.stream_ms / 1000

    @property
    def most_streams(self) -> int:
        """Streams at which a process takes all its time."""
        return int((1 - self.tick_cost_ms / self.tick_ms) * 1000 / self.stream_ms)


def simulate_capacity(
    streams: Sequence[int], nodes: Sequence[int], costs: Costs, seconds: float, outage_s: float, seed: int = 0
) -> dict[str, Any]:
    """Simulates processes with so many streams, alone and as nodes of which one is lost.

    Args:
        streams: per process, 1 or more each.
        nodes: processes behind a balancer that spreads clients by hash, 2 or more each.
        costs: of one process.
        seconds: simulated for each figure of a process alone.
        outage_s: between the loss of a node and the first message of its clients at another one, at most.
        seed: of when streams begin, and where.

    Returns:
        costs, with most_streams; alone: streams, load, p50_ms, p99_ms, worst_ms; lost: streams, nodes, load (of the
        fullest node that is left), p99_ms (of the 16 s after the loss; a node with a load above 1 would be later and
        later), back_s (until the last half second whose p99 is above TARGET_MS; None if that does not end).

    Raises:
        ValueError: a number is out of its range.
    """
    for name, least, given in (("streams", 1, streams), ("nodes", 2, nodes)):
        if not given or min(given) < least:
            raise ValueError(f"{name} is {', '.join(map(str, given)) or 'empty'}; each must be {least} or more.")
    if not seconds >= 1 or not 0 <= outage_s <= AFTER_S / 4:
        raise ValueError(f"seconds is {seconds}, outage_s {outage_s}; they must be 1 or more, and 0 to {AFTER_S / 4}.")
    rng = np.random.default_rng(seed)
    return {
        "costs": asdict(costs) | {"most_streams": costs.most_streams},
        "alone": [_alone(count, costs, seconds, rng) for count in streams],
        "lost": [_lost(count, n, costs, outage_s, rng) for count in streams for n in nodes],
    }


def lateness_s(arrivals_s: np.ndarray, costs: Costs) -> np.ndarray:
    """Seconds from each message's arrival to the end of the tick that works it off.

    Args:
        arrivals_s: float[n], ascending.
        costs: of the process.
    """
    tick_s, tick_cost_s = costs.tick_ms / 1000, costs.tick_cost_ms / 1000
    model_s = costs.model_ms * costs.message_ms / 1e6
    message_s = (costs.stream_ms - costs.model_ms) * costs.message_ms / 1e6
    late, times = np.empty(len(arrivals_s)), arrivals_s.tolist()
    now, due, first, following = 0.0, tick_s, 0, 0
    while first < len(times):
        while following < len(times) and (start := max(now, times[following])) < due:
            now, following = start + message_s, following + 1
        now = max(now, due)
        if following > first:
            now += tick_cost_s + model_s * (following - first)
            late[first:following] = now - arrivals_s[first:following]
            first, due = following, max(due + tick_s, now)
        else:
            # Messages have waited for a late tick, and come first for a while.
            due = now + tick_s
    return late


def _alone(streams: int, costs: Costs, seconds: float, rng: np.random.Generator) -> dict[str, Any]:
    late_ms = 1000 * lateness_s(np.sort(_messages(streams, 0.0, seconds, costs, rng)), costs)
    p50, p99 = np.percentile(late_ms, (50, 99)).round(1).tolist()
    row = {"streams": streams, "load": round(costs.load(streams), 2), "p50_ms": p50, "p99_ms": p99}
    return row | {"worst_ms": round(float(late_ms.max()), 1)}


def _lost(streams: int, nodes: int, costs: Costs, outage_s: float, rng: np.random.Generator) -> dict[str, Any]:
    """The node that has most to carry after the loss of another one."""
    before = rng.multinomial(streams * nodes, np.full(nodes, 1 / nodes))
    newcomers = rng.multinomial(before[0], np.full(nodes - 1, 1 / (nodes - 1)))
    fullest = int(np.argmax(before[1:] + newcomers))
    own, new = int(before[1:][fullest]), int(newcomers[fullest])
    end_s = BEFORE_S + AFTER_S
    live = [_messages(own, 0.0, end_s, costs, rng)]
    backlog = []
    for _ in range(new):
        back_s = BEFORE_S + rng.uniform(0, outage_s)
        live.append(_messages(1, back_s, end_s, costs, rng))
        # What was said meanwhile, and what was not stored: streams are stored once a second.
        unheard_s = back_s - BEFORE_S + rng.uniform(0, 1)
        backlog.append(np.full(round(1000 * unheard_s / costs.message_ms), back_s))
    arrivals = np.concatenate(live + backlog)
    is_live = np.arange(len(arrivals)) < sum(map(len, live))
    order = np.argsort(arrivals, kind="stable")
    late_ms = 1000 * lateness_s(arrivals[order], costs)[is_live[order]]
    since_s = arrivals[order][is_live[order]] - BEFORE_S
    windows = np.arange(0, AFTER_S, WINDOW_S)
    p99 = [np.percentile(late_ms[(since_s >= at) & (since_s < at + WINDOW_S)], 99) for at in windows]
    is_late = [at + WINDOW_S for at, value in zip(windows, p99, strict=True) if value > TARGET_MS]
    back_s = float(max(is_late, default=0.0))
    return {
        "streams": streams,
        "nodes": nodes,
        "load": round(costs.load(own + new), 2),
        "p99_ms": round(float(np.percentile(late_ms[since_s >= 0], 99)), 1),
        "back_s": back_s if back_s <= AFTER_S - SETTLED_S else None,
    }


def _messages(streams: int, start_s: float, end_s: float, costs: Costs, rng: np.random.Generator) -> np.ndarray:
    """When messages come, float[n], of streams that began anywhen."""
    period_s = costs.message_ms / 1000
    times = start_s + np.arange(0, end_s - start_s, period_s)
    return (times[:, None] + rng.uniform(0, period_s, streams)).ravel()


def print_report(report: dict[str, Any], console: Console) -> None:
    """Prints what simulate_capacity() returned as tables."""
    console.print(rows_table("One process, simulated", report["alone"]))
    console.print(f"A process takes all its time at {report['costs']['most_streams']:,} streams.\n")
    title = f"After the loss of a node, the fullest of the others; back_s: until p99 stays below {TARGET_MS:.0f} ms"
    console.print(rows_table(title, report["lost"]))


__all__ = ["TARGET_MS", "Costs", "lateness_s", "print_report", "simulate_capacity"]
