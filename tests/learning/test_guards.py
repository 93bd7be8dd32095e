"""How a training ends before its last update, and what it says while it runs."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.layers import Dense
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.batches import suspects, without_names
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.progress import Progress, Watch


def batch_of(values: list[float]) -> dict[str, Any]:
    return {"x": np.array(values, np.float32), "names": [f"{row}.wav" for row in range(len(values))]}


def ones(start: int, stop: int) -> Iterator[dict[str, Any]]:
    return (batch_of([1.0, 1.0]) for _ in range(start, stop))


def product(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(model.kernel[...]) * jnp.mean(batch["x"])


def train(out: Path, figures: list[float], settings: TrainingSettings, **parts) -> tuple[Dense, float]:
    """Trains with these figures as validations."""
    model, left = Dense(1, 1, rngs=nnx.Rngs(0)), iter(figures)
    parts = {"loss": product, "batches": ones, "validate": lambda model: next(left), **parts}
    return model, fit(model, settings=settings, out=out, identity={}, **parts)


def test_training_ends_after_so_many_validations_without_improvement(tmp_path):
    settings = TrainingSettings(steps=9, validate_every=1, patience=2)
    _, figure = train(tmp_path, [0.5, 0.4, 0.7, 0.7, 0.6], settings)
    assert (figure, last_step(tmp_path)) == (0.7, 5)
    _, figure = train(tmp_path, [], settings)
    assert (figure, last_step(tmp_path)) == (0.7, 5)


def test_patience_counts_over_interruptions(tmp_path):
    settings = TrainingSettings(steps=9, validate_every=1, patience=2)

    def interrupted(start: int, stop: int) -> Iterator[Any]:
        yield from ones(start, 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, [0.5, 0.4], settings, batches=interrupted)
    train(tmp_path, [0.5], settings)
    assert last_step(tmp_path) == 3


def test_a_loss_that_is_no_number_names_the_recordings_it_may_come_from(tmp_path):
    with pytest.raises(FloatingPointError, match=r"became inf after 0 updates with a batch of 1\.wav; no checkpoint"):
        train(tmp_path, [], TrainingSettings(), batches=lambda start, stop: iter([batch_of([1.0, math.inf])]))


def test_gradients_that_are_no_numbers_stop_training_even_if_the_loss_is_one(tmp_path):
    def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(jnp.sqrt(model.bias[...])) * jnp.mean(batch["x"])

    with pytest.raises(FloatingPointError, match=r"gradients' norm became inf .* with a batch of 0\.wav, 1\.wav;"):
        train(tmp_path, [], TrainingSettings(), loss=loss)


def test_names_belong_to_dicts_alone():
    assert without_names({"x": 1, "names": ["a"]}) == ({"x": 1}, ["a"])
    assert without_names({"x": 1}) == ({"x": 1}, ())
    assert without_names([1]) == ([1], ())


def test_rows_that_are_no_numbers_are_the_suspects_and_else_all_rows():
    rows = np.zeros((3, 2))
    assert suspects({"x": rows, "scale": 2.0, "names": ["a", "b", "c"]}) == ["a", "b", "c"]
    rows[1, 1] = np.nan
    assert suspects({"x": rows, "scale": 2.0, "names": ["a", "b", "c"]}) == ["b"]
    assert suspects({"x": rows, "names": ["a", ("b, c", "d"), ()]}) == ["b, c, d"]
    assert suspects(rows) == []


def test_a_folder_that_is_being_trained_into_is_refused_until_that_ends(tmp_path):
    settings = TrainingSettings(steps=1)

    def validate(model: Any) -> float:
        with pytest.raises(BlockingIOError, match=f"is being trained into by process {os.getpid()}. Wait for it"):
            train(tmp_path, [0.5], settings)
        return 0.75

    assert train(tmp_path, [], settings, validate=validate)[1] == 0.75
    assert train(tmp_path, [], settings)[1] == 0.75


def test_a_lock_left_by_a_process_that_is_gone_is_none(tmp_path):
    (tmp_path / ".lock").write_text("1\n")
    assert train(tmp_path, [0.5], TrainingSettings(steps=1))[1] == 0.5


def watched(out: Path, settings: TrainingSettings, figures: list[float]) -> list[Progress]:
    seen: list[Progress] = []
    watch: Watch = seen.append
    train(out, figures, settings, watch=watch)
    return seen


def test_whoever_watches_sees_every_update(tmp_path, capfd):
    seen = watched(tmp_path, TrainingSettings(steps=4, validate_every=2, log_every=1), [0.5, 0.25])
    assert [(now.step, now.steps, now.validation, now.best) for now in seen] == [
        (1, 4, None, -math.inf),
        (2, 4, 0.5, 0.5),
        (3, 4, None, 0.5),
        (4, 4, 0.25, 0.5),
    ]
    assert all(now.steps_per_s > 0 and math.isfinite(now.loss) for now in seen)
    assert capfd.readouterr() == ("", "")


def test_the_time_that_is_left_is_that_of_the_updates_to_come():
    assert Progress(step=30, steps=50, loss=0.0, best=0.0, validation=None, steps_per_s=4.0).remaining_s == 5.0


def test_the_averaged_weights_are_validated_and_kept(tmp_path):
    """The gradient of the bias is 1, so Adam moves it by the learning rate at each update."""
    seen = []

    def validate(model: Any) -> float:
        seen.append(float(model.bias[...][0]))
        return len(seen)

    def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(model.bias[...]) * jnp.mean(batch["x"])

    settings = TrainingSettings(
        steps=2, learning_rate=1.0, schedule="constant", warmup_steps=0, weight_decay=0.0, ema_decay=0.15,
        validate_every=1,
    )  # fmt: skip
    model, _ = train(tmp_path, [], settings, loss=loss, validate=validate)
    # The first decay is min(0.15, 1/10), the second min(0.15, 2/11).
    first = 0.1 * 0.0 + 0.9 * -1.0
    expected = [first, 0.15 * first + 0.85 * -2.0]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    assert float(model.bias[...][0]) == seen[1]
