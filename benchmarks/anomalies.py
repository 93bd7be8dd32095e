"""Anomalies in the streams of the Numenta Anomaly Benchmark, by the example that learns online, and NAB's score.

Source: Lavin and Ahmad 2015, "Evaluating real-time anomaly detection algorithms: the Numenta anomaly benchmark".
"""

import json
import runpy
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import figures_table, machine_line

EXAMPLE = Path(__file__).parents[1] / "examples" / "anything" / "anomalies.py"
# NAB's standard profile: what a false alarm costs, where a found window gives 1 and a missed one costs 1.
FALSE_ALARM = 0.11
# No alarm counts in this share of a stream, at most of so many values.
PROBATION, MOST_PROBATION = 0.15, 750
# Public scores of the same profile.
PEERS = {"HTM": 70.0, "CAD OSE": 69.9, "random cut forest": 51.7, "windowed Gaussian": 39.6, "no alarm at all": 0.0}

Windows = Sequence[tuple[int, int]]


def bench_anomalies(data: Path) -> dict[str, Any]:
    """The score of the example, and how long it took.

    Args:
        data: a copy of NAB, with the folders data and labels.

    Raises:
        FileNotFoundError: it is none.
    """
    streams, windows = read(data)
    alarms = runpy.run_path(str(EXAMPLE))["alarms"]
    seconds, told = [], []
    for _ in range(2):
        started = time.perf_counter()
        told = alarms(streams)
        seconds.append(time.perf_counter() - started)
    found, threshold = score(told, windows)
    return {
        "machine": describe_machine(),
        "streams": len(streams),
        "values": sum(map(len, streams)),
        "windows": sum(map(len, windows)),
        "seconds": seconds,
        "score": found,
        "threshold": threshold,
    }


def read(data: Path) -> tuple[list[np.ndarray], list[Windows]]:
    """The values of each stream, and the first and last value of each window with an anomaly."""
    labels = data / "labels" / "combined_windows.json"
    if not labels.is_file():
        raise FileNotFoundError(f"{labels} is not there. Pass a copy of NAB: github.com/numenta/NAB.")
    streams, windows = [], []
    for name, spans in json.loads(labels.read_text(encoding="utf-8")).items():
        rows = [line.split(",") for line in (data / "data" / name).read_text(encoding="utf-8").splitlines()[1:]]
        times = np.array([time for time, _ in rows], "datetime64[s]")
        streams.append(np.array([float(value) for _, value in rows]))
        windows.append([tuple(map(int, np.searchsorted(times, np.array(span, "datetime64[s]")))) for span in spans])
    return streams, windows


def score(told: Sequence[np.ndarray], windows: Sequence[Windows]) -> tuple[float, float]:
    """NAB's score, at most 100, at the one threshold for all streams at which it is highest; and that threshold.

    No alarm at all has 0. As the benchmark does for every detector, the threshold is chosen on the streams themselves.

    Args:
        told: for each stream how sure an anomaly is at each of its values; 0: none is.
        windows: for each stream those with an anomaly, (first, last).
    """
    alarms = [
        (float(sure), *_weight(int(at), of), stream)
        for stream, (row, of) in enumerate(zip(told, windows, strict=True))
        for at, sure in enumerate(row)
        if sure > 0 and at >= min(int(PROBATION * len(row)), MOST_PROBATION)
    ]
    every = sum(map(len, windows))
    best: dict[tuple[int, int], float] = {}
    total = highest = -float(every)
    threshold = np.inf
    for sure, weight, window, stream in sorted(alarms, reverse=True, key=lambda alarm: alarm[0]):
        if window is None:
            total += weight
        elif weight > (before := best.get((stream, window), -1.0)):
            total += weight - before
            best[stream, window] = weight
        if total > highest:
            highest, threshold = total, sure
    return 100 * (highest + every) / (2 * every), threshold


def _weight(at: int, windows: Windows) -> tuple[float, int | None]:
    """What an alarm at this value gives, and the window that it is in."""
    for number, (first, last) in enumerate(windows):
        if first <= at <= last:
            return _sigmoid(-(last - at + 1) / (last - first + 1)) / _sigmoid(-1.0), number
    before = [window for window in windows if window[1] < at]
    if not before:
        return -FALSE_ALARM, None
    first, last = before[-1]
    return FALSE_ALARM * _sigmoid((at - last) / max(last - first, 1)), None


def _sigmoid(place: float) -> float:
    """From 1 at the begin of a window over 0 at its end to -1 long after it."""
    return -1.0 if place > 3 else float(2 / (1 + np.exp(5 * place)) - 1)


def print_report(report: dict[str, Any], console: Console) -> None:
    """Prints what bench_anomalies() returned as a table."""
    title = f"NAB, standard profile: {report['windows']} windows in {report['streams']} streams"
    table = figures_table(title, ["detector", "score"], left=("detector",))
    rows = {"a GRU that learns online": report["score"], **PEERS}
    for name, value in sorted(rows.items(), key=lambda row: -row[1]):
        table.add_row(name, f"{value:.1f}")
    console.print(machine_line(report["machine"]))
    console.print(table)
    first, again = report["seconds"]
    console.print(f"{report['values']:,} values in {again:.1f} s; {first:.1f} s with compiling")


__all__ = ["bench_anomalies", "print_report", "read", "score"]
