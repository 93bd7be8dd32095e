"""The interface of cells: one recurrence, without a time axis."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.shapes import State


class Cell(nnx.Module):
    """One recurrence, in two parts: without and with the state.

    `project` does not depend on the state, so a layer applies it to all frames of a recording in one matmul. `advance`
    does the rest, frame by frame. The state is float32 whatever the compute dtype, because it is summed for hours.

    Attributes:
        in_features: numbers per input frame.
        out_features: numbers per output frame.
    """

    in_features: int
    out_features: int

    def init_state(self, batch_size: int) -> State:
        """The state of `batch_size` fresh streams: zeros."""
        raise NotImplementedError(f"{type(self).__name__} defines no init_state")

    def project(self, x: Inexact[jax.Array, "*time in"]) -> Inexact[jax.Array, "*time gates"]:
        """The input's part of every gate: x[..., in] -> z[..., gates * hidden]."""
        raise NotImplementedError(f"{type(self).__name__} defines no project")

    def advance(
        self, state: State, z: Inexact[jax.Array, "batch gates"], /
    ) -> tuple[State, Inexact[jax.Array, "batch out"]]:
        """One frame: (state, z[batch, gates * hidden]) -> (state, y[batch, out])."""
        raise NotImplementedError(f"{type(self).__name__} defines no advance")


Gates = tuple[Float[jax.Array, "batch hidden"], ...]


class GatedCell(Cell):
    """A recurrence with one matmul, `recurrent`, on the previous output; everything else is element-wise.

    A subclass writes `combine` and `output_of`. This split allows the gradient of the matmul's weights to be computed
    for all frames at once, and a kernel to keep the weights on the chip for a whole recording. A cell whose `combine`
    has weights of its own (peepholes) runs with the backend "scan" only, and JAX derives its gradient.

    Attributes:
        gates: number of gates, which are side by side in the projected input and in the matmul's result.
        recurrent: W_h h + b_h of all gates.
        dtype: compute dtype of both matmuls; everything else is float32.
        modulated: indices of the gates whose recurrent part is not simply added to the input's part.
        is_pointwise: whether there is nothing but `combine` after the matmuls.
    """

    gates: int
    recurrent: nnx.Linear
    dtype: Any
    modulated: tuple[int, ...] = ()
    is_pointwise: bool = True

    @property
    def recurrent_weights(self) -> tuple[Any, Any]:
        """Kernel[out, gates * hidden] and bias[gates * hidden] of the recurrent matmul."""
        bias: Any = self.recurrent.bias
        return self.recurrent.kernel[...], bias[...]

    def combine(self, state: State, sums: Gates, /) -> State:
        """The next state, element-wise; `sums` come from gate_sums()."""
        raise NotImplementedError(f"{type(self).__name__} defines no combine")

    def output_of(self, state: State, /) -> Float[jax.Array, "*batch out"]:
        """The part of the state that is the output and the input of the recurrent matmul, of one frame or many."""
        raise NotImplementedError(f"{type(self).__name__} defines no output_of")

    def advance(
        self, state: State, z: Inexact[jax.Array, "batch gates"], /
    ) -> tuple[State, Inexact[jax.Array, "batch out"]]:
        s = recurrent_part(self.output_of(state), *self.recurrent_weights, self.dtype)
        parts = tuple(jnp.split(z, self.gates, axis=-1)), tuple(jnp.split(s, self.gates, axis=-1))
        state = self.combine(state, gate_sums(*parts, self.modulated))
        return state, self.output_of(state).astype(self.dtype)


def gate_sums(z: tuple[jax.Array, ...], s: tuple[jax.Array, ...], modulated: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """The arguments of `combine`: each gate's sum of the input's part z and the recurrent part s, in float32.

    For a modulated gate it is z alone; its s is appended after all gates.
    """
    z = tuple(part.astype(jnp.float32) for part in z)
    sums = (part if gate in modulated else part + s[gate] for gate, part in enumerate(z))
    return (*sums, *(s[gate] for gate in modulated))


def recurrent_part(
    h: Float[jax.Array, "*batch out"], kernel: Float[jax.Array, "out gates"], bias: Float[jax.Array, " gates"], dtype
) -> Float[jax.Array, "*batch gates"]:
    """W_h h + b_h: factors in the compute dtype, sums in float32."""
    return jnp.dot(h.astype(dtype), kernel.astype(dtype), preferred_element_type=jnp.float32) + bias


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


__all__ = [
    "Cell",
    "GatedCell",
    "Gates",
    "gate_sums",
    "input_projection",
    "recurrent_part",
    "recurrent_projection",
    "zeros",
]
