"""The picture of `streamrnn generate music`: keys against time, what was given and what was written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.cli.plot import GRID, PROBABILITY, WAVE, draw_panels

MARGIN_KEYS = 3


def draw_roll(frames: np.ndarray, given: int, lowest_midi: int, name: Callable[[int], str], path: Path) -> None:
    """Draws frames of keys, [time, keys], as a piano roll, 1600 pixels wide.

    Args:
        given: frames of the prompt, which are drawn in another colour.
        lowest_midi: MIDI number of the first key.
        name: the name of a MIDI number.
    """

    def fill(panel: Any) -> None:
        for colour, begin, end, label in ((WAVE, 0, given, "given"), (PROBABILITY, given, len(frames), "written")):
            times, keys = np.nonzero(frames[begin:end] > 0.5)
            panel.barh(lowest_midi + keys, 0.94, 0.8, begin + times, align="center", color=colour, label=label)
        sounding = lowest_midi + np.flatnonzero((frames > 0.5).any(axis=0))
        low, high = (int(sounding.min()), int(sounding.max())) if len(sounding) else (lowest_midi, lowest_midi + 12)
        octaves = [midi for midi in range(low - MARGIN_KEYS, high + MARGIN_KEYS + 1) if midi % 12 == 0]
        panel.set_yticks(octaves, [name(midi) for midi in octaves])
        panel.set_ylim(low - MARGIN_KEYS, high + MARGIN_KEYS)
        panel.set_xlim(0, len(frames))
        panel.grid(axis="y", color=GRID, linewidth=0.6)
        panel.set_xlabel("frames")
        panel.legend(frameon=False, loc="upper left")

    draw_panels(path, fill)


__all__ = ["draw_roll"]
