"""What a cell is: one recurrence, without a time axis."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.shapes import State


class Cell(nnx.Module):
    """One recurrence, split where the state enters.

    `project` is all that needs no state: a layer applies it to all frames of a recording in one matmul. `advance` is
    the rest, one frame after the other. The state is float32 whatever the compute dtype: it is summed for hours.

    Attributes:
        in_features: numbers per input frame.
        out_features: numbers per output frame.
    """

    in_features: int
    out_features: int

    def init_state(self, batch_size: int) -> State:
        """Zeros: the state of `batch_size` streams that have heard nothing."""
        raise NotImplementedError(f"{type(self).__name__} defines no init_state")

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        """The input's part of every gate: x[..., in] -> z[..., gates * hidden]."""
        raise NotImplementedError(f"{type(self).__name__} defines no project")

    def advance(
        self, state: State, z: Inexact[jax.Array, "batch gates"], /
    ) -> tuple[State, Inexact[jax.Array, "batch out"]]:
        """One frame: (state, z[batch, gates * hidden]) -> (state, y[batch, out])."""
        raise NotImplementedError(f"{type(self).__name__} defines no advance")


def input_projection(in_features: int, out_features: int, dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """W_x x + b_x of all gates side by side."""
    return nnx.Linear(in_features, out_features, kernel_init=_BY_INPUTS, dtype=dtype, rngs=rngs)


def recurrent_projection(hidden: int, gates: int, dtype, rngs: nnx.Rngs, use_bias: bool = True) -> nnx.Linear:
    """W_h h + b_h of all gates side by side; each gate's matrix starts orthogonal, so gradients keep their length."""
    return nnx.Linear(hidden, gates * hidden, kernel_init=_orthogonal_gates, use_bias=use_bias, dtype=dtype, rngs=rngs)


def zeros(batch_size: int, features: int) -> Float[jax.Array, "batch features"]:
    """A float32 state of zeros."""
    return jnp.zeros((batch_size, features), jnp.float32)


_BY_INPUTS = nnx.initializers.variance_scaling(1.0, "fan_in", "uniform")


def _orthogonal_gates(key, shape, dtype=jnp.float32, out_sharding=None):
    rows, columns = shape
    keys = jax.random.split(key, columns // rows)
    return jnp.concatenate([nnx.initializers.orthogonal()(k, (rows, rows), dtype) for k in keys], axis=1)


__all__ = ["Cell", "input_projection", "recurrent_projection", "zeros"]
