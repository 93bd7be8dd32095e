"""The pinball loss: its minimum is the quantile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import pinball_loss

QUANTILES = (0.1, 0.5, 0.9)


def test_its_minimum_is_at_the_quantiles_of_the_targets():
    targets = jnp.asarray(np.random.default_rng(0).exponential(size=999), jnp.float32)
    grid = jnp.linspace(0, 4, 801)

    def loss(estimate):
        return pinball_loss(jnp.full((999, 1), estimate), targets, jnp.ones(999), (0.9,)).value

    best = grid[jnp.argmin(jax.vmap(loss)(grid))]
    assert float(best) == pytest.approx(float(jnp.quantile(targets, 0.9)), abs=0.02)


def test_the_median_costs_half_of_the_absolute_error():
    found = pinball_loss(jnp.array([[1.0], [5.0]]), jnp.array([3.0, 1.0]), jnp.ones(2), (0.5,))
    assert float(found.value) == pytest.approx((2 + 4) / 2 / 2)


def test_what_has_no_weight_does_not_count():
    estimates, targets = jnp.zeros((2, 3)), jnp.array([1.0, jnp.nan])
    loss = pinball_loss(estimates, targets, jnp.array([1.0, 0.0]), QUANTILES)
    assert float(loss.value) == pytest.approx(0.5)


@pytest.mark.parametrize("quantiles", [(0.1, 0.5), (0.0, 0.5, 0.9), (0.1, 0.5, 1.0)])
def test_quantiles_that_do_not_fit_are_refused(quantiles):
    with pytest.raises(ValueError, match="it needs one for each, above 0 and below 1"):
        pinball_loss(jnp.zeros((2, 3)), jnp.zeros(2), jnp.ones(2), quantiles)
