"""One table of all results of a batch, and one of its failures."""

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from streamrnn.batch.journal import Entry, Journal
from streamrnn.batch.work import Failed, Plan

Table = Literal["csv", "parquet"]
EVENT_COLUMNS = ("recording", "kind", "label", "start_s", "end_s", "score", "decided_s", "reason", "slots")
RECORDING_COLUMNS = ("recording", "duration_s", "output")
TEXT = ("recording", "kind", "label", "reason", "slots", "output")
# Rows per Parquet row group, which bounds memory.
ROWS = 100_000


def write_table(plan: Plan, journal: Journal, names: Iterable[str], form: Table) -> Path:
    """Writes a table of finished recordings: a row per event, or per recording if the model outputs no events.

    Args:
        plan: of the batch.
        journal: of the folder.
        names: of the recordings.
        form: of the table.

    Raises:
        ImportError: Parquet needs the package pyarrow.
        OSError: it cannot be written.
    """
    entries = journal.entries()
    done = [entries[name] for name in names]
    is_events = plan.formats[0] == "jsonl"
    columns, rows = (EVENT_COLUMNS, _events(plan, done)) if is_events else (RECORDING_COLUMNS, _recordings(plan, done))
    path = plan.out / f"{'events' if is_events else 'recordings'}{plan.shard.suffix}.{form}"
    aside = journal.parts(plan.shard) / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    (_write_csv if form == "csv" else _write_parquet)(aside, columns, rows)
    aside.replace(path)
    return path


def write_failures(plan: Plan, journal: Journal, failures: list[Failed]) -> Path | None:
    """Writes the failures and their reasons; without any, removes the table of an earlier run."""
    path = plan.out / f"failed{plan.shard.suffix}.csv"
    if not failures:
        path.unlink(missing_ok=True)
        return None
    rows = [
        {
            "recording": failed.recording.name,
            "path": failed.recording.path,
            "reason": failed.reason,
            "tries": failed.tries,
        }
        for failed in failures
    ]
    aside = journal.parts(plan.shard) / path.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    _write_csv(aside, ("recording", "path", "reason", "tries"), rows)
    aside.replace(path)
    return path


def _events(plan: Plan, done: list[Entry]) -> Iterator[dict[str, Any]]:
    for entry in done:
        with (plan.out / plan.outputs(entry.name)[0]).open(encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if "slots" in event:
                    # Slot names depend on the grammar, so they are not columns.
                    event["slots"] = json.dumps(event["slots"], ensure_ascii=False)
                yield {"recording": entry.name, **event}


def _recordings(plan: Plan, done: list[Entry]) -> Iterator[dict[str, Any]]:
    for entry in done:
        yield {"recording": entry.name, "duration_s": entry.duration_s, "output": plan.outputs(entry.name)[0]}


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    # Names need not be UTF-8.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    pyarrow, parquet = require_parquet()
    schema = pyarrow.schema([(name, pyarrow.string() if name in TEXT else pyarrow.float64()) for name in columns])
    rows = iter(rows)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, ROWS)):
            writer.write_table(pyarrow.Table.from_pylist([_as_text(row) for row in group], schema))


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"recording": row["recording"].encode("utf-8", "replace").decode()}


def require_parquet() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises ImportError with advice."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Parquet needs the package pyarrow. Install it: pip install 'streamrnn[parquet]', or use --table csv."
        ) from error
    return pyarrow, pyarrow.parquet


__all__ = ["Table", "require_parquet", "write_failures", "write_table"]
