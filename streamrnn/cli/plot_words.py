"""The picture of `streamrnn evaluate keywords`."""

from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.cli.plot import FAINT, GRID, WAVE, as_written, draw_panels


def draw_confusions(title: str, figures: dict[str, Any], path: Path) -> None:
    """Draws which word is taken for which, and words missed against false alarms per hour; 1600 pixels wide."""
    panels = [lambda panel: _matrix(panel, title, figures["confusions"])]
    if detection := figures.get("detection"):
        panels.append(lambda panel: draw_detection(panel, detection))
    draw_panels(path, *panels)


def _matrix(panel: Any, title: str, confusions: dict[str, dict[str, int]]) -> None:
    said = list(confusions)
    heard = sorted({label for row in confusions.values() for label in row})
    counts = np.array([[confusions[label].get(other, 0) for other in heard] for label in said])
    shares = counts / counts.sum(axis=1, keepdims=True)
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if counts.size <= 400:
        for row, column in np.argwhere(counts):
            dark = shares[row, column] > 0.5
            panel.text(column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black")
    panel.set_xticks(range(len(heard)), [as_written(label) for label in heard], rotation=90)
    panel.set_yticks(range(len(said)), [as_written(label) for label in said])
    panel.set_xlabel("heard")
    panel.set_ylabel("said")
    panel.set_title(as_written(title), loc="left")


def draw_detection(panel: Any, detection: dict[str, Any]) -> None:
    """Draws words missed against false alarms per hour, by threshold."""
    points = detection["curve"]
    panel.plot(
        [p["false_alarms_per_hour"] for p in points], [100 * p["miss_rate"] for p in points], color=WAVE, marker="."
    )
    for point in points[1::4]:
        place = point["false_alarms_per_hour"], 100 * point["miss_rate"]
        panel.annotate(f"{point['threshold']:.2f}", place, textcoords="offset points", xytext=(6, 4), color=FAINT)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_xscale("symlog", linthresh=1)
    panel.set_xlabel(f"false alarms per hour, of {detection['hours']:.2f} h without words")
    panel.set_ylabel("words missed, %")
    panel.set_title("by threshold", loc="left")


__all__ = ["draw_confusions", "draw_detection"]
