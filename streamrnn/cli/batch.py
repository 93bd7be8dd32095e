"""`streamrnn batch`: thousands of recordings into a folder, on this machine or on a cluster."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

from streamrnn.cli.decision import DecisionFlags, given
from streamrnn.cli.flags import default_is, parse
from streamrnn.cli.interrupt import until_interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from streamrnn.batch import Plan, Progress, Report

Format = Literal["jsonl", "srt", "txt", "rttm", "wav", "flac", "npy"]
# Some recordings failed, the others are done.
SOME_FAILED = 1
# More threads than this wait for Python's lock; --shard starts more processes.
MOST_JOBS = 8
# Between two lines in a log.
TOLD_S = 30.0


@dataclass(frozen=True)
class Batch:
    """Runs a model on many recordings and writes the results to a folder. A second run does only what is left.

    examples:
      streamrnn batch vad calls/ --out heard              every recording in a folder and all below it
      streamrnn batch vad "calls/2026-*/*.opus" --out heard --formats rttm srt --table csv
      streamrnn batch digits list.txt manifest.jsonl --out heard
      streamrnn batch denoise calls/ --out clean --formats flac
      streamrnn batch vad calls/ --out heard --ray auto   on the workers of a Ray cluster
      streamrnn batch vad calls/ --out heard --shard $SLURM_ARRAY_TASK_ID/64     one of 64 tasks, numbered from 0

    Outputs are RECORDING.jsonl and so on, and are written whole or not at all. Exit status: 0 all done; 1 some
    recordings failed, see OUT/failed.csv for the reasons; 2 nothing could be done.
    """

    model: tyro.conf.Positional[str]
    """Name of a model or task (see `streamrnn models`); path of a .safetensors or .onnx file; or hf://owner/name."""
    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Recordings, folders, patterns ("*.wav"), lists of paths (.txt) or manifests (.csv, .tsv, .jsonl)."""
    out: Path
    """Output folder."""
    formats: Annotated[tuple[Format, ...], default_is("jsonl, wav or npy, depending on the model")] = ()
    """What to write for each recording. Events: jsonl (always), srt, txt (Audacity labels), rttm; sound: wav or flac;
    numbers: npy."""
    table: Annotated[Literal["csv", "parquet"] | None, default_is("none")] = None
    """Also write all events to one table, OUT/events.csv or .parquet."""
    unchanged: Literal["stat", "content"] = "stat"
    """How to recognise a recording as already done: by the size and time of its file, or by its bytes."""
    retries: int = 2
    """How often to retry when reading or computing fails. Files without sound are not retried."""
    jobs: Annotated[int | None, default_is("one per core, at most 8 on this machine")] = None
    """Recordings to process at once, in as many threads or Ray workers."""
    ray: Annotated[str | None, default_is("this machine's threads")] = None
    """Run on a Ray cluster: `local` starts one here; auto, HOST:6379 or ray://HOST:10001 uses a running one."""
    gpus: float = 0.0
    """GPUs per Ray worker; may be a fraction."""
    shard: Annotated[str | None, default_is("all")] = None
    """Process only part i of n, i/n, counted from 0. A recording's name determines its part."""
    channel: Annotated[int | None, default_is("the mean of all")] = None
    """The channel to use, from 0."""
    decision: DecisionFlags = field(default_factory=DecisionFlags)


def main(args: list[str]) -> None:
    """Runs `streamrnn batch`.

    Raises:
        OSError, ValueError, TypeError, ImportError: nothing could be done.
        SystemExit: with status 1 if some recordings failed.
    """
    flags = parse(Batch, "batch", args)
    if flags.retries < 0:
        raise ValueError(f"--retries is {flags.retries}; it must be 0 or more.")
    from streamrnn.batch import Plan, Shard, Threads, find_batch, run_batch
    from streamrnn.batch.work import formats_of
    from streamrnn.pretrained import load
    from streamrnn.runtime import configure

    shard = Shard() if flags.shard is None else Shard.parse(flags.shard)
    recordings = find_batch(flags.inputs, flags.out, shard)
    cluster = None
    if flags.ray is not None:
        from streamrnn.integrations.ray import RayWorkers

        cluster = RayWorkers(flags.ray, flags.jobs, flags.gpus)
        cluster.join()
    if not flags.model.endswith(".onnx"):
        configure()
    model, decision = load(flags.model), given(flags.decision)
    try:
        formats = formats_of(model, flags.formats, **decision)
    except TypeError as error:
        raise ValueError(str(error)) from None
    by_content = flags.unchanged == "content"
    plan = Plan(flags.model, flags.out, formats, decision, flags.channel, flags.retries, by_content, shard)
    jobs = min(MOST_JOBS, os.cpu_count() or 1) if flags.jobs is None else flags.jobs
    report = _shown(run_batch(plan, model, recordings, cluster or Threads(model, jobs), flags.table))
    print(_summary(plan, report), file=sys.stderr)
    if report.failed:
        sys.exit(SOME_FAILED)


def _shown(batch: "Generator[Progress, None, Report]") -> "Report":
    """Runs it, and shows how far it is."""
    found: list[Report] = []

    def steps() -> Iterator["Progress"]:
        found.append((yield from batch))

    with closing(batch), closing(until_interrupted(steps())) as progress, _watching() as show:
        for now in progress:
            show(now)
    return found[0]


@contextmanager
def _watching() -> Iterator["Callable[[Progress], None]"]:
    """A bar on a terminal; in a log, a line now and then."""
    console = Console(stderr=True)
    columns = (TextColumn("batch"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar, told_s = bars.add_task("", total=None), time.monotonic()

        def show(now: "Progress") -> None:
            nonlocal told_s
            bars.update(bar, completed=now.done, total=now.of, description=_figures(now))
            if not console.is_terminal and time.monotonic() - told_s >= TOLD_S:
                told_s = time.monotonic()
                print(f"{now.done} of {now.of} recordings; {_figures(now)}", file=sys.stderr, flush=True)

        yield show


def _figures(now: "Progress") -> str:
    left = "" if now.left_s is None else f"  {timedelta(seconds=round(now.left_s))} left"
    return f"{now.heard_s / 3600:.2f} h  {_speed(now.heard_s, now.took_s)}{left}"


def _speed(heard_s: float, took_s: float) -> str:
    return f"{heard_s / 3600 / took_s:.3f} h/s" if took_s else "-"


def _summary(plan: "Plan", report: "Report") -> str:
    done = f"{report.done} recordings done, {report.heard_s / 3600:.2f} h in {report.took_s:.1f} s"
    speed = _speed(report.heard_s, report.took_s)
    by = "content" if plan.by_content else "size and time"
    before = f"; {report.before} done before and unchanged by {by}" if report.before else ""
    failed = f"; {len(report.failed)} failed: see {report.failures}" if report.failed else ""
    table = f"; wrote {report.table}" if report.table is not None else ""
    return f"{done} ({speed}){before}{failed}{table}"


__all__ = ["Batch", "main"]
