"""The compiled update: parts that add up to the whole, and state that goes from batch to batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.layers import Chain, Dense, Recurrent
from streamrnn.learning import TrainingSettings, fit
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.learner import Learner, join_rows, reset_rows, split_rows

ROWS = 12


def dense() -> Dense:
    return Dense(1, 1, rngs=nnx.Rngs(0))


def recurrent() -> Chain:
    rngs = nnx.Rngs(0)
    return Chain(Recurrent(GRU(1, 6, rngs=rngs)), Dense(6, 1, rngs=rngs))


def chunks(start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
    """Recordings cut in two: a cue in the first frame of the first half; what is asked for is the cue, all the time."""
    for step in range(start, stop):
        cues = np.random.default_rng(step // 2).choice([-1.0, 1.0], (ROWS, 1)).astype(np.float32)
        first = step % 2 == 0
        x = np.zeros((ROWS, 3, 1), np.float32)
        x[:, 0] = cues * first
        yield {"x": x, "cues": cues, "reset": np.full(ROWS, first)}


def recall_loss(model: Any, batch: dict[str, jax.Array], carry: Any) -> tuple[jax.Array, Any]:
    carry, y = model.scan(carry, batch["x"])
    return jnp.mean((y[..., 0] - batch["cues"]) ** 2), carry


def forgetful_loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return recall_loss(model, batch, fresh_state(model, batch))[0]


def fresh_state(model: Any, batch: dict[str, jax.Array]) -> Any:
    return model.init_state(batch["x"].shape[0])


def sum_loss(model: Any, batch: dict[str, jax.Array], carry: Any) -> tuple[jax.Array, Any]:
    """Carries a sum of dense outputs, which compiles faster than a recurrence."""
    carry = {"sum": jnp.tanh(carry["sum"] + model(batch["x"][:, 0])[:, 0])}
    return jnp.mean((carry["sum"] - batch["cues"][:, 0]) ** 2), carry


def no_sum(model: Any, batch: dict[str, jax.Array]) -> Any:
    return {"sum": jnp.full(batch["x"].shape[0], 0.25)}


def train(out: Path, model: Any, settings: TrainingSettings, **parts) -> list[float]:
    """The loss of every update."""
    losses: list[float] = []
    parts = {"batches": chunks, "watch": lambda now: losses.append(now.loss), **parts}
    fit(model, validate=lambda model: 0.0, settings=settings, out=out, identity={}, **parts)
    return losses


def test_what_was_said_in_an_earlier_chunk_is_learned_with_carried_state_alone(tmp_path):
    settings = TrainingSettings(steps=120, learning_rate=0.05, warmup_steps=5, weight_decay=0.0, log_every=1)
    carried = train(tmp_path / "a", recurrent(), settings, loss=recall_loss, initial_carry=fresh_state)
    forgotten = train(tmp_path / "b", recurrent(), settings, loss=forgetful_loss)
    assert max(carried[-9::2]) < 0.05
    # Blind to the cue, the best guess is 0, and the error that of random signs.
    assert min(forgotten[-9::2]) > 0.7


def test_a_run_interrupted_between_two_chunks_goes_on_with_its_state(tmp_path):
    settings = TrainingSettings(steps=6, validate_every=6, log_every=1, accumulate=3)

    def interrupted(start: int, stop: int) -> Iterator[Any]:
        yield from chunks(start, 3)
        raise KeyboardInterrupt

    parts = {"loss": sum_loss, "initial_carry": no_sum}
    losses = train(tmp_path / "whole", whole := dense(), settings, **parts)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", dense(), settings, **parts | {"batches": interrupted})
    assert last_step(tmp_path / "parts") == 3
    later_losses = train(tmp_path / "parts", resumed := dense(), settings, **parts)
    assert later_losses == losses[3:]
    for leaf, expected in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_array_equal(leaf, expected)


def weights_of(model: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))]


def test_rows_that_are_reset_go_on_as_fresh_ones_and_the_others_as_they_were():
    learner = Learner(dense(), sum_loss, TrainingSettings(), no_sum)
    batch = next(chunks(0, 1))
    shared = learner.share(batch)

    def sums_after(reset: np.ndarray, carried: float) -> np.ndarray:
        learned = learner.begin(shared)._replace(carry={"sum": jnp.full(ROWS, carried)})
        learned, _ = learner.update(learned, shared | {"reset": jnp.asarray(reset)}, 0)
        return np.asarray(learned.carry["sum"])

    some = np.arange(ROWS) % 2 == 0
    fresh, gone_on = sums_after(~some & some, 0.25), sums_after(~some & some, 0.75)
    assert np.all(fresh != gone_on)
    np.testing.assert_allclose(sums_after(some | ~some, 0.75), fresh, rtol=1e-6)
    np.testing.assert_allclose(sums_after(some, 0.75), np.where(some, fresh, gone_on), rtol=1e-6)


def test_without_a_reset_all_rows_go_on():
    carry = {"h": jnp.ones((2, 3)), "count": jnp.ones(2, jnp.int32)}
    fresh = jax.tree.map(jnp.zeros_like, carry)
    assert all(np.all(leaf == 1) for leaf in jax.tree.leaves(reset_rows(carry, fresh, None)))
    reset = reset_rows(carry, fresh, jnp.array([True, False]))
    np.testing.assert_array_equal(reset["h"], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(reset["count"], [0, 1])
    assert reset["count"].dtype == jnp.int32


def squared_error(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean((model(batch["x"])[:, 0] - batch["cues"]) ** 2)


@pytest.mark.parametrize(
    ("loss", "initial_carry"),
    [(sum_loss, no_sum), (squared_error, None)],
)
def test_a_batch_worked_off_in_parts_gives_the_update_of_the_whole(loss, initial_carry):
    batch = next(chunks(1, 2)) | {"x": np.random.default_rng(0).standard_normal((ROWS, 3, 1)).astype(np.float32)}

    def updated(accumulate: int) -> Any:
        learner = Learner(dense(), loss, TrainingSettings(accumulate=accumulate), initial_carry)
        shared = learner.share(batch)
        return learner.update(learner.begin(shared), shared, 0)

    for whole, parts in zip(*(jax.tree.leaves(updated(parts)) for parts in (1, 4)), strict=True):
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_rows_that_were_split_are_joined_in_their_order():
    tree = {"x": jnp.arange(24).reshape(6, 4), "reset": jnp.arange(6) > 2, "delay of no frames": jnp.zeros((6, 0, 3))}
    split = split_rows(tree, 3)
    assert split["x"].shape == (3, 2, 4)
    for joined, leaf in zip(jax.tree.leaves(join_rows(split)), jax.tree.leaves(tree), strict=True):
        np.testing.assert_array_equal(joined, leaf)


def test_a_number_without_rows_belongs_to_every_part():
    np.testing.assert_array_equal(split_rows(jnp.float32(2), 3), [2, 2, 2])


def test_a_batch_that_does_not_divide_into_the_parts_is_refused():
    learner = Learner(dense(), squared_error, TrainingSettings(accumulate=5))
    with pytest.raises(ValueError, match=r"A batch has 12 rows; it needs a multiple of 5 \(devices: 1, parts .* 5\)"):
        learner.share(next(chunks(0, 1)))
