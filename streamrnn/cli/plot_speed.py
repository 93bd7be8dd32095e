"""Pictures of speed: how many streams a device carries, and how fast layers learn."""

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from streamrnn.cli.plot import DASHES, DECIDED, FAINT, GRID, PROBABILITY, SPEECH, TEXT, WAVE, draw_panel, limit_line

# Our own bars in cool colours, those of others in warm ones.
OURS, OTHERS = (WAVE, SPEECH, "#56d4dd", "#388bfd", "#7ee787"), (PROBABILITY, "#ff7b72", "#d2a8ff")
GROUP_WIDTH = 0.8  # of the way to the next group
BAR_ALPHA = 0.65  # dark enough for light whiskers


def draw_real_time_streams(report: dict[str, Any], target: float | None, path: Path) -> None:
    """Writes the picture of streams in real time against those in a batch, called by the host and left to the device.

    Args:
        report: what streamrnn.bench.speed.bench_step measured.
        target: the least that is wanted of the best batch, if anything is.
        path: its suffix names the format; the picture is 1600 pixels wide.
    """
    draw_panel(lambda panel: _real_time_streams(panel, report, target), path)


def draw_training_speed(report: dict[str, Any], path: Path) -> None:
    """Writes the picture of each contender's frames per second by cell: medians, and 10th to 90th percentiles.

    Args:
        report: what streamrnn.bench.train.bench_train measured.
        path: its suffix names the format; the picture is 1600 pixels wide.
    """
    draw_panel(lambda panel: _training_speed(panel, report), path)


def thousands(number: float) -> str:
    """A speed in a few characters: 950, 52.3k, 1.23M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _real_time_streams(panel: Any, report: dict[str, Any], target: float | None) -> None:
    fitting = [row for row in report["device_batches"] if row["real_time_streams"] is not None]
    _curve(panel, fitting, color=PROBABILITY, label="left to the device")
    _curve(panel, report["batches"], color=WAVE, label="called by the host")
    rows = [*fitting, *report["batches"]]
    _as_many(panel, sorted({row["streams"] for row in rows}))
    if target is not None:
        limit_line(panel, "target", target)
    panel.set_ylim(bottom=0.5 * min(row["real_time_streams"] for row in rows))
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_ylabel("streams in real time")
    panel.set_title(f"{report['model']} on {report['machine']['device']}", loc="left")
    panel.grid(color=GRID, linewidth=0.6)
    panel.legend(frameon=False)


def _curve(panel: Any, rows: Sequence[dict[str, Any]], **look: Any) -> None:
    panel.loglog([row["streams"] for row in rows], [row["real_time_streams"] for row in rows], "o-", **look)


def _as_many(panel: Any, sizes: Sequence[int]) -> None:
    """Where a batch has as many streams as it serves in real time; a larger one is late."""
    look = {"color": FAINT, "linewidth": 1, "linestyle": DASHES}
    panel.plot(sizes, sizes, label="as many as in the batch; below, blocks are late", **look)
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("streams in a batch")


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


__all__ = ["draw_real_time_streams", "draw_training_speed", "thousands"]
