"""Recurrences that are linear in their state, so that all frames of a recording can be computed at once."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.cells.cell import Cell, input_projection, zeros

# Lower bound of 1 - a^2: its root is too small to change a float32 state, and the root's slope stays finite.
SMALLEST_REST = 1e-30

Coefficient = Float[jax.Array, "*time hidden"]


class LinearCell(Cell):
    """h' = a * h + b, element-wise, where a and b depend on the input alone; the output is h'.

    A step needs no matmul with the state. A subclass writes `coefficients`.

    Args:
        in_features: numbers per input frame.
        hidden: numbers of the state, which is also the output: h[batch, hidden].
        gates: number of projections of the input, side by side, each of `hidden` numbers.
        dtype: compute dtype of the projections (float32 or bfloat16); parameters, a, b and state stay float32.
        rngs: random streams that draw the parameters.
    """

    def __init__(self, in_features: int, hidden: int, gates: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        self.in_features, self.out_features, self.dtype, self.gates = in_features, hidden, dtype, gates
        self.input = input_projection(in_features, gates * hidden, dtype, rngs)

    def coefficients(self, z: Inexact[jax.Array, "*time gates"]) -> tuple[Coefficient, Coefficient]:
        """z[..., gates * hidden] -> (a[..., hidden] in [0, 1], b[..., hidden]), float32."""
        raise NotImplementedError(f"{type(self).__name__} defines no coefficients")

    def init_state(self, batch_size: int) -> jax.Array:
        return zeros(batch_size, self.out_features)

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        return self.input(x)

    def advance(
        self, h: Float[jax.Array, "batch hidden"], z: Inexact[jax.Array, "batch gates"], /
    ) -> tuple[Float[jax.Array, "batch hidden"], Inexact[jax.Array, "batch hidden"]]:
        a, b = self.coefficients(z)
        h = a * h + b
        return h, h.astype(self.dtype)

    def _split(self, z: Inexact[jax.Array, "*time gates"]) -> list[jax.Array]:
        return jnp.split(z.astype(jnp.float32), self.gates, axis=-1)


class MinGRU(LinearCell):
    """Feng et al. 2024, "Were RNNs all we needed?", section 3.1 and appendix B: a GRU with gates of the input alone.

        z  = sigmoid(W_z x + b_z)
        h' = (1 - z) * h + z * g(W_h x + b_h)        g(v) = v + 1/2 where v >= 0, else sigmoid(v)

    g is positive, as in the paper's log-space form. a = 1 - z and b = z * g(...) are computed directly: products of
    numbers in [0, 1] can only underflow to 0, which is then their value.
    """

    def __init__(self, in_features: int, hidden: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(in_features, hidden, 2, dtype=dtype, rngs=rngs)

    def coefficients(self, z: Inexact[jax.Array, "*time gates"]) -> tuple[Coefficient, Coefficient]:
        update, candidate = self._split(z)
        return jax.nn.sigmoid(-update), jax.nn.sigmoid(update) * _positive(candidate)


class MinLSTM(LinearCell):
    """Feng et al. 2024, section 3.2 and appendix B: an LSTM whose gates depend on the input alone and add up to one.

    f, i = sigmoid(W_f x + b_f), sigmoid(W_i x + b_i)
    h'   = f / (f + i) * h + i / (f + i) * g(W_h x + b_h)        g as in MinGRU
    """

    def __init__(self, in_features: int, hidden: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(in_features, hidden, 3, dtype=dtype, rngs=rngs)
        # A forget gate that starts open lets gradients through from the first update on (Jozefowicz et al. 2015).
        self.input.bias = nnx.Param(jnp.zeros(3 * hidden, jnp.float32).at[:hidden].set(1.0))

    def coefficients(self, z: Inexact[jax.Array, "*time gates"]) -> tuple[Coefficient, Coefficient]:
        forget, add, candidate = self._split(z)
        # f / (f + i) = sigmoid(log f - log i), which stays exact when both gates are closed.
        odds = jax.nn.log_sigmoid(forget) - jax.nn.log_sigmoid(add)
        return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * _positive(candidate)


class RGLRU(LinearCell):
    """The real-gated linear recurrent unit of De et al. 2024, "Griffin", section 2.4, with dense gates.

        r  = sigmoid(W_r x + b_r)
        i  = sigmoid(W_i x + b_i)
        a  = exp(-8 softplus(lambda) r)
        h' = a * h + sqrt(1 - a^2) * (i * (W_v x + b_v))

    The paper's inputs are as wide as the state; here W_v gives them that width. lambda is initialised such that a is
    between .9 and .999 at r = 1.
    """

    def __init__(self, in_features: int, hidden: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        super().__init__(in_features, hidden, 3, dtype=dtype, rngs=rngs)
        slowest = jax.random.uniform(rngs.params(), (hidden,), jnp.float32, minval=0.9, maxval=0.999)
        # softplus(lambda) = -log(a) / 8, solved for lambda.
        self.decay = nnx.Param(jnp.log(jnp.expm1(-jnp.log(slowest) / 8)))

    def coefficients(self, z: Inexact[jax.Array, "*time gates"]) -> tuple[Coefficient, Coefficient]:
        recurrence, gate, value = self._split(z)
        # The root below amplifies errors of a small r. In runtimes of exported models the sigmoid has an absolute error
        # of 1e-7, but the exponential has a relative error of 1e-7.
        r = jnp.exp(jax.nn.log_sigmoid(recurrence))
        log_a = -8 * jax.nn.softplus(self.decay[...]) * r
        # 1 - a^2 without cancellation for a close to 1; bounded, since the root's slope is infinite at 0.
        rest = jnp.maximum(-jnp.expm1(2 * log_a), SMALLEST_REST)
        return jnp.exp(log_a), jnp.sqrt(rest) * jax.nn.sigmoid(gate) * value


def _positive(x: Coefficient) -> Coefficient:
    """g of Feng et al. 2024, appendix B."""
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))


__all__ = ["RGLRU", "LinearCell", "MinGRU", "MinLSTM"]
