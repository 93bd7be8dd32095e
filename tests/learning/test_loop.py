"""The training loop: it learns, it stops where it must, and it goes on as if it had never stopped.

Run as a script with a folder, this file trains into it and kills itself in the fifth update.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.layers import Dense, Dropout
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.checkpoints import last_step

SETTINGS = TrainingSettings(
    steps=6,
    learning_rate=0.3,
    warmup_steps=1,
    accumulate=2,
    ema_decay=0.9,
    patience=2,
    validate_every=3,
    log_every=2,
)


def make_batch(step: int) -> np.ndarray:
    return np.random.default_rng(step).standard_normal((64, 3)).astype(np.float32)


def make_batches(start: int, stop: int) -> Iterator[np.ndarray]:
    return map(make_batch, range(start, stop))


def squared_error(model: Any, x: jax.Array) -> jax.Array:
    """To be learned: the sum of three numbers."""
    return jnp.mean((model(x)[:, 0] - jnp.sum(x, axis=1)) ** 2)


def accuracy(model: Any) -> float:
    return -float(squared_error(model, jnp.asarray(make_batch(1000))))


def train(out: Path, model: Layer | None = None, settings: TrainingSettings = SETTINGS, **parts) -> tuple[Any, float]:
    model = model or Dense(3, 1, rngs=nnx.Rngs(0))
    parts = {"loss": squared_error, "batches": make_batches, "validate": accuracy, "identity": {}, **parts}
    return model, fit(model, settings=settings, out=out, **parts)


def batches_that_end_with(end: Callable[[], np.ndarray], step: int) -> Callable[[int, int], Iterator[np.ndarray]]:
    """Batches of which that of one step is made by `end`."""
    return lambda start, stop: (end() if number == step else make_batch(number) for number in range(start, stop))


def interrupt() -> np.ndarray:
    raise KeyboardInterrupt


def kill() -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def no_numbers() -> np.ndarray:
    return np.full((64, 3), np.nan, np.float32)


def weights_of(model: Any) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]


def lines_of(out: Path) -> list[dict[str, float]]:
    """metrics.jsonl without the speed, which is never the same."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(line.pop("steps_per_s") > 0 for line in lines)
    return lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[list[np.ndarray], float, list[dict[str, float]]]:
    """Weights, figure and lines of a run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    model, figure = train(out)
    return weights_of(model), figure, lines_of(out)


def assert_goes_on_to(whole, out: Path) -> None:
    """The run in `out`, stopped in its fifth or last update, ends bit for bit as the whole one."""
    weights, figure, lines = whole
    assert lines_of(out) == lines[:3]
    model, resumed_figure = train(out)
    assert resumed_figure == figure
    assert lines_of(out) == lines
    for resumed, expected in zip(weights_of(model), weights, strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_training_makes_the_loss_smaller_and_returns_the_best_figure(whole):
    _, figure, lines = whole
    assert [line["step"] for line in lines] == [2, 3, 4, 6]
    assert lines[-1]["loss"] < lines[0]["loss"]
    figures = [line["validation"] for line in lines if "validation" in line]
    assert len(figures) == 2 and figure == max(figures) > accuracy(Dense(3, 1, rngs=nnx.Rngs(0)))


class Forgetful(Dense):
    """Dense behind dropout."""

    def __init__(self, in_features: int, out_features: int, *, rngs: nnx.Rngs):
        super().__init__(in_features, out_features, rngs=rngs)
        self.dropout = Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return super().__call__(self.dropout(x))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_dropout_draws_anew_at_every_step_and_the_same_again_for_the_same_step(tmp_path, accumulate):
    """Nothing is learned, so the loss tells the mask."""

    def kept(model: Any, x: jax.Array) -> jax.Array:
        return jnp.mean(model.dropout(jnp.arange(192.0).reshape(64, 3))) + 0 * jnp.sum(x)

    def losses(out: Path) -> list[float]:
        settings = TrainingSettings(steps=3, log_every=1, accumulate=accumulate)
        train(out, Forgetful(3, 1, rngs=nnx.Rngs(0)), settings, loss=kept, validate=lambda model: 0.0)
        return [line["loss"] for line in lines_of(out)]

    drawn = losses(tmp_path / "first")
    assert len(set(drawn)) == 3
    assert drawn == losses(tmp_path / "second")


def test_an_interrupted_run_goes_on_as_if_it_had_never_stopped(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=batches_that_end_with(interrupt, 4))
    assert_goes_on_to(whole, tmp_path)


def test_an_interruption_between_two_updates_loses_neither(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=batches_that_end_with(interrupt, 4))
    assert last_step(tmp_path) == 4
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=batches_that_end_with(interrupt, 4))
    assert last_step(tmp_path) == 4


def test_an_interruption_before_the_first_update_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=batches_that_end_with(interrupt, 0))
    assert last_step(tmp_path) is None


def test_a_killed_run_goes_on_as_if_it_had_never_stopped(whole, tmp_path):
    killed = subprocess.run([sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert_goes_on_to(whole, tmp_path)


def test_a_loss_that_is_no_number_stops_training_and_leaves_the_last_checkpoint(whole, tmp_path):
    with pytest.raises(FloatingPointError, match="loss became nan after 4 updates; the checkpoint of step 3 is kept"):
        train(tmp_path, batches=batches_that_end_with(no_numbers, 4))
    assert_goes_on_to(whole, tmp_path)


def test_a_loss_that_is_no_number_from_the_start_leaves_no_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError, match=r"after 0 updates; no checkpoint .* Lower --learning-rate"):
        train(tmp_path, batches=batches_that_end_with(no_numbers, 0))
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_validation_that_is_no_number_keeps_the_checkpoint_before(whole, tmp_path):
    figures = iter([accuracy, lambda model: float("nan")])
    with pytest.raises(FloatingPointError, match=r"validation became nan after 6 updates; the checkpoint of step 3"):
        train(tmp_path, validate=lambda model: next(figures)(model))
    assert_goes_on_to(whole, tmp_path)


def test_the_model_ends_with_the_weights_of_the_best_validation(tmp_path):
    figures, seen = iter([0.7, 0.9, 0.8]), []

    def validate(model: Any) -> float:
        seen.append(weights_of(model))
        return next(figures)

    settings = TrainingSettings(steps=3, learning_rate=0.1, warmup_steps=0, validate_every=1)
    model, figure = train(tmp_path, settings=settings, validate=validate)
    assert figure == 0.9
    for ended, best, last in zip(weights_of(model), *seen[1:], strict=True):
        np.testing.assert_array_equal(ended, best)
        assert np.any(best != last)


def test_the_best_before_an_interruption_stays_the_best(tmp_path):
    best = []

    def validate_first(model: Any) -> float:
        best.extend(weights_of(model))
        return 0.9

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, validate=validate_first, batches=batches_that_end_with(interrupt, 3))
    model, figure = train(tmp_path, validate=lambda model: 0.8)
    assert figure == 0.9
    for ended, expected in zip(weights_of(model), best, strict=True):
        np.testing.assert_array_equal(ended, expected)


def test_a_finished_run_gives_its_model_without_another_update(tmp_path):
    settings = TrainingSettings(steps=1)
    model, figure = train(tmp_path, settings=settings)
    again, same_figure = train(tmp_path, settings=settings, batches=batches_that_end_with(interrupt, 1))
    assert same_figure == figure
    for ended, expected in zip(weights_of(again), weights_of(model), strict=True):
        np.testing.assert_array_equal(ended, expected)


def test_each_line_has_the_mean_loss_since_the_line_before_and_the_last_update_is_validated(tmp_path):
    figures = itertools.count(10.0)
    train(
        tmp_path,
        settings=TrainingSettings(steps=5, validate_every=3),
        loss=lambda model, batch: batch + 0 * jnp.sum(model.kernel[...]),
        batches=lambda start, stop: (np.float32(step) for step in range(start, stop)),
        validate=lambda model: next(figures),
    )
    means = [{name: line[name] for name in ("step", "loss", "validation")} for line in lines_of(tmp_path)]
    assert means == [
        {"step": 3, "loss": 1.0, "validation": 10.0},
        {"step": 5, "loss": 3.5, "validation": 11.0},
    ]


def test_another_run_is_refused_before_anything_is_trained(tmp_path):
    train(tmp_path, settings=TrainingSettings(steps=1), identity={"task": "sum"})
    with pytest.raises(ValueError, match="task is sum there and product here"):
        train(tmp_path, identity={"task": "product"}, batches=batches_that_end_with(interrupt, 0))


def test_updates_are_made_in_training_mode_and_validations_in_eval_mode(tmp_path):
    in_updates, in_validations = [], []

    def loss(model: Forgetful, x: jax.Array) -> jax.Array:
        in_updates.append(model.dropout.deterministic)
        return squared_error(model, x)

    def validate(model: Forgetful) -> float:
        in_validations.append(model.dropout.deterministic)
        return 0.5

    model = Forgetful(3, 1, rngs=nnx.Rngs(0))
    model.eval()
    train(tmp_path, model=model, settings=TrainingSettings(steps=1), loss=loss, validate=validate)
    assert (set(in_updates), in_validations, model.dropout.deterministic) == ({False}, [True], True)


def test_what_is_learned_in_other_ways_than_by_gradients_is_refused(tmp_path):
    model = Dense(3, 1, rngs=nnx.Rngs(0))
    model.mean = nnx.BatchStat(jnp.zeros(3))
    with pytest.raises(TypeError, match="what mean learns would be lost"):
        train(tmp_path, model)


if __name__ == "__main__":
    train(Path(sys.argv[1]), batches=batches_that_end_with(kill, 4))
