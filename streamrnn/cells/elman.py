"""The Elman network, the simplest recurrence."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.cells.cell import GatedCell, Gates, input_projection, recurrent_projection, zeros


class Elman(GatedCell):
    """Elman 1990, "Finding structure in time", in PyTorch's form (nn.RNN).

        h' = f(W_x x + b_x + W_h h + b_h)        f: tanh (default) or jax.nn.relu

    Args:
        in_features: numbers per input frame.
        hidden: numbers of the state, which is also the output: h[batch, hidden].
        activation: f, a function of one array.
        dtype: compute dtype (float32 or bfloat16); parameters and state stay float32.
        rngs: random streams that draw the parameters.
    """

    gates = 1

    def __init__(self, in_features: int, hidden: int, *, activation=jnp.tanh, dtype=jnp.float32, rngs: nnx.Rngs):
        self.in_features, self.out_features = in_features, hidden
        self.activation, self.dtype = activation, dtype
        self.input = input_projection(in_features, hidden, dtype, rngs)
        self.recurrent = recurrent_projection(hidden, self.gates, dtype, rngs)

    def init_state(self, batch_size: int) -> jax.Array:
        return zeros(batch_size, self.out_features)

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        return self.input(x)

    def combine(self, h: Float[jax.Array, "batch hidden"], sums: Gates, /) -> Float[jax.Array, "batch hidden"]:
        return self.activation(sums[0])

    def output_of(self, h: Float[jax.Array, "*batch hidden"], /) -> Float[jax.Array, "*batch hidden"]:
        return h


__all__ = ["Elman"]
