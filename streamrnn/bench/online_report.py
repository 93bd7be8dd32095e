"""What compare_online measured, as tables."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

LEFT = ("task", "system", "figure", "note")


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_online() returned as tables."""
    console, machine = console or wide_console(), report["machine"]
    console.print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}, {machine['system']}")
    console.print(f"Cores in the network of {report['model']}; one stream, one block, on one core of the machine.")
    console.print(_blocks(report))
    console.print(_training(report["training"]))
    console.print(_headlines(report))
    if report["accuracy"]:
        console.print(_accuracy(report["accuracy"]))


def duration(seconds: float | None) -> str:
    """Seconds as one reads them: 1 s, 10 min, 1.5 h."""
    if seconds is None:
        return ""
    for unit_s, unit in ((3600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.3g} {unit}"
    return f"{seconds:.3g} s"


def size(count: float | None) -> str:
    """A number of things as one reads it: 512, 3.26 k, 92.3 M."""
    if count is None:
        return ""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g} {letter}"
    return f"{count:.3g}"


def wide_console() -> Console:
    """The terminal, or, where the output goes into a file or a pipe, one wide enough for all columns."""
    console = Console()
    if not console.is_terminal:
        console.width = 140
    return console


def _headlines(report: dict[str, Any]) -> Table:
    deadline_ms = report["deadline_ms"]
    table = _table(
        f"Later than {deadline_ms:g} ms from when on, and streams served at the last position that was timed",
        ["system", "parameters", "late from", "timed to", "streams/core", "streams/GB"],
    )
    for row in report["systems"]:
        late_s, timed_to_s = row["late_from_s"], row["timed_to_s"]
        late = f"about {duration(late_s)}" if late_s is not None else "never" if timed_to_s is not None else ""
        served = [size(row["streams_per_core"]), size(row["streams_per_gb"])]
        table.add_row(row["system"], size(row["parameters"]), late, duration(timed_to_s), *served)
    return table


def _blocks(report: dict[str, Any]) -> Table:
    columns = [
        "system",
        "after",
        "room",
        "state B",
        "mult-adds",
        "read us",
        "p50 us",
        "p10-p90",
        "p99",
        "first ms",
        "note",
    ]
    table = _table(f"One block of {report['deadline_ms']:g} ms; {report['counted']}", columns)
    last = None
    for row in report["rows"]:
        if last not in (None, row["system"]):
            table.add_section()
        last = row["system"]
        counted = [size(row["room_frames"]), size(row["state_bytes"]), size(row["multiply_adds"]), size(row["read_us"])]
        table.add_row(row["system"], duration(row["position_s"]), *counted, *_timed(row), row["note"])
    return table


def _timed(row: dict[str, Any]) -> list[str]:
    if "p50_us" not in row:
        return [""] * 4
    spread = f"{size(row['p10_us'])}-{size(row['p90_us'])}"
    return [size(row["p50_us"]), spread, size(row["p99_us"]), size(row["first_block_ms"])]


def _training(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "Training: frames per second, forward and backward", ["system", "frames", "frames/s", "p10-p90", "note"]
    )
    for row in rows:
        spread = f"{size(row['p10'])}-{size(row['p90'])}" if "p10" in row else ""
        table.add_row(row["system"], str(row["frames"]), size(row.get("frames_per_s")), spread, row["note"])
    return table


def _accuracy(rows: list[dict[str, Any]]) -> Table:
    title = "Accuracy of trained models, streaming; ms of one core per second of sound, after a minute"
    table = _table(title, ["task", "system", "figure", "value", "95 %", "clips", "parameters", "ms/s"])
    for row in rows:
        interval = "" if row["interval"] is None else "-".join(f"{end:.4f}" for end in row["interval"])
        counted = [str(row["clips"]), size(row["parameters"]), size(row["core_ms_per_s"])]
        table.add_row(row["task"], row["core"], row["figure"], f"{row['value']:.4f}", interval, *counted)
    return table


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in LEFT else "right", no_wrap=column != "note")
    return table


__all__ = ["duration", "print_report", "size", "wide_console"]
