"""Long short-term memory."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.cells.cell import GatedCell, Gates, input_projection, recurrent_projection, zeros
from streamrnn.shapes import State

Memory = tuple[Float[jax.Array, "batch hidden"], Float[jax.Array, "batch out"]]


class LSTM(GatedCell):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, in PyTorch's form.

        i  = sigmoid(W_xi x + b_xi + W_hi h + b_hi)
        f  = sigmoid(W_xf x + b_xf + W_hf h + b_hf)
        g  = tanh(W_xg x + b_xg + W_hg h + b_hg)
        o  = sigmoid(W_xo x + b_xo + W_ho h + b_ho)
        c' = f * c + i * g
        h' = o * tanh(c')            with a projection (Sak et al. 2014): h' = W_p (o * tanh(c'))

    Gates are side by side in the order i, f, g, o. The state is (c[batch, hidden], h[batch, out_features]).

    Args:
        in_features: numbers per input frame.
        hidden: numbers of the memory c.
        projection: numbers of the output h, fewer than hidden; None: no projection.
        dtype: compute dtype (float32 or bfloat16); parameters and state stay float32.
        rngs: random streams that draw the parameters.

    Raises:
        ValueError: projection is not below hidden.
    """

    gates = 4

    def __init__(
        self, in_features: int, hidden: int, *, projection: int | None = None, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        if projection is not None and not 0 < projection < hidden:
            raise ValueError(f"LSTM got projection={projection} with hidden={hidden}; pass 1 to {hidden - 1}, or None.")
        self.in_features, self.hidden, self.out_features = in_features, hidden, projection or hidden
        self.dtype, self.is_pointwise = dtype, projection is None
        self.input = input_projection(in_features, self.gates * hidden, dtype, rngs)
        # A forget gate that starts open lets gradients through from the first update on (Jozefowicz et al. 2015).
        self.input.bias = nnx.Param(jnp.zeros(self.gates * hidden, jnp.float32).at[hidden : 2 * hidden].set(1.0))
        if projection is None:
            self.recurrent = recurrent_projection(hidden, self.gates, dtype, rngs)
            self.output = None
        else:
            self.recurrent = input_projection(projection, self.gates * hidden, dtype, rngs)
            self.output = nnx.Linear(hidden, projection, use_bias=False, dtype=dtype, rngs=rngs)

    def init_state(self, batch_size: int) -> Memory:
        return zeros(batch_size, self.hidden), zeros(batch_size, self.out_features)

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        return self.input(x)

    def combine(
        self, state: Memory, sums: Gates, /
    ) -> tuple[Float[jax.Array, "batch hidden"], Float[jax.Array, "batch hidden"]]:
        i, f, g, o = sums
        c = jax.nn.sigmoid(f) * state[0] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return c, jax.nn.sigmoid(o) * jnp.tanh(c)

    def output_of(self, state: State, /) -> Float[jax.Array, "*batch out"]:
        return state[1]

    def advance(
        self, state: Memory, z: Inexact[jax.Array, "batch gates"], /
    ) -> tuple[Memory, Inexact[jax.Array, "batch out"]]:
        (c, h), y = super().advance(state, z)
        if self.output is None:
            return (c, h), y
        y = self.output(h)
        return (c, y.astype(jnp.float32)), y


__all__ = ["LSTM"]
