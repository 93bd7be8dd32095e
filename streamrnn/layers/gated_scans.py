"""Frame-by-frame scans: of any cell, and of gated cells with a gradient that keeps their weights out of the loop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Inexact

from streamrnn.cells import Cell, GatedCell, gate_sums, recurrent_part
from streamrnn.shapes import State

Inputs = Inexact[jax.Array, "time batch in"]
Outputs = Inexact[jax.Array, "time batch out"]
Sequences = tuple[Inexact[jax.Array, "time batch hidden"], ...]
Weights = tuple[jax.Array, ...]


@dataclass(frozen=True)
class Equations:
    """A gated cell without its weights, which derivatives take as arguments. Attributes are the cell's."""

    combine: Callable[[State, Any], State]
    output_of: Callable[[State], Any]
    dtype: Any
    gates: int
    modulated: tuple[int, ...]

    @classmethod
    def of(cls, cell: GatedCell) -> "Equations":
        return cls(cell.combine, cell.output_of, cell.dtype, cell.gates, cell.modulated)

    def sums(self, kernels: Any, biases: Any, state: State, z: Any) -> tuple[Any, ...]:
        """The arguments of `combine` for one frame, given the weights of each gate's recurrent part."""
        h, parts = self.output_of(state), zip(kernels, biases, strict=True)
        return gate_sums(z, tuple(recurrent_part(h, *weights, self.dtype) for weights in parts), self.modulated)

    def back(self, backwards: Any, state: State, sums: Any, d_state: State, d_y: jax.Array) -> tuple[State, Any]:
        """Gradients of the state before a frame and of its sums, from those of the next state and the output.

        `backwards` holds the transposed recurrent weights of each gate.
        """

        def advanced(state: State, sums: Any) -> tuple[State, jax.Array]:
            state = self.combine(state, sums)
            return state, self.output_of(state)

        d_state, d_sums = jax.vjp(advanced, state, sums)[1]((d_state, d_y))
        parts = zip(self.recurrent(d_sums), backwards, strict=True)
        d_h = sum(jnp.dot(d.astype(self.dtype), kernel, preferred_element_type=jnp.float32) for d, kernel in parts)
        return jax.tree.map(jnp.add, d_state, jax.vjp(self.output_of, state)[1](d_h)[0]), d_sums

    def recurrent(self, d_sums: Any) -> tuple[Any, ...]:
        """Selects, from the values of all sums, those of each gate's recurrent part."""
        places = (self.gates + self.modulated.index(g) if g in self.modulated else g for g in range(self.gates))
        return tuple(d_sums[place] for place in places)


def plain_scan(cell: Cell, state: State, x: Inputs) -> tuple[State, Outputs]:
    """Frame by frame, for any cell, with JAX's gradient of the scan."""
    return jax.lax.scan(cell.advance, state, cell.project(x))


def has_weights_inside(cell: GatedCell) -> bool:
    """Whether `combine` uses weights, as for peepholes: `gated_scan` and the kernels compute no gradient for these."""
    graph, weights, rest = nnx.split(cell, nnx.Param, ...)
    # Only the shape: models built abstractly have no values.
    size = cell.recurrent.kernel.shape[1] // cell.gates
    sums = tuple(jnp.zeros((1, size), jnp.float32) for _ in range(cell.gates + len(cell.modulated)))

    def combined(weights: Any, sums: Any) -> State:
        cell: Any = nnx.merge(graph, weights, rest)
        return cell.combine(cell.init_state(1), sums)

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), weights)
    jaxpr = jax.make_jaxpr(combined)(shapes, sums).jaxpr
    used = {id(each) for equation in jaxpr.eqns for each in equation.invars}
    return any(id(each) in used for each in jaxpr.invars[: len(jax.tree.leaves(weights))])


def gated_scan(cell: GatedCell, state: State, x: Inputs) -> tuple[State, Outputs]:
    """Frame by frame, for cells that are pointwise after their matmuls.

    Each gate is a separate array, because XLA's loops on CPUs do not vectorise operations that read several slices of
    one array. The backward loop computes only the gradients of the gates; the gradient of the weights is one matmul
    over all frames. It needs the sums that enter the gates and the states, which are kept.
    """
    kernels, biases = (tuple(jnp.split(each, cell.gates, axis=-1)) for each in cell.recurrent_weights)
    ran: Any = _run(Equations.of(cell), kernels, biases, state, projected_gates(cell, x))
    state, y = ran
    return state, y.astype(cell.dtype)


def projected_gates(cell: GatedCell, x: Inputs) -> Sequences:
    """The input's part of each gate, as separate arrays."""
    z = jnp.split(cell.project(_merged(x)), cell.gates, axis=-1)
    return tuple(gate.reshape(*x.shape[:2], gate.shape[-1]) for gate in z)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(cell: Equations, kernels: Weights, biases: Weights, start: State, z: Sequences) -> tuple[State, Any]:
    def step(state: State, z: Any) -> tuple[State, Any]:
        state = cell.combine(state, cell.sums(kernels, biases, state, z))
        return state, cell.output_of(state)

    return jax.lax.scan(step, start, z)


def _forward(cell: Equations, kernels: Weights, biases: Weights, start: State, z: Sequences) -> tuple[Any, Any]:
    def step(state: State, z: Any) -> tuple[State, Any]:
        sums = cell.sums(kernels, biases, state, z)
        state = cell.combine(state, sums)
        return state, (state, sums)

    last, (states, sums) = jax.lax.scan(step, start, z)
    return (last, cell.output_of(states)), (kernels, start, states, sums)


def _backward(cell: Equations, saved: Any, cotangents: tuple[State, Any]) -> tuple[Any, ...]:
    kernels, start, states, sums = saved
    before = previous(start, states)
    backwards = [kernel.astype(cell.dtype).T for kernel in kernels]

    def step(d_state: State, frame: Any) -> tuple[State, Any]:
        state, sums, d_y = frame
        return cell.back(backwards, state, sums, d_state, d_y)

    d_last, d_y = cotangents
    d_start, d_sums = jax.lax.scan(step, d_last, (before, sums, d_y), reverse=True)
    d_kernel, d_bias = weight_gradients(cell, cell.output_of(before), cell.recurrent(d_sums))
    d_z = tuple(d.astype(cell.dtype) for d in d_sums[: cell.gates])
    return tuple(jnp.split(d_kernel, cell.gates, axis=1)), tuple(jnp.split(d_bias, cell.gates)), d_start, d_z


_run.defvjp(_forward, _backward)


def previous(start: State, states: State) -> State:
    """The states before each frame, from those after each frame."""
    return jax.tree.map(lambda first, later: jnp.concatenate([first[None], later])[:-1], start, states)


def weight_gradients(
    cell: Equations, h: Float[jax.Array, "time batch out"], d_s: Sequences
) -> tuple[Float[jax.Array, "out gates"], Float[jax.Array, " gates"]]:
    """The gradients of the recurrent matmul's kernel and bias: one matmul for all frames, rows and gates."""
    h, rows = _merged(h).astype(cell.dtype), _merged(jnp.concatenate(d_s, axis=-1))
    d_kernel = jnp.einsum("...h,...g->hg", h, rows.astype(cell.dtype), preferred_element_type=jnp.float32)
    return d_kernel, rows.sum(range(rows.ndim - 1))


def _merged(x: Inexact[jax.Array, "time batch features"]) -> Inexact[jax.Array, "*rows features"]:
    """Time and rows as one axis, which saves copies in the gradients of matmuls: a fifth of an update on a CPU.

    On several devices the axes stay separate: to merge them, XLA would gather the rows of all devices.
    """
    return x if jax.device_count() > 1 else x.reshape(x.shape[0] * x.shape[1], x.shape[2])


__all__ = [
    "Equations",
    "gated_scan",
    "has_weights_inside",
    "plain_scan",
    "previous",
    "projected_gates",
    "weight_gradients",
]
