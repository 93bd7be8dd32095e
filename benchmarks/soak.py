"""Clients that lose connections, come back, reset and send nonsense, for minutes; and what a server then looks like."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.soak_callers import CHUNK_S, Caller, Faults, Sounds
from benchmarks.soak_strangers import STRANGERS, visit
from streamrnn.bench.conversations import conversations, events_of
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.server_process import Cost, ServerProcess, scrape, stream_url, token
from streamrnn.bench.tables import machine_line
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.runtime import configure

CONVERSATIONS = 6
LENGTHS_S = (2.0, 3.5, 5.0)
STRANGERS_PAUSE_S = 0.2
SAMPLED_S = 1.0
RESUME_S, HELLO_S = 3.0, 2.0
# From then on memory may not grow: pools, caches and allocators have filled up.
WARM_UP_S = 60.0
SERVER_FLAGS = {"resume_s": RESUME_S, "hello_s": HELLO_S, "head_s": HELLO_S, "max_newcomers": 500}

WRONG, UNANSWERED = "streams with wrong events", "faults without the right answer"
LEFT, GROWTH = "streams and connections left", "growth of memory after the first minute, %"
TARGETS = {WRONG: 0.0, UNANSWERED: 0.0, LEFT: 0.0, GROWTH: 2.0}


def bench_soak(
    model_name: str = "vad", minutes: float = 10.0, streams: int = 100, seed: int = 0, sound: Path | None = None
) -> dict[str, Any]:
    """Lets many clients talk in real time to a server of its own, and do what clients do to servers.

    Each client hears conversation after conversation over one stream. On the way connections are dropped and resumed,
    taken over and abandoned, streams are flushed, reset and closed, and messages sent that are none. Beside them,
    strangers come with hellos of every wrong kind. Every conversation that was not given up is compared with a
    Listener in this process; every fault must be answered with its code.

    Args:
        model_name: a shipped model's name or a path; one that gives events.
        minutes: for so long.
        streams: how many clients.
        seed: of the choice of faults.
        sound: a recording or a folder of them, of which conversations are made; default: audio_samples.

    Returns:
        machine, model, minutes, streams, seed;
        counts: {what was done: how often}; problems: the first ones, in words;
        memory: {warm_mb, end_mb};
        figures: [{name, value, target, met}]; a figure is to be at most its target.

    Raises:
        FileNotFoundError: there is no such model or recording.
        ValueError: minutes or streams is not positive.
        RuntimeError: the server did not start.
    """
    if not minutes > 0 or streams < 1:
        raise ValueError(f"bench_soak got {minutes} minutes and {streams} streams; both must be positive.")
    configure()
    sounds = _sounds(load(model_name), sound)
    flags = SERVER_FLAGS | {"max_streams": 4 * streams, "max_connections": 8 * streams + 100}
    with ServerProcess(model_name, **flags) as server:
        faults, memory = asyncio.run(_soak(server, sounds, 60 * minutes, streams, seed))
        time.sleep(RESUME_S + 2.0)
        after = scrape(server.url, token())
    left = int(after["streamrnn_streams"] + after["streamrnn_connections"])
    warm_mb, end_mb = _warm_and_end(memory, 60 * minutes)
    values = {
        WRONG: faults.counts["wrong events"],
        UNANSWERED: faults.counts["wrong answers"],
        LEFT: left,
        GROWTH: round(100 * (end_mb / warm_mb - 1), 2),
    }
    return {
        "machine": describe_machine(),
        "model": model_name,
        "minutes": minutes,
        "streams": streams,
        "seed": seed,
        "counts": dict(sorted(faults.counts.items())),
        "problems": faults.problems,
        "memory": {"warm_mb": round(warm_mb, 1), "end_mb": round(end_mb, 1)},
        "figures": [{"name": n, "value": v, "target": TARGETS[n], "met": v <= TARGETS[n]} for n, v in values.items()],
    }


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_soak() returned as tables."""
    console = console or Console()
    console.print(machine_line(report["machine"]))
    console.print(f"{report['model']}, {report['streams']} clients for {report['minutes']:g} minutes")
    done = Table(title="What was done", title_justify="left", show_header=False)
    for name, count in report["counts"].items():
        done.add_row(name, f"{count:,}")
    figures = Table("name", "value", "target", "met", title="Figures", title_justify="left")
    for figure in report["figures"]:
        met = "yes" if figure["met"] else "[red]no[/red]"
        figures.add_row(figure["name"], str(figure["value"]), str(figure["target"]), met)
    console.print(done)
    console.print(figures)
    for problem in report["problems"]:
        console.print(problem, markup=False, style="red")


def _sounds(model: Model, sound: Path | None) -> Sounds:
    whole = conversations(sound, model.sample_rate, CONVERSATIONS, max(LENGTHS_S))
    cut = [samples[: round(length_s * model.sample_rate)] for samples in whole for length_s in LENGTHS_S]
    step = round(CHUNK_S * model.sample_rate)
    messages = [
        [samples[i : i + step].astype("<i2").tobytes() for i in range(0, len(samples), step)] for samples in cut
    ]
    return Sounds(model.sample_rate, messages, [events_of(model, samples) for samples in cut])


async def _soak(
    server: ServerProcess, sounds: Sounds, seconds: float, streams: int, seed: int
) -> tuple[Faults, list[float]]:
    faults, url, deadline_s = Faults(Counter(), []), stream_url(server.url), time.monotonic() + seconds
    callers = [Caller(url, token(), sounds, faults, random.Random(f"{seed} {i}")) for i in range(streams)]
    memory: list[float] = []
    watching = asyncio.create_task(_watch(Cost(server.pid), memory))
    strangers = asyncio.create_task(_strangers(url, faults, deadline_s))
    await asyncio.gather(strangers, *(caller.call_until(deadline_s) for caller in callers))
    watching.cancel()
    return faults, memory


async def _strangers(url: str, faults: Faults, deadline_s: float) -> None:
    """All kinds of strangers, one after another, again and again."""
    while time.monotonic() < deadline_s:
        for stranger in STRANGERS:
            await visit(url, token(), stranger, faults)
            await asyncio.sleep(STRANGERS_PAUSE_S)


async def _watch(server: Cost, memory: list[float]) -> None:
    while True:
        memory.append(server.resident_mb or np.nan)
        await asyncio.sleep(SAMPLED_S)


def _warm_and_end(memory: list[float], seconds: float) -> tuple[float, float]:
    """Memory after the warm-up, and in the end: medians of some seconds, for it goes up and down."""
    warm = round(min(WARM_UP_S, seconds / 2) / SAMPLED_S)
    return float(np.median(memory[warm : warm + 10])), float(np.median(memory[-10:]))


__all__ = ["bench_soak", "print_report"]
