"""Pictures of how fast layers learn, how well cores hear, and what networks remember."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from streamrnn.cli.plot import DECIDED, FAINT, PROBABILITY, SPEECH, TEXT, WAVE, draw_panels
from streamrnn.cli.plot_compare import COLOURS, framed, rows_by

# Our own bars in cool colours, those of others in warm ones.
OURS, OTHERS = (WAVE, SPEECH, "#56d4dd", "#388bfd", "#7ee787"), (PROBABILITY, "#ff7b72", "#d2a8ff")
GROUP_WIDTH = 0.8  # of the way to the next group
BAR_ALPHA = 0.65  # dark enough for light whiskers
FIGURES = {"roc_auc": "ROC-AUC", "accuracy": "accuracy"}
SMALLEST = 1e-9  # gradients below are as good as none


def draw_training_speed(report: dict[str, Any], path: Path) -> None:
    """Writes the picture of each contender's frames per second by cell: medians, and 10th to 90th percentiles.

    Args:
        report: what benchmarks.training.bench_train measured.
        path: its suffix names the format; the picture is 1600 pixels wide.
    """
    draw_panels(path, lambda panel: _training_speed(panel, report))


def draw_memory(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what compare_memory() returned: gradients.png and learned.png, 1600 pixels wide. Returns their paths."""
    tasks = sorted({row["task"] for row in report["tasks"]})
    panels = [lambda panel, task=task: _learned(panel, report["tasks"], task) for task in tasks]
    gradients = draw_panels(folder / "gradients.png", framed(lambda panel: _gradients(panel, report["gradients"])))
    return [gradients, draw_panels(folder / "learned.png", *map(framed, panels))]


def draw_accuracy(report: dict[str, Any], folder: Path) -> list[Path]:
    """Draws the accuracies that compare_cores() returned, if any, into accuracy.png, a panel per task."""
    by_task = rows_by(report["accuracy"], "task").values()
    panels = [lambda panel, rows=rows: _accuracy(panel, rows) for rows in by_task]
    return [draw_panels(folder / "accuracy.png", *map(framed, panels))] if panels else []


def draw_capacity(report: dict[str, Any], path: Path) -> None:
    """Writes the picture of p99 against streams per process that simulate_capacity() returned: of a process alone, and
    of the fullest node after the loss of one of so many. The picture is 1600 pixels wide."""
    draw_panels(path, framed(lambda panel: _capacity(panel, report)))


def _capacity(panel: Any, report: dict[str, Any]) -> None:
    lines = {"one process alone": report["alone"]}
    lines |= {f"after one of {nodes} is lost": rows for nodes, rows in rows_by(report["lost"], "nodes").items()}
    for (name, rows), colour in zip(lines.items(), cycle(OURS), strict=False):
        streams, late_ms = [row["streams"] for row in rows], [row["p99_ms"] for row in rows]
        panel.plot(streams, late_ms, "o-", color=colour, label=name)
    panel.set_yscale("log")
    panel.set_xlabel("streams per process, before")
    panel.set_ylabel("milliseconds to the answer, p99, simulated")


def thousands(number: float) -> str:
    """A speed in a few characters: 950, 52.3k, 1.23M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _training_speed(panel: Any, report: dict[str, Any]) -> None:
    rows, size = report["rows"], report["size"]
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    colours = _colours(dict.fromkeys(row["contender"] for row in rows))
    _groups(panel, [[row for row in rows if row["cell"] == cell] for cell in cells], colours)
    panel.set_xticks(range(len(cells)), cells)
    panel.set_ylabel("frames per second")
    panel.yaxis.set_major_formatter(lambda speed, _: thousands(speed))
    shape = f"{size['layers']} layers of {size['hidden']}, {size['batch']} recordings of {size['frames']} frames"
    panel.set_title(f"{shape}, {report['dtype']}, on {report['machine']['device']}", loc="left")
    _legend(panel, colours)


def _groups(panel: Any, groups: Sequence[Sequence[dict[str, Any]]], colours: dict[str, str]) -> None:
    """All bars are equally wide, and each group stands around its number."""
    width = GROUP_WIDTH / max(map(len, groups))
    for place, group in enumerate(groups):
        for number, row in enumerate(group):
            _bar(panel, row, place + (number - (len(group) - 1) / 2) * width, width, colours[row["contender"]])


def _bar(panel: Any, row: dict[str, Any], centre: float, width: float, colour: str) -> None:
    speed, high = row["frames_per_s"], row["p90"]
    whiskers = {"yerr": [[speed - row["p10"]], [high - speed]], "ecolor": DECIDED, "capsize": 4}
    panel.bar(centre, speed, 0.92 * width, color=colour, alpha=BAR_ALPHA, **whiskers)
    above = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center", "fontsize": 9.5, "color": TEXT}
    panel.annotate(thousands(speed), (centre, high), **above)


def _colours(names: Iterable[str]) -> dict[str, str]:
    ours, others = cycle(OURS), cycle(OTHERS)
    return {name: next(ours if name.startswith("streamrnn") else others) for name in names}


def _legend(panel: Any, colours: dict[str, str]) -> None:
    """Under the panel: bars reach into every corner of it."""
    for name, colour in colours.items():
        panel.bar(0, 0, color=colour, alpha=BAR_ALPHA, label=name)
    panel.figure.legend(loc="outside lower center", frameon=False, ncols=len(colours))


def _accuracy(panel: Any, rows: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogFormatter

    for row in rows:
        value, colour = row["value"], COLOURS.get(row["core"], TEXT)
        low, high = row["interval"] or (value, value)
        bars, style = [[value - low], [high - value]], {"markersize": 10, "capsize": 4, "elinewidth": 1}
        panel.errorbar([row["core_ms_per_s"]], [value], bars, fmt="o", color=colour, label=row["core"], **style)
    panel.set_xscale("log")
    for ticks in (panel.xaxis.set_major_formatter, panel.xaxis.set_minor_formatter):
        ticks(LogFormatter())
    panel.set_title(rows[0]["task"], loc="left")
    panel.set_xlabel("milliseconds of one core per second of sound")
    panel.set_ylabel(f"{FIGURES[rows[0]['figure']]}, streaming")


def _gradients(panel: Any, gradients: dict[str, dict[str, list[float]]]) -> None:
    for core, of_core in gradients.items():
        low, middle, high = ([max(v, SMALLEST) for v in of_core[name]] for name in ("p10", "median", "p90"))
        panel.plot(middle, color=COLOURS.get(core, TEXT), linewidth=2, label=core)
        panel.fill_between(range(len(middle)), low, high, color=COLOURS.get(core, TEXT), alpha=0.18, linewidth=0)
    panel.set_yscale("log")
    panel.set_ylim(bottom=SMALLEST)
    panel.set_xlabel("lag in frames")
    panel.set_ylabel("gradient by the input so far back, over that by the last one")


def _learned(panel: Any, rows: list[dict[str, Any]], task: str) -> None:
    of_task = [row for row in rows if row["task"] == task]
    for core, of_core in rows_by(of_task, "core").items():
        lengths, colour = [row["length"] for row in of_core], COLOURS.get(core, TEXT)
        panel.plot(lengths, [row["accuracy"] for row in of_core], "o-", color=colour, label=core)
        low, high = ([of(row["accuracies"]) for row in of_core] for of in (min, max))
        panel.fill_between(lengths, low, high, color=colour, alpha=0.18, linewidth=0)
    panel.axhline(of_task[0]["chance"], color=FAINT, linewidth=1, linestyle=(0, (4, 4)), label="chance")
    panel.set_ylim(-0.03, 1.03)
    panel.set_title(task, loc="left")
    panel.set_xlabel("frames to remember over")
    panel.set_ylabel("share that is right")


__all__ = ["draw_accuracy", "draw_capacity", "draw_memory", "draw_training_speed", "thousands"]
