import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses.wake import wake_loss


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_a_word_counts_by_its_highest_frame_and_alarms_by_all_and_by_the_highest_five():
    z = jnp.float32([[0, 0, 3, 1, 0, 0, 0, 0], [-1, 2, 0, 0, 0, 0, 0, 0]])
    logits = jnp.stack([jnp.zeros_like(z), z], axis=-1)
    words = np.zeros((2, 2, 8), bool)
    words[0, 0, 2:4] = True
    elsewhere = jnp.asarray(~words.any(axis=1))
    loss = wake_loss(logits, jnp.asarray(words), elsewhere, hardness=0.5)
    alarms = [softplus(0), (softplus(-1) + softplus(2) + 6 * softplus(0)) / 8]
    hardest = [softplus(0), (softplus(2) + 4 * softplus(0)) / 5]
    expected = softplus(-3) + sum(a + 0.5 * h for a, h in zip(alarms, hardest, strict=True)) / 2
    assert float(loss.value) == pytest.approx(expected, rel=1e-5)


def test_rows_without_a_word_miss_none():
    nothing = jnp.full((1, 6, 2), jnp.float32([20, 0]))
    loss = wake_loss(nothing, jnp.zeros((1, 1, 6), bool), jnp.ones((1, 6), bool))
    assert float(loss.value) == pytest.approx(0, abs=1e-6)
