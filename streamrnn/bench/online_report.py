"""The results of compare_online as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

from streamrnn.bench.tables import figures_table, machine_line


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_online() returned as tables."""
    console = console or wide_console()
    console.print(machine_line(report["machine"]))
    console.print(f"Cores in the network of {report['model']}; one stream, one block, on one core of the machine.")
    console.print(_blocks(report))
    console.print(_headlines(report))
    console.print(conclusion(report))


def conclusion(report: dict[str, Any]) -> str:
    """What was measured, in a sentence: of the first recurrent network and of what keeps all that it heard."""
    by_system: dict[str, list[dict[str, Any]]] = {}
    for row in report["rows"]:
        if "p50_us" in row:
            by_system.setdefault(row["system"], []).append(row)
    late = {row["system"]: row["late_from_s"] for row in report["systems"]}
    grows = {name: rows[-1]["state_bytes"] > rows[0]["state_bytes"] for name, rows in by_system.items()}
    # "gru" is what the models that come with the package are made of.
    steady = ["gru"] if "gru" in grows else [name for name, does in grows.items() if not does]
    growing = [name for name, does in grows.items() if does]
    told = [_course(name, by_system[name], late[name]) for name in (*steady[:1], *growing[:1])]
    block = f"Of a block of {report['deadline_ms']:g} ms"
    return f"{block}, {'; '.join(told)}." if told else "Nothing was timed."


def _course(system: str, rows: list[dict[str, Any]], late_s: float | None) -> str:
    first, last = rows[0], rows[-1]
    memory = f"and keeps {size(last['state_bytes'])}B of a stream"
    times = f"{system} takes {_time(first['p50_us'])} after {duration(first['position_s'])}"
    if last is not first:
        times += f" and {_time(last['p50_us'])} after {duration(last['position_s'])}"
    return f"{times}, {memory}, {'never late' if late_s is None else f'late from about {duration(late_s)} on'}"


def _time(microseconds: float) -> str:
    return f"{microseconds:.3g} µs" if microseconds < 1000 else f"{microseconds / 1000:.3g} ms"


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


def _table(title: str, columns: list[str]) -> Table:
    return figures_table(title, columns, left=("system", "note"))


__all__ = ["conclusion", "duration", "print_report", "size", "wide_console"]
