"""The training loop: generic over models, losses and batches."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import optax
from flax import nnx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamrnn.contract import Constant, Layer
from streamrnn.training.checkpoints import Checkpoints

Loss = Callable[[Any, Any], jax.Array]
Batches = Callable[[int, int], Iterator[Any]]
Validate = Callable[[Any], float]


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Raises:
        ValueError: a number that must be above 0 is not, or a warm-up or decay is negative.
    """

    steps: int = 1200
    """Updates of the weights."""
    learning_rate: float = 2e-3
    """Peak learning rate: reached after the warm-up, then down to a hundredth of it along a cosine."""
    warmup_steps: int = 50
    """Updates over which the learning rate rises from zero."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    clip_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    validate_every: int = 100
    """Updates between validations and checkpoints."""
    seed: int = 0
    """Seed of the weights and of the batches."""

    def __post_init__(self):
        for name in ("steps", "learning_rate", "clip_norm", "validate_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("warmup_steps", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above.")


def make_optimizer(settings: TrainingSettings) -> optax.GradientTransformation:
    """AdamW under a warm-up and a cosine (Loshchilov and Hutter 2019), gradients clipped by their global norm."""
    warmup = min(settings.warmup_steps, settings.steps // 2)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, warmup, settings.steps, settings.learning_rate / 100
    )
    return optax.chain(
        optax.clip_by_global_norm(settings.clip_norm), optax.adamw(schedule, weight_decay=settings.weight_decay)
    )


def fit(
    model: Layer,
    loss: Loss,
    batches: Batches,
    validate: Validate,
    settings: TrainingSettings,
    out: Path,
    identity: dict[str, Any],
) -> float:
    """Trains the model in place, resuming where the folder `out` holds an earlier part of the same run.

    Args:
        model: changed in place; at the end it has the weights of the best validation and is in eval mode.
        loss: (model, batch) -> scalar.
        batches: (first step, end step) -> the batches of these steps, in order.
        validate: model -> figure, higher is better; called on the model in eval mode.
        settings: how long and how fast.
        out: folder of the checkpoints and of metrics.jsonl, one line per validation: step, loss (mean since the line
            before), validation, steps_per_s.
        identity: what the run is, JSON-friendly; see Checkpoints.

    Returns:
        The best figure of validate.

    Raises:
        FloatingPointError: loss or validation is not finite any more; the last checkpoint is left as it was.
        ValueError: `out` holds another run.
        TypeError: the model has Variables that change in other ways than by gradients.

    What `loss`, `batches` and `validate` raise passes through, as does KeyboardInterrupt. The same call then goes on
    from the last checkpoint and ends with the weights of a run that was never stopped.
    """
    checkpoints = Checkpoints(out, identity)
    try:
        return _Run(model, loss, validate, settings, checkpoints, out).train(batches)
    finally:
        checkpoints.close()


class _Run:
    def __init__(
        self,
        model: Layer,
        loss: Loss,
        validate: Validate,
        settings: TrainingSettings,
        checkpoints: Checkpoints,
        out: Path,
    ):
        self.model, self.validate, self.settings, self.checkpoints = model, validate, settings, checkpoints
        self.log, self.console = out / "metrics.jsonl", Console()
        model.train()
        graph, self.weights, keys, rest, lost = nnx.split(
            model, nnx.Param, nnx.RngKey, nnx.Any(nnx.RngState, Constant), ...
        )
        if names := sorted(".".join(map(str, path)) for path, _ in nnx.to_flat_state(lost)):
            raise TypeError(
                f"fit trains nnx.Param only, and what {', '.join(names[:5])} learns would be lost. "
                "Make it a Param, or a Constant if it is fixed."
            )
        # Updates go by the split, still in training mode; from here on the model itself is only validated.
        model.eval()
        optimizer = make_optimizer(settings)
        self.optimizer_state = optimizer.init(self.weights)
        self.step, self.best = 0, -float("inf")

        @jax.jit
        def update(weights, optimizer_state, batch, step):
            # Dropout, too, depends on the step alone: a run that resumes draws what it would have drawn.
            drawn = jax.tree.map(lambda key: jax.random.fold_in(key, step), keys)

            def objective(weights):
                return loss(nnx.merge(graph, weights, drawn, rest, copy=True), batch)

            value, gradients = jax.value_and_grad(objective)(weights)
            updates, optimizer_state = optimizer.update(gradients, optimizer_state, weights)
            return optax.apply_updates(weights, updates), optimizer_state, value

        self.update = update

    def train(self, batches: Batches) -> float:
        self._resume()
        with _progress(self.console) as progress:
            bar = progress.add_task("training", total=self.settings.steps, completed=self.step, figures="")
            losses, started = [], time.monotonic()
            for batch in batches(self.step, self.settings.steps):
                self.weights, self.optimizer_state, value = self.update(
                    self.weights, self.optimizer_state, batch, self.step
                )
                losses.append(float(value))
                self._require_finite("loss", losses[-1])
                self.step += 1
                if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                    rate = len(losses) / (time.monotonic() - started)
                    self._validate(sum(losses) / len(losses), rate)
                    losses, started = [], time.monotonic()
                recent = losses[-1] if losses else float(value)
                progress.update(bar, completed=self.step, figures=f"loss {recent:.4f}  best {self.best:.4f}")
        nnx.update(self.model, self.checkpoints.restore(self._tree(), best=True)["weights"])
        return self.best

    def _tree(self) -> dict[str, Any]:
        return {"weights": self.weights, "optimizer": self.optimizer_state, "step": self.step, "best": self.best}

    def _resume(self) -> None:
        if self.checkpoints.last_step is None:
            return
        tree = self.checkpoints.restore(self._tree())
        self.weights, self.optimizer_state = tree["weights"], tree["optimizer"]
        self.step, self.best = tree["step"], tree["best"]

    def _validate(self, loss: float, steps_per_s: float) -> None:
        nnx.update(self.model, self.weights)
        figure = float(self.validate(self.model))
        self._require_finite("validation", figure)
        improved = figure > self.best
        self.best = max(self.best, figure)
        self.checkpoints.save(self.step, self._tree(), best=improved)
        line = {"step": self.step, "loss": loss, "validation": figure, "steps_per_s": steps_per_s}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        if not self.console.is_terminal:
            print(f"step {self.step}: loss {loss:.4f}, validation {figure:.4f}, best {self.best:.4f}", flush=True)

    def _require_finite(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            last = self.checkpoints.last_step
            kept = "no checkpoint was written yet" if last is None else f"the checkpoint of step {last} is kept"
            raise FloatingPointError(
                f"The {name} became {value} after {self.step} updates; {kept}. "
                "Lower --learning-rate or --clip-norm, and train into another --out."
            )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        # In a log, the bar would be lost among the lines of the validations.
        disable=not console.is_terminal,
    )


__all__ = ["TrainingSettings", "fit", "make_optimizer"]
