"""A dry run tells what a training takes, and trains nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.layers import Dense
from streamrnn.learning import TrainingSettings
from streamrnn.learning.dry_run import dry_run


def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(model(batch["x"]) ** 2)


def batches(start: int, stop: int):
    yield {"x": np.ones((8, 100), np.float32), "names": ["a"] * 8}


def test_shapes_sizes_and_steps_are_told():
    settings = TrainingSettings(steps=1500, ema_decay=0.9)
    found = dry_run(Dense(100, 50, rngs=nnx.Rngs(0)), loss, batches, settings)
    weights = 4 * (100 * 50 + 50)
    assert found.batch == {"x": "float32[8, 100]"}
    assert found.parameters == 5050
    # Adam: two moments, and three counters.
    assert found.sizes["optimizer"] == pytest.approx(2 * weights, abs=20)
    assert (found.sizes["weights"], found.sizes["average"], found.sizes["carry"]) == (weights, weights, 0)
    assert found.sizes["batch"] == 4 * 8 * 100
    assert found.working_memory is not None and found.working_memory >= 4 * 8 * 50
    # The products: one forward and one for the gradient of the weights.
    assert found.flops is not None and found.flops >= 2 * 2 * 8 * 100 * 50
    told = str(found)
    assert "batch x             float32[8, 100]" in told
    assert all(text in told for text in ("5,050", "1,500", "memory, average", "0.02 MiB"))
    assert "carry" not in told


def test_the_carry_is_told_where_there_is_one():
    def carrying(model: Any, batch: dict[str, jax.Array], carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        return loss(model, batch) + jnp.mean(carry), carry

    found = dry_run(
        Dense(100, 1, rngs=nnx.Rngs(0)),
        carrying,
        batches,
        TrainingSettings(),
        initial_carry=lambda model, batch: jnp.zeros((len(batch["x"]), 16)),
    )
    assert found.sizes["carry"] == 4 * 8 * 16


def test_without_a_batch_there_is_nothing_to_tell():
    with pytest.raises(ValueError, match="no batch for the first update"):
        dry_run(Dense(1, 1, rngs=nnx.Rngs(0)), loss, lambda start, stop: iter(()), TrainingSettings())
