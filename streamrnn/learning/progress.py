"""Progress of a training run, for displays and for checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of a training run after an update.

    Attributes:
        step, steps: updates made, and their maximum.
        loss: mean over the updates since the last line of metrics.jsonl.
        best: the best validation so far; -inf before the first.
        validation: the figure of this update's validation, if it had one.
        steps_per_s: updates per second since that line, without validations.
    """

    step: int
    steps: int
    loss: float
    best: float
    validation: float | None
    steps_per_s: float

    @property
    def remaining_s(self) -> float:
        """Seconds for the remaining updates at this speed."""
        return (self.steps - self.step) / self.steps_per_s


Watch = Callable[[Progress], None]


@dataclass
class Tally:
    """The counters of a run, saved with its checkpoints. The last three count since the last line of the log."""

    step: int = 0
    best: float = -math.inf
    validations_since_best: int = 0
    loss_sum: float = 0.0
    gradient_norm_sum: float = 0.0
    updates: int = 0

    @property
    def loss(self) -> float:
        """Mean since the last line of the log."""
        return self.loss_sum / self.updates

    @property
    def gradient_norm(self) -> float:
        """Mean since the last line of the log."""
        return self.gradient_norm_sum / self.updates

    def add(self, loss: float, gradient_norm: float) -> None:
        """Counts an update."""
        self.step += 1
        self.updates += 1
        self.loss_sum += loss
        self.gradient_norm_sum += gradient_norm

    def judge(self, figure: float) -> bool:
        """Counts a validation and returns whether it is the best so far."""
        improved = figure > self.best
        self.best = max(self.best, figure)
        self.validations_since_best = 0 if improved else self.validations_since_best + 1
        return improved

    def begin_line(self) -> None:
        """Resets the counters of the line just written."""
        self.loss_sum, self.gradient_norm_sum, self.updates = 0.0, 0.0, 0


class Stopwatch:
    """Updates per second since `begin`."""

    def __init__(self):
        self.begin()

    def begin(self) -> None:
        self._started, self.updates = time.monotonic(), 0

    @property
    def steps_per_s(self) -> float:
        return self.updates / (time.monotonic() - self._started)


__all__ = ["Progress", "Stopwatch", "Tally", "Watch"]
