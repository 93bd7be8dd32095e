"""`python -m benchmarks.stress`: the whole suite, or parts of it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.stress.comings import try_streams
from benchmarks.stress.doors import try_hellos, try_requests, try_resumes
from benchmarks.stress.floods import KINDS
from benchmarks.stress.fuzzing import try_connections, try_recordings
from benchmarks.stress.pools import try_pool
from benchmarks.stress.report import Part
from benchmarks.stress.servers import Served, served
from benchmarks.stress.trainings import try_kills
from benchmarks.stress.victims import Victim, percentiles

QUICK = 0.02
# What another stream may suffer while strangers rage: the median, and the 99th percentile, over that at rest. Unguarded
# it is seconds; a machine that is busy with other work is late by some tenths of one by itself.
LATE_MS, LATEST_MS = 100.0, 1500.0
LEFT_S = 15.0
# Counts at scale 1.
STREAMS, RESUMES, HELLOS, CONNECTIONS, RECORDINGS, POOLED, KILLS = 1765, 3312, 750_000, 54_000, 46_000, 6796, 4


@dataclass(frozen=True)
class Stress:
    """Lets strangers, crowds and damaged data loose on a server, a pool and trainings of its own.

    Ends with status 1 if anything was wrong. In full it takes about ten minutes on two idle cores.
    """

    quick: bool = False
    """A fiftieth of everything."""
    scale: Annotated[float, tyro.conf.arg(help_behavior_hint="(default: 1)")] = 1.0
    """Everything so many times as often."""
    only: tuple[str, ...] = ()
    """Parts to run: requests, resumes, hellos, connections, recordings, streams, pool, floods, trainings."""
    seed: int = 0
    """Of the choice of faults."""


def run(stress: Stress) -> list[Part]:
    """Runs the suite.

    Raises:
        RuntimeError: the server did not start, or did not end.
        ValueError: there is no such part.
    """
    scale = QUICK if stress.quick else stress.scale
    seed = stress.seed

    def times(count: int) -> int:
        return max(1, round(scale * count))

    on_server: dict[str, Callable[[Served, Part], None]] = {
        "requests": try_requests,
        "resumes": lambda server, part: asyncio.run(try_resumes(server, part, max(16, times(RESUMES)), seed)),
        "connections": lambda server, part: asyncio.run(try_connections(server, part, times(CONNECTIONS), seed)),
        "recordings": lambda server, part: asyncio.run(try_recordings(server, part, times(RECORDINGS), seed)),
        "floods": lambda server, part: _try_floods(server, part, 3.0 if scale >= 0.5 else 1.0),
    }
    alone: dict[str, Callable[[Part], None]] = {
        "hellos": lambda part: try_hellos(part, times(HELLOS), seed),
        "streams": lambda part: _try_streams(part, times(STREAMS), seed),
        "pool": lambda part: try_pool(part, times(POOLED), seed),
        "trainings": lambda part: try_kills(part, times(KILLS)),
    }
    names = [*on_server, *alone]
    if unknown := set(stress.only) - set(names):
        raise ValueError(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(names)}.")
    wanted = [name for name in names if not stress.only or name in stress.only]
    parts = []
    if any(name in on_server for name in wanted):
        with served("vad", "denoise", max_uploads=8, resume_s=2.0) as server:
            for name in filter(on_server.__contains__, wanted):
                with Part(name).timed() as part:
                    parts.append(part)
                    on_server[name](server, part)
                    left = server.left_after(LEFT_S)
                    part.require(not left, f"left behind: {left}")
    for name in filter(alone.__contains__, wanted):
        with Part(name).timed() as part:
            parts.append(part)
            alone[name](part)
    return parts


def _try_streams(part: Part, streams: int, seed: int) -> None:
    with served("vad", max_streams=8, resume_s=2.0) as server:
        asyncio.run(try_streams(server, part, streams, seed))
        left = server.left_after(LEFT_S)
        part.require(not left, f"left behind: {left}")


def _try_floods(server: Served, part: Part, seconds: float) -> None:
    """Each kind of flood, from four connections, while another stream is live."""
    resting = Victim(server)
    asyncio.run(resting.live(3.0))
    median, late, _ = percentiles(resting.latencies_ms)
    for kind in KINDS:
        victim = Victim(server)
        asyncio.run(_flooded(server, victim, kind, seconds))
        part.count("kinds of floods")
        now = percentiles(victim.latencies_ms)
        told = f"{kind}: {now} ms for {median, late} at rest"
        part.require(victim.problem is None, f"{kind}: {victim.problem}")
        part.require(now[0] < median + LATE_MS and now[1] < late + LATEST_MS, told)
        print(told, file=sys.stderr)


async def _flooded(server: Served, victim: Victim, kind: str, seconds: float) -> None:
    living = asyncio.create_task(victim.live(seconds + 2.0))
    await asyncio.sleep(0.5)
    command = [sys.executable, "-m", "benchmarks.stress.floods", kind, "4", str(seconds), str(server.port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    await asyncio.gather(process.wait(), living)


def show(parts: list[Part], console: Console) -> None:
    """Prints what was tried, and what went wrong."""
    table = Table("part", "tried", "wrong", "seconds", title="Stress", title_justify="left")
    for part in parts:
        tried = "\n".join(f"{count:,} {kind}" for kind, count in part.tried.items())
        table.add_row(part.name, tried, str(part.failed) if part.failed else "-", f"{part.seconds:.0f}")
    console.print(table)
    for part in parts:
        for problem in part.problems:
            console.print(f"{part.name}: {problem}", markup=False, style="red")


def main() -> None:
    """Reads flags, runs, prints; status 1 if anything was wrong."""
    try:
        parts = run(tyro.cli(Stress, prog="python -m benchmarks.stress"))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"stress: {error}")
    show(parts, Console())
    sys.exit(1 if any(part.failed for part in parts) else 0)


if __name__ == "__main__":
    main()

__all__ = ["Stress", "main", "run", "show"]
