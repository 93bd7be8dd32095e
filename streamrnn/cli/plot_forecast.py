"""The picture of `streamrnn run forecast`: what came, and the fans of what was expected, one after another."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamrnn.cli.plot import PROBABILITY, TEXT, WAVE, as_written, draw_panels

# Rows that are drawn; while lines still come, the picture is drawn anew so often.
MOST_ROWS = 2000
REDRAWN_S = 10.0


class Fans:
    """Draws the last column of a table's answers: its rows, the fan that was forecast once every horizon, and the last
    one. Where nothing comes any more it is whole, and while rows come it grows.

    Args:
        path: of the picture, 1600 pixels wide.
    """

    def __init__(self, path: Path):
        self._path, self._drawn_at = path, time.monotonic()
        self._came: deque[float] = deque(maxlen=MOST_ROWS)
        self._fans: dict[int, tuple[list[float], ...]] = {}
        self._rows, self._name = 0, ""

    def add(self, answer: Mapping[str, Any]) -> None:
        """Takes the answer to one row."""
        self._name, fan = next(reversed(answer["columns"].items()))
        if answer.get("begun_anew"):
            self._came.clear()
            self._fans.clear()
        # Rows that were missing repeat the one above.
        for _ in range(answer.get("repeated", 0)):
            self._came.append(self._came[-1])
        self._came.append(fan["now"])
        self._rows += 1 + answer.get("repeated", 0)
        levels = sorted(fan["quantiles"], key=float)
        origins = list(self._fans)
        if origins and origins[0] < self._rows - len(self._came):
            del self._fans[origins.pop(0)]
        if len(origins) > 1 and origins[-1] - origins[-2] < len(fan["mean"]):
            del self._fans[origins[-1]]
        self._fans[self._rows - 1] = (fan["mean"], fan["quantiles"][levels[0]], fan["quantiles"][levels[-1]])
        if time.monotonic() - self._drawn_at > REDRAWN_S:
            self.draw()

    def draw(self) -> None:
        """Writes the picture; nothing where there is nothing yet."""
        self._drawn_at = time.monotonic()
        if self._came:
            draw_panels(self._path, self._fill)

    def _fill(self, panel: Any) -> None:
        first = self._rows - len(self._came)
        panel.plot(range(first, self._rows), list(self._came), color=TEXT, linewidth=1.2, label="came")
        for origin, (mean, low, high) in self._fans.items():
            ahead = range(origin + 1, origin + 1 + len(mean))
            labels = ("expected", "its outer quantiles") if origin == self._rows - 1 else (None, None)
            panel.fill_between(ahead, low, high, color=WAVE, alpha=0.25, linewidth=0, label=labels[1])
            panel.plot(ahead, mean, color=PROBABILITY, linewidth=1.2, label=labels[0])
        panel.set_xlabel("rows")
        panel.set_ylabel(as_written(self._name))
        panel.legend(frameon=False, loc="upper left")


__all__ = ["Fans"]
