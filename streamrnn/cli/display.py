"""Events on the screen: plain lines for pipes and logs, a live meter for terminals."""

import time
from collections.abc import Callable
from typing import Protocol, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamrnn.decisions import Event, as_text

REFRESH_S = 1 / 15
BAR_CELLS = 16
SILENCE_DB, LOUD_DB = -60.0, -3.0
STYLES = {
    "speech_start": "bold green",
    "speech_end": "cyan",
    "keyword": "bold magenta",
    "word": "bold",
    "label": "bold green",
    "abstain": "bold yellow",
}


class Display(Protocol):
    """Where a run shows itself. A context manager: whatever it draws is gone afterwards, events stay."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception) -> None: ...

    def show(self, events: list[Event]) -> None:
        """Prints events at once. Raises BrokenPipeError when nobody reads them any more."""

    def move(self, time_s: float, samples: np.ndarray, activity: np.ndarray) -> None:
        """Shows how far the run is: the sound just heard, [n], and the model's activity in it, [frames] in [0, 1]."""


class Lines:
    """One line per event, flushed at once, for programs that read along.

    Args:
        render: event -> line.
    """

    def __init__(self, render: Callable[[Event], str]):
        self.render = render

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        """Nothing is drawn, so nothing has to go."""

    def show(self, events: list[Event]) -> None:
        for event in events:
            print(self.render(event), flush=True)

    def move(self, time_s: float, samples: np.ndarray, activity: np.ndarray) -> None:
        """Lines have no meter."""


class Meter:
    """Events scroll by above a line with the time, the level of the sound and the model's activity."""

    def __init__(self, console: Console):
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self.speaking, self.probability, self.due_s = False, 0.0, 0.0

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *exception) -> None:
        self.live.stop()

    def show(self, events: list[Event]) -> None:
        for event in events:
            self.live.console.print(Text(as_text(event), STYLES.get(event.kind, "")))
            self.speaking = event.begins or (self.speaking and not event.ends)

    def move(self, time_s: float, samples: np.ndarray, activity: np.ndarray) -> None:
        if len(activity):
            self.probability = float(activity[-1])
        if time.monotonic() >= self.due_s and len(samples):
            self.due_s = time.monotonic() + REFRESH_S
            self.live.update(self._line(time_s, level_db(samples)), refresh=True)

    def _line(self, time_s: float, level: float) -> Text:
        colour = "green" if self.speaking else "bright_black"
        parts = (
            Text(f"{time_s:8.1f} s", "bold"),
            Text(" level", "dim"),
            bar((level - SILENCE_DB) / -SILENCE_DB, "yellow" if level > LOUD_DB else "blue"),
            Text(f"{level:3.0f} dB", "dim"),
            Text(" speech", "dim"),
            bar(self.probability, colour),
            Text(f"{self.probability:.2f} ●", colour),
        )
        line = Text(" ", no_wrap=True, overflow="crop")
        return line.join(parts)


def bar(share: float, colour: str) -> Text:
    """A bar that is filled by `share`, clipped to [0, 1]."""
    filled = round(BAR_CELLS * min(max(share, 0.0), 1.0))
    return Text.assemble(("━" * filled, colour), ("━" * (BAR_CELLS - filled), "grey23"))


def level_db(samples: np.ndarray) -> float:
    """Root mean square of samples[n] in dB of full scale, at least SILENCE_DB."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(SILENCE_DB, 10 * np.log10(max(power, 1e-12)))


__all__ = ["Display", "Lines", "Meter", "bar", "level_db"]
