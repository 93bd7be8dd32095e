"""Pictures of `streamrnn compare`."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

from streamrnn.bench.online_report import duration
from streamrnn.cli.plot import FAINT, GRID, TEXT, check_plot, draw_panels

# Recurrent networks in cool colours, transformers in warm ones, what forgets after a while in grey.
COLOURS = {
    "elman": "#56d4dd",
    "gru": "#79c0ff",
    "lstm": "#3fb950",
    "mingru": "#a5d6ff",
    "minlstm": "#7ee787",
    "rglru": "#388bfd",
    "transformer": "#ff7b72",
    "transformer-window": "#ffa657",
    "transformer-recompute": "#d2a8ff",
    "feedforward": "#8b949e",
    "tcn": "#c9d1d9",
}


def check_folder(folder: Path) -> None:
    """Makes the folder. Raises ImportError without matplotlib, OSError where the folder can't be."""
    check_plot(folder / "latency.png")
    folder.mkdir(parents=True, exist_ok=True)


def draw_online(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what compare_online() returned: latency.png and state.png, 1600 pixels wide. Returns their paths."""
    pictures = {"latency.png": _latency, "state.png": _state}
    return [draw_panels(folder / name, framed(partial(draw, report=report))) for name, draw in pictures.items()]


def framed(content: Callable[[Any], None]) -> Callable[[Any], None]:
    """The content, with a grid below it, and a legend where lines have no names beside them."""

    def filled(panel: Any) -> None:
        panel.grid(color=GRID, linewidth=0.6)
        content(panel)
        if panel.get_legend_handles_labels()[1]:
            panel.legend(frameon=False)

    return filled


def _latency(panel: Any, report: dict[str, Any]) -> None:
    timed = [row for row in report["rows"] if "p50_us" in row]
    for system, rows in rows_by(timed, "system").items():
        positions_s, colour = [row["position_s"] for row in rows], COLOURS.get(system, TEXT)
        panel.plot(positions_s, [row["p50_us"] / 1000 for row in rows], "o-", color=colour)
        low, high = ([row[name] / 1000 for row in rows] for name in ("p10_us", "p90_us"))
        panel.fill_between(positions_s, low, high, color=colour, alpha=0.18, linewidth=0)
    _reading(panel, [row for row in report["rows"] if row["system"] == "transformer" and row["read_us"] is not None])
    panel.axhline(report["deadline_ms"], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="as long as its sound")
    panel.set_title("What a block costs, the longer the stream has run", color=TEXT, loc="left")
    _logarithmic(panel, report, f"milliseconds per block of {report['deadline_ms']:g} ms")
    _name_lines(panel, {name: (rows[-1], rows[-1]["p50_us"] / 1000) for name, rows in rows_by(timed, "system").items()})


def _reading(panel: Any, rows: list[dict[str, Any]]) -> None:
    """The least that a transformer's block can take, however it is written."""
    if rows:
        times_ms, style = [row["read_us"] / 1000 for row in rows], (0, (1, 2))
        label, colour = "reading a transformer's cache once", COLOURS["transformer"]
        panel.plot([row["position_s"] for row in rows], times_ms, color=colour, linestyle=style, label=label)


def _state(panel: Any, report: dict[str, Any]) -> None:
    for system, rows in rows_by(report["rows"], "system").items():
        state_bytes = [row["state_bytes"] for row in rows]
        panel.plot([row["position_s"] for row in rows], state_bytes, "o-", color=COLOURS.get(system, TEXT))
    panel.set_title("What a stream keeps, the longer it has run", color=TEXT, loc="left")
    _logarithmic(panel, report, "bytes of memory per stream")
    ends = {name: (rows[-1], rows[-1]["state_bytes"]) for name, rows in rows_by(report["rows"], "system").items()}
    _name_lines(panel, ends)


def _logarithmic(panel: Any, report: dict[str, Any], y: str) -> None:
    positions_s = sorted({row["position_s"] for row in report["rows"]})
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(positions_s, [duration(position_s) for position_s in positions_s], minor=False)
    panel.minorticks_off()
    # Room for the names of lines.
    panel.set_xlim(positions_s[0] / 1.3, positions_s[-1] * 12)
    panel.set_xlabel("how long the stream has run")
    panel.set_ylabel(y)


def _name_lines(panel: Any, ends: dict[str, tuple[dict[str, Any], float]]) -> None:
    """Names beside the ends of lines, in their colours; of lines that lie upon each other, side by side."""
    low, high = (math.log(limit) for limit in panel.get_ylim())
    together: list[list[tuple[str, float, float]]] = []
    for name, (row, y) in sorted(ends.items(), key=lambda end: (end[1][0]["position_s"], end[1][1])):
        last = together[-1][-1] if together else None
        if last is not None and last[1] == row["position_s"] and math.log(y / last[2]) < (high - low) / 24:
            together[-1].append((name, row["position_s"], y))
        else:
            together.append([(name, row["position_s"], y)])
    for lines in together:
        names, positions_s, ys = zip(*lines, strict=True)
        colour = COLOURS.get(names[0], TEXT) if len(names) == 1 else TEXT
        at = (positions_s[0] * 1.25, math.exp(sum(map(math.log, ys)) / len(ys)))
        panel.annotate(fill(", ".join(names), 34), at, color=colour, va="center", fontsize="small")


def rows_by(rows: list[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows by what they have under a name, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


__all__ = ["COLOURS", "check_folder", "draw_online", "framed", "rows_by"]
