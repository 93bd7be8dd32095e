"""A server under real-time load: the latency of events, losses, memory and processor time."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from streamrnn.bench.child import command
from streamrnn.bench.conversations import conversations, events_of, same
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.serve_load import CHUNK_MS, Load, as_json, encoded
from streamrnn.bench.server_process import ServerProcess, scrape, stream_url, token
from streamrnn.bench.tables import cell, machine_line, rounded
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.runtime import configure

# Streams take turns in using these.
CONVERSATIONS = 16
# Beyond the sound: opening, the last events, closing.
SPARE_S = 240.0
SERVER_FLAGS = {"max_newcomers": 500, "idle_s": 600}

LATENCY, MEMORY, LOST, IDLE = (
    "event latency, p99 ms",
    "memory, peak MB",
    "events lost or wrong",
    "idle connections lost",
)
# The most that a figure may be, with so many streams at once: two cores, which the load shares.
TARGET_STREAMS = 300
TARGETS = {LATENCY: 100.0, MEMORY: 1500.0, LOST: 0.0, IDLE: 0.0}


def bench_serve(
    model_name: str = "vad",
    streams: Sequence[int] = (300,),
    seconds: int = 20,
    idle: int = 0,
    server: str | None = None,
    sound: Path | None = None,
) -> dict[str, Any]:
    """Lets a server hear conversations on many connections, each in real time in messages of 100 ms.

    The latency of an event is the time from sending the message that holds the moment at which it was decided
    (`decided_s`) to its arrival. So it is what server and network add: before, the model waits for its block and its
    look-ahead, which is algorithmic latency and told apart. Sound comes at the model's own rate; a resampler would
    need up to 4 ms more sound, which `decided_s` leaves out. Events that the end of the sound decides do not count.

    Every stream's events are compared with those of a Listener in this process.

    Args:
        model_name: a shipped model's name or a path.
        streams: how many at once; several numbers are measured one after another, each with a fresh server.
        seconds: of sound that each stream hears.
        idle: connections besides that say hello and then nothing; in the end each of them has to work.
        server: address of one that serves the model already; default: `streamrnn serve`, on this machine.
        sound: a recording or a folder of them, of which conversations are made; default: audio_samples.

    Returns:
        machine, model, chunk_ms, seconds;
        loads: [{streams, idle, events, latency_p50_ms, latency_p95_ms, latency_p99_ms, latency_max_ms, algorithmic_ms,
            lost, wrong, errors, idle_lost, start_mb, peak_mb, end_mb, server_cores, generator_cores, late_p99_ms,
            ticks, tick_mean_ms}]: memory and processor time are None for a server elsewhere; late_p99_ms says how late
            the load itself sent its messages;
        figures: [{name, streams, value, target, met}]; a figure is to be at most its target.

    Raises:
        FileNotFoundError: there is no such model or recording.
        ValueError: a number is below 1.
        RuntimeError: the server or the load did not work.
    """
    if seconds < 1 or not streams or min(streams) < 1 or idle < 0:
        raise ValueError(f"bench_serve got {list(streams)} streams, {seconds} seconds, {idle} idle; use 1 or more.")
    configure()
    model = load(model_name)
    sounds = conversations(sound, model.sample_rate, CONVERSATIONS, seconds)
    expected = [events_of(model, samples) for samples in sounds]
    loads = [_measured(model_name, model, n, idle, server, sounds, expected) for n in sorted(set(streams))]
    return {
        "machine": describe_machine(),
        "model": model_name,
        "chunk_ms": CHUNK_MS,
        "seconds": seconds,
        "loads": loads,
        "figures": [figure for row in loads for figure in _figures(row)],
    }


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_serve() returned as tables."""
    console = console or Console()
    console.print(machine_line(report["machine"]))
    console.print(f"{report['model']}, {report['seconds']} s of sound per stream, messages of {report['chunk_ms']} ms")
    rows = [[name, *(row[name] for row in report["loads"])] for name in report["loads"][0]]
    console.print(_table("Loads", ("", *("" for _ in report["loads"])), rows))
    figures = [list(figure.values()) for figure in report["figures"]]
    console.print(_table("Figures", tuple(report["figures"][0]), figures))


def _measured(
    name: str,
    model: Model,
    streams: int,
    idle: int,
    server: str | None,
    sounds: list[np.ndarray],
    expected: list[list[dict[str, Any]]],
) -> dict[str, Any]:
    room = streams + idle
    flags = SERVER_FLAGS | {"max_streams": room, "max_connections": room + 50}
    with nullcontext() if server is not None else ServerProcess(name, **flags) as own:
        url = own.url if own is not None else str(server)
        before = scrape(url, token())
        measured = _borne(
            Load(
                url=stream_url(url),
                hello={"model": Path(name).stem, "sample_rate": model.sample_rate},
                sounds=[encoded(samples.astype("<i2").tobytes()) for samples in sounds],
                chunk_bytes=2 * model.sample_rate * CHUNK_MS // 1000,
                streams=streams,
                idle=idle,
                server_pid=own.pid if own is not None else None,
                token=token(),
            ),
            timeout_s=len(sounds[0]) / model.sample_rate + SPARE_S,
        )
        after = scrape(url, token())
    return _row(measured, streams, idle, expected) | _ticks(before, after)


def _borne(load: Load, timeout_s: float) -> dict[str, Any]:
    run = subprocess.run(
        command("streamrnn.bench.serve_load"), input=as_json(load), capture_output=True, text=True, timeout=timeout_s
    )
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"the load could not be put on the server: {' '.join(last)}")
    return json.loads(run.stdout)


def _row(measured: dict[str, Any], streams: int, idle: int, expected: list[list[dict[str, Any]]]) -> dict[str, Any]:
    heard = measured["streams"]
    latencies = [latency for stream in heard for latency in stream["latencies_ms"]] or [np.nan]
    p50, p95, p99, most = np.percentile(latencies, [50, 95, 99, 100])
    differences = [_differences(s["events"], expected[i % len(expected)]) for i, s in enumerate(heard)]
    return {
        "streams": streams,
        "idle": idle,
        "events": sum(len(stream["events"]) for stream in heard),
        "latency_p50_ms": _rounded(p50),
        "latency_p95_ms": _rounded(p95),
        "latency_p99_ms": _rounded(p99),
        "latency_max_ms": _rounded(most),
        "algorithmic_ms": heard[0]["latency_ms"],
        "lost": sum(lost for lost, _ in differences),
        "wrong": sum(wrong for _, wrong in differences),
        "errors": sum(len(stream["errors"]) for stream in heard),
        "idle_lost": idle - measured["idle_held"],
        "late_p99_ms": _rounded(np.percentile(measured["late_ms"], 99)),
        **{name: _rounded(measured[name]) for name in ("start_mb", "peak_mb", "end_mb")},
        **{name: _rounded(measured[name]) for name in ("server_cores", "generator_cores")},
    }


def _differences(events: list[dict[str, Any]], expected: list[dict[str, Any]]) -> tuple[int, int]:
    """How many events never came, and how many came that are not those of a Listener."""
    right = sum(same(event, other) for event, other in zip(events, expected, strict=False))
    return max(0, len(expected) - len(events)), len(events) - right


def _ticks(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    count, total = (
        after.get(f"streamrnn_tick_seconds_{part}", 0.0) - before.get(f"streamrnn_tick_seconds_{part}", 0.0)
        for part in ("count", "sum")
    )
    return {"ticks": int(count), "tick_mean_ms": _rounded(1000 * total / count) if count else None}


def _figures(row: dict[str, Any]) -> list[dict[str, Any]]:
    values = {
        LATENCY: row["latency_p99_ms"],
        MEMORY: row["peak_mb"],
        LOST: float(row["lost"] + row["wrong"] + row["errors"]),
        IDLE: float(row["idle_lost"]),
    }
    judged = row["streams"] <= TARGET_STREAMS
    return [_figure(name, row["streams"], value, judged) for name, value in values.items() if value is not None]


def _figure(name: str, streams: int, value: float, judged: bool) -> dict[str, Any]:
    target = TARGETS[name] if judged or TARGETS[name] == 0 else None
    met = None if target is None else bool(value <= target)
    return {"name": name, "streams": streams, "value": value, "target": target, "met": met}


def _rounded(value: Any) -> float | None:
    return None if value is None else rounded(value, 4)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=any(columns))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(cell, row))
    return table


__all__ = ["LATENCY", "TARGETS", "bench_serve", "print_report"]
