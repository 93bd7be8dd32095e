"""The gated recurrent unit."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.cells.cell import GatedCell, Gates, input_projection, recurrent_projection, zeros


class GRU(GatedCell):
    """Cho et al. 2014, "Learning phrase representations", in PyTorch's form: the reset gate acts after the matmul.

        r  = sigmoid(W_xr x + b_xr + W_hr h + b_hr)
        z  = sigmoid(W_xz x + b_xz + W_hz h + b_hz)
        n  = tanh(W_xn x + b_xn + r * (W_hn h + b_hn))
        h' = n + z * (h - n)

    Gates are side by side in the order r, z, n.

    Args:
        in_features: numbers per input frame.
        hidden: numbers of the state, which is also the output: h[batch, hidden].
        dtype: compute dtype (float32 or bfloat16); parameters and state stay float32.
        rngs: random streams that draw the parameters.
    """

    gates = 3
    modulated = (2,)

    def __init__(self, in_features: int, hidden: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.in_features, self.out_features, self.dtype = in_features, hidden, dtype
        self.input = input_projection(in_features, self.gates * hidden, dtype, rngs)
        self.recurrent = recurrent_projection(hidden, self.gates, dtype, rngs)

    def init_state(self, batch_size: int) -> jax.Array:
        return zeros(batch_size, self.out_features)

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        return self.input(x)

    def combine(self, h: Float[jax.Array, "batch hidden"], sums: Gates, /) -> Float[jax.Array, "batch hidden"]:
        r, z, xn, hn = sums
        n = jnp.tanh(xn + jax.nn.sigmoid(r) * hn)
        return n + jax.nn.sigmoid(z) * (h - n)

    def output_of(self, h: Float[jax.Array, "*batch hidden"], /) -> Float[jax.Array, "*batch hidden"]:
        return h


__all__ = ["GRU"]
