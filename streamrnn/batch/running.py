"""A batch from its list of recordings to its report."""

import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from streamrnn.batch.journal import Journal
from streamrnn.batch.recordings import BatchRecording
from streamrnn.batch.tables import Table, require_parquet, write_failures, write_table
from streamrnn.batch.work import Done, Failed, Plan, Workers
from streamrnn.runtime.steps import AnyModel, step_of

LOOKING_THREADS = 8


@dataclass(frozen=True)
class Progress:
    """The progress of a batch.

    Attributes:
        done, of: recordings; those finished earlier do not count.
        heard_s, took_s: seconds of sound processed, and of time.
        left_s: estimated seconds left, by the size of files; None before the first recording is done.
    """

    done: int
    of: int
    heard_s: float
    took_s: float
    left_s: float | None


@dataclass
class Report:
    """The result of a batch.

    Attributes:
        done: recordings processed now.
        before: recordings finished earlier, and unchanged.
        failed: recordings without output, sorted by name.
        heard_s, took_s: seconds of sound processed, and of time.
        failures, table: the files that list them, if written.
    """

    done: int = 0
    before: int = 0
    failed: list[Failed] = field(default_factory=list)
    heard_s: float = 0.0
    took_s: float = 0.0
    failures: Path | None = None
    table: Path | None = None


def run_batch(
    plan: Plan, model: AnyModel, recordings: Sequence[BatchRecording], workers: Workers, table: Table | None = None
) -> Generator[Progress, None, Report]:
    """Processes all recordings that are not done yet. Closing the generator stops the work; finished recordings remain.

    Args:
        plan: what to do.
        model: the loaded model, or its step; it identifies the batch, and runs only if the workers use it.
        recordings: from find_batch.
        workers: process the recordings.
        table: also write one table of all results.

    Yields:
        The progress, several times a second.

    Returns:
        The report.

    Raises:
        OtherBatch: the folder has the outputs of another model, or another batch is writing to it.
        DiskFull: the outputs cannot be written.
        ImportError: the table needs a package.
        ValueError: an output would replace a recording, or two have the same name.
        OSError: the folder cannot be written to.
    """
    if table == "parquet":
        require_parquet()
    _check_outputs(plan, recordings)
    journal, report, began_s = Journal(plan.out), Report(), time.monotonic()
    plan.out.mkdir(parents=True, exist_ok=True)
    with journal.held(plan.shard):
        journal.claim(_identity(plan, model))
        todo = _not_done(plan, journal, recordings)
        report.before = len(recordings) - len(todo)
        sizes = {recording.name: _size(recording.path) for recording in todo}
        all_bytes, done_bytes = sum(sizes.values()), 0
        try:
            with closing(workers.outcomes(plan, todo)) as outcomes:  # pyright: ignore[reportArgumentType]
                for outcome in outcomes:
                    if isinstance(outcome, Done):
                        report.done += 1
                    elif isinstance(outcome, Failed):
                        report.failed.append(outcome)
                    if outcome is not None:
                        done_bytes += sizes[outcome.recording.name]
                    took_s = time.monotonic() - began_s
                    left_s = took_s * (all_bytes - done_bytes) / done_bytes if done_bytes else None
                    yield Progress(report.done + len(report.failed), len(todo), workers.heard_s(), took_s, left_s)
        finally:
            report.heard_s, report.took_s = workers.heard_s(), time.monotonic() - began_s
            # Threads end in any order.
            report.failed.sort(key=lambda failed: failed.recording.name)
            report.failures = write_failures(plan, journal, report.failed)
        if table is not None:
            # A recording that failed now may have been done before, as a different file.
            failed = {each.recording.name for each in report.failed}
            names = [recording.name for recording in recordings if recording.name not in failed]
            report.table = write_table(plan, journal, names, table)
    return report


def _identity(plan: Plan, model: AnyModel) -> dict:
    """Everything that outputs depend on besides the sound."""
    step = step_of(model)
    return {
        "model": step.name,
        "fingerprint": step.fingerprint,
        "decision": dict(sorted(plan.decision.items())),
        "channel": plan.channel,
    }


def _not_done(plan: Plan, journal: Journal, recordings: Sequence[BatchRecording]) -> list[BatchRecording]:
    entries = journal.entries()

    def is_done(recording: BatchRecording) -> bool:
        outputs = plan.outputs(recording.name)
        return journal.has(entries.get(recording.name), recording, outputs, plan.by_content)

    # Network file systems answer many requests at once.
    with ThreadPoolExecutor(LOOKING_THREADS) as looking:
        found = list(looking.map(is_done, recordings))
    return [recording for recording, is_done in zip(recordings, found, strict=True) if not is_done]


def _check_outputs(plan: Plan, recordings: Sequence[BatchRecording]) -> None:
    inputs = {recording.path.resolve() for recording in recordings}
    seen: dict[str, str] = {}
    for recording in recordings:
        for name in plan.outputs(recording.name):
            if (other := seen.setdefault(name, recording.name)) != recording.name:
                raise ValueError(f"{other} and {recording.name} would both be written as {name}. Rename one of them.")
            if (plan.out / name).resolve() in inputs:
                raise ValueError(f"{plan.out / name} is a recording and would be replaced. Choose another --out.")


def _size(path: Path) -> int:
    try:
        return max(1, path.stat().st_size)
    except OSError:
        return 1


__all__ = ["Progress", "Report", "run_batch"]
