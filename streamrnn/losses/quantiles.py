"""The loss of quantiles: how far off, and on which side."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from streamrnn.losses.mean import Mean


def pinball_loss(
    estimates: Float[jax.Array, "*axes quantiles"],
    targets: Float[jax.Array, "*axes"],
    weights: Float[jax.Array, "*axes"],
    quantiles: tuple[float, ...],
) -> Mean:
    """Mean over targets and quantiles q of max(q (y - e), (q - 1) (y - e)), y: target, e: estimate.

    The estimate that minimises it is the one that y stays below with the probability q. For q = 1/2 it is half of the
    absolute error.

    Source: Koenker and Bassett 1978, "Regression quantiles".

    Args:
        estimates: of each quantile.
        targets: what came.
        weights: 0 or above; 0 excludes a target.
        quantiles: probabilities, in (0, 1).

    Raises:
        ValueError: a quantile is out of range, or there are not as many as estimates.
    """
    if len(quantiles) != estimates.shape[-1] or not all(0 < quantile < 1 for quantile in quantiles):
        raise ValueError(
            f"pinball_loss got the quantiles {quantiles} for {estimates.shape[-1]} estimates; it needs one for each, "
            "above 0 and below 1."
        )
    above, q = targets[..., None] - estimates, np.asarray(quantiles, np.float32)
    return Mean.of(jnp.mean(jnp.maximum(q * above, (q - 1) * above), axis=-1), weights)


__all__ = ["pinball_loss"]
