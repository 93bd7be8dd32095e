"""The picture of how many streams a device carries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamrnn.cli.plot import DASHES, FAINT, GRID, PROBABILITY, WAVE, draw_panels, limit_line


def draw_real_time_streams(report: dict[str, Any], target: float | None, path: Path) -> None:
    """Writes the picture of streams in real time against those in a batch, called by the host and left to the device.

    Args:
        report: what streamrnn.bench.speed.bench_step measured.
        target: the least that is wanted of the best batch, if anything is.
        path: its suffix names the format; the picture is 1600 pixels wide.
    """
    draw_panels(path, lambda panel: _real_time_streams(panel, report, target))


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


__all__ = ["draw_real_time_streams"]
