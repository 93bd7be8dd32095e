"""The training loop: generic over models, losses and batches."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flax import nnx

from streamrnn.contract import Layer
from streamrnn.learning.batches import suspects, without_names
from streamrnn.learning.checkpoints import Checkpoints
from streamrnn.learning.devices import from_main, is_alone, is_main
from streamrnn.learning.learner import InitialCarry, Learned, Learner, Loss
from streamrnn.learning.lock import locked
from streamrnn.learning.logging import MetricsLog
from streamrnn.learning.optimizer import make_schedule
from streamrnn.learning.progress import Progress, Stopwatch, Tally, Watch
from streamrnn.learning.settings import TrainingSettings

Batches = Callable[[int, int], Iterator[Any]]
Validate = Callable[[Any], float]
Keep = Callable[[Any, float], None]


def fit(
    model: Layer,
    loss: Loss,
    batches: Batches,
    validate: Validate,
    settings: TrainingSettings,
    out: Path,
    identity: dict[str, Any],
    *,
    initial_carry: InitialCarry | None = None,
    watch: Watch = lambda progress: None,
    keep: Keep = lambda model, figure: None,
    tensorboard: bool = False,
    secret: int = 0,
) -> float:
    """Trains the model in place, resuming if the folder `out` holds an earlier part of the same run.

    All devices of all processes take part: each batch's rows are split over them (see learning/devices.py).

    Args:
        model: changed in place; at the end it has the weights of the best validation and is in eval mode.
        loss: (model, batch) -> losses.Mean, or a scalar that is a mean over the rows of the batch.
        batches: (first step, end step) -> the batches of these steps, in order, all of the same shapes: pytrees of
            arrays with the row as axis 0. A dict may also have "names", a list with the name of each row, str, or those
            of all recordings in it, a tuple of str: for errors, and for the privacy accounting.
        validate: model -> figure, higher is better; called on the model in eval mode.
        settings: how long and how fast.
        out: folder of the checkpoints and of metrics.jsonl: step, loss and gradient_norm (means since the line before),
            learning_rate, steps_per_s and, if validated, validation.
        identity: task, model and settings of the run, JSON-friendly; see Checkpoints.
        initial_carry: for truncated backpropagation through time (Williams and Peng 1990) over recordings longer than a
            batch: (model, batch) -> the state of fresh streams, a pytree whose leaves have the row as axis 0. The loss
            is then (model, batch, carry) -> (loss, carry): each row continues from its state in the previous
            batch, without a gradient through it, or starts fresh if batch["reset"], bool[rows], is True.
        watch: called after every update (in process 0); fit itself prints nothing.
        keep: called with the model and its figure after every validation that is the best so far (in process 0).
        tensorboard: also write `out`/tensorboard.
        secret: seed of the noise in private training; it is stored in the checkpoints, too.

    Returns:
        The best figure of validate.

    Raises:
        FloatingPointError: loss, gradients or validation are no longer finite; the message names the last rows, if they
            have names. The last checkpoint is kept.
        MemoryError: the devices have too little memory for an update; the message says how to need less. The last
            checkpoint is kept.
        ValueError: `out` holds another run, a batch's rows can't be split evenly over the devices, or training is
            private and carries states.
        BlockingIOError: another process is training into `out`.
        OSError: a checkpoint can't be written; the last good one is kept.
        TypeError: the model has Variables that change in other ways than by gradients.
        ImportError: TensorBoard is requested, but not installed.

    Errors of `loss`, `batches` and `validate` pass through, and so does KeyboardInterrupt. The same call then resumes
    from the last checkpoint and ends with the weights of an uninterrupted run. On a KeyboardInterrupt from `batches`,
    between two updates, a checkpoint is written first, if no other processes take part.
    """
    learner = Learner(model, loss, settings, initial_carry, secret)
    with ExitStack() as stack:
        if is_main():
            stack.enter_context(locked(out))
        checkpoints = stack.enter_context(closing(Checkpoints(out, identity)))
        run = _Run(model, learner, validate, settings, checkpoints, watch, keep)
        if is_main():
            run.log = stack.enter_context(closing(MetricsLog(out, run.tally.step, tensorboard)))
        return run.train(batches)


class _Run:
    log: MetricsLog | None = None
    # None until the first batch determines the shape of the carry.
    learned: Any = None

    def __init__(
        self,
        model: Layer,
        learner: Learner,
        validate: Validate,
        settings: TrainingSettings,
        checkpoints: Checkpoints,
        watch: Watch,
        keep: Keep,
    ):
        self.keep = keep
        self.model, self.learner, self.validate = model, learner, validate
        self.settings, self.checkpoints, self.watch = settings, checkpoints, watch
        self.schedule, self.stopwatch = make_schedule(settings), Stopwatch()
        fresh = checkpoints.last_step is None
        self.tally = Tally() if fresh else Tally(**checkpoints.restore_counters())

    def train(self, batches: Batches) -> float:
        if not self.finished:
            self._update_all(batches)
        best = self.checkpoints.restore_best(self.learner.weights)
        nnx.update(self.model, self.learner.devices.copy_here(best))
        return self.tally.best

    @property
    def finished(self) -> bool:
        impatient = 0 < self.settings.patience <= self.tally.validations_since_best
        return impatient or self.tally.step >= self.settings.steps

    def _update_all(self, batches: Batches) -> None:
        for batch in self._saved_when_interrupted(batches):
            self._update(batch)
            if self.finished:
                return

    def _saved_when_interrupted(self, batches: Batches) -> Iterator[Any]:
        try:
            yield from batches(self.tally.step, self.settings.steps)
        except KeyboardInterrupt:
            # Processes are interrupted at different steps, but can only save a checkpoint together.
            if is_alone() and self.learned is not None and self.tally.step != self.checkpoints.last_step:
                self._save(improved=False)
            raise

    def _update(self, batch: Any) -> None:
        try:
            shared = self.learner.share(without_names(batch)[0])
            before = self._begin(shared) if self.learned is None else self.learned
            self.learned, figures = self.learner.update(before, shared, self.tally.step)
        except MemoryError as error:
            raise MemoryError(
                f"{error} This was after {self.tally.step} updates; {self._kept}. Other settings need another --out."
            ) from error
        loss, norm = float(figures.loss), float(figures.gradient_norm)
        self._require_finite("loss", loss, batch)
        self._require_finite("gradients' norm", norm, batch)
        self.tally.add(loss, norm)
        self.stopwatch.updates += 1
        self._report()

    def _begin(self, batch: Any) -> Learned:
        fresh = self.learner.begin(batch)
        return fresh if self.checkpoints.last_step is None else self.checkpoints.restore(fresh)

    def _report(self) -> None:
        step, settings, tally = self.tally.step, self.settings, self.tally
        speed, figure = self.stopwatch.steps_per_s, None
        if step % settings.validate_every == 0 or step == settings.steps:
            figure = self._validation()
        improved = figure is not None and tally.judge(figure)
        progress = Progress(step, settings.steps, tally.loss, tally.best, figure, speed)
        if line_is_due := figure is not None or step % settings.log_every == 0:
            self._write_line(progress)
        if figure is not None:
            self._save(improved)
            if improved and is_main():
                self.keep(self.model, figure)
        if is_main():
            self.watch(progress)
        if line_is_due:
            self.stopwatch.begin()

    def _validation(self) -> float:
        nnx.update(self.model, self.learner.devices.copy_here(self.learned.shipped))
        figure = from_main(lambda: float(self.validate(self.model)))
        self._require_finite("validation", figure)
        return figure

    def _write_line(self, progress: Progress) -> None:
        figures = {
            "loss": progress.loss,
            "gradient_norm": self.tally.gradient_norm,
            "learning_rate": float(self.schedule(progress.step - 1)),
            "steps_per_s": progress.steps_per_s,
        }
        validated = {} if progress.validation is None else {"validation": progress.validation}
        # Before the checkpoint: a run killed between the two resumes before this line, and writes it again.
        if self.log is not None:
            self.log.write(progress.step, figures | validated)
        self.tally.begin_line()

    def _save(self, improved: bool) -> None:
        if improved:
            self.checkpoints.save_best(self.tally.step, self.learned.shipped)
        self.checkpoints.save(self.tally.step, self.learned, asdict(self.tally))

    def _require_finite(self, name: str, value: float, batch: Any = None) -> None:
        if math.isfinite(value):
            return
        seen = f" with a batch of {', '.join(names)}" if (names := suspects(batch)) else ""
        raise FloatingPointError(
            f"The {name} became {value} after {self.tally.step} updates{seen}; {self._kept}. "
            "Lower --learning-rate or --clip-norm, and train into another --out."
        )

    @property
    def _kept(self) -> str:
        last = self.checkpoints.last_step
        return "no checkpoint was written yet" if last is None else f"the checkpoint of step {last} is kept"


__all__ = ["fit"]
