"""Gated recurrences as one GPU kernel per direction: the recurrent weights stay on chip for a whole recording.

A plain scan launches several kernels per frame, each of which rereads the weights. Here each multiprocessor runs some
rows of the batch through all frames (Diamos et al. 2016, "Persistent RNNs"). The kernels are built in Pallas from the
cell's own equations, so they serve every gated cell.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Inexact

from streamrnn.cells import Cell, GatedCell, gate_sums, recurrent_part
from streamrnn.layers.gated_scans import Equations, has_weights_inside, previous, weight_gradients
from streamrnn.layers.row_kernels import over_rows
from streamrnn.shapes import State

# A thread block has 227 KB on Hopper; some of it is for the tile.
WEIGHT_BYTES = 208 * 1024
HIDDEN_SIZES = (16, 32, 64, 128)

Kernel = Float[jax.Array, "hidden gates"]
Projected = Inexact[jax.Array, "time batch gates"]


def fused_scan(
    cell: GatedCell, state: State, x: Inexact[jax.Array, "time batch in"], interpret: bool = False
) -> tuple[State, Inexact[jax.Array, "time batch out"]]:
    """Runs all frames in one kernel.

    Args:
        interpret: run the kernel's operations one by one on any platform: slow, for testing.
    """
    ran: Any = _run(Equations.of(cell), interpret, *cell.recurrent_weights, state, cell.project(x))
    state, y = ran
    return state, y.astype(cell.dtype)


def fused_refusal(cell: Cell) -> str | None:
    """Why the kernels can't run a cell; None if they can."""
    if not isinstance(cell, GatedCell) or not cell.is_pointwise:
        return "the kernels are for Elman networks, GRUs and LSTMs without a projection"
    if has_weights_inside(cell):
        return f"the kernels have no gradient for weights that {type(cell).__name__}.combine uses, such as peepholes"
    hidden = cell.out_features
    if hidden not in HIDDEN_SIZES:
        return f"the kernels need a state of {', '.join(map(str, HIDDEN_SIZES))} numbers, but the cell's has {hidden}"
    needed = cell.gates * hidden * hidden * jnp.dtype(cell.dtype).itemsize
    if needed > WEIGHT_BYTES:
        return (
            f"its recurrent weights take {needed // 1024} KB in {jnp.dtype(cell.dtype).name}, but a chip's shared "
            f"memory holds {WEIGHT_BYTES // 1024} KB of them (bfloat16 takes half)"
        )
    return None


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _run(cell: Equations, interpret: bool, kernel: Kernel, bias: Any, start: State, z: Projected) -> tuple[State, Any]:
    states = _all_states(cell, interpret, kernel, bias, start, z)
    return _last(start, states), cell.output_of(states)


def _forward(
    cell: Equations, interpret: bool, kernel: Kernel, bias: Any, start: State, z: Projected
) -> tuple[tuple[State, Any], Any]:
    states = _all_states(cell, interpret, kernel, bias, start, z)
    return (_last(start, states), cell.output_of(states)), (kernel, bias, start, z, states)


def _backward(cell: Equations, interpret: bool, saved: Any, cotangents: tuple[State, Any]) -> tuple[Any, ...]:
    kernel, bias, start, z, states = saved
    before = previous(start, states)
    # The sums of all frames are recomputed in one matmul, so that the forward kernel need not write them.
    s = recurrent_part(cell.output_of(before), kernel, bias, cell.dtype)
    sums = jnp.concatenate(gate_sums(_gates(cell, z), _gates(cell, s), cell.modulated), axis=-1)
    d_sums, d_start = _all_gradients(cell, interpret, kernel, before, sums, *cotangents)
    parts = jnp.split(d_sums, cell.gates + len(cell.modulated), axis=-1)
    d_kernel, d_bias = weight_gradients(cell, cell.output_of(before), cell.recurrent(parts))
    return d_kernel, d_bias, d_start, jnp.concatenate(parts[: cell.gates], axis=-1).astype(z.dtype)


_run.defvjp(_forward, _backward)


def _all_states(cell: Equations, interpret: bool, kernel: Kernel, bias: Any, start: State, z: Projected) -> State:
    """The states after each frame."""
    leaves, tree = jax.tree.flatten(start)
    gates, hidden = cell.gates, kernel.shape[0]

    def body(kernel_ref: Any, bias_ref: Any, z_ref: Any, *refs: Any) -> None:
        starts, outputs = refs[: len(leaves)], refs[len(leaves) :]
        weights = [kernel_ref[:, _gate(g, hidden)] for g in range(gates)]
        biases = [bias_ref[_gate(g, hidden)] for g in range(gates)]

        def step(t: Any, state: Any) -> Any:
            state = jax.tree.unflatten(tree, state)
            z = tuple(z_ref[t, :, _gate(g, hidden)] for g in range(gates))
            state = jax.tree.leaves(cell.combine(state, cell.sums(weights, biases, state, z)))
            for output, leaf in zip(outputs, state, strict=True):
                output[t] = leaf
            return tuple(state)

        jax.lax.fori_loop(0, z_ref.shape[0], step, tuple(ref[...] for ref in starts))

    shapes = [jax.ShapeDtypeStruct((z.shape[0], *leaf.shape), jnp.float32) for leaf in leaves]
    states = over_rows(body, shapes, (kernel.astype(cell.dtype), bias, z, *leaves), 2, interpret)
    return jax.tree.unflatten(tree, states)


def _all_gradients(
    cell: Equations, interpret: bool, kernel: Kernel, before: State, sums: Any, d_last: State, d_y: Any
) -> tuple[Any, State]:
    """The gradients with respect to the sums of each frame and to the first state."""
    leaves, tree = jax.tree.flatten(before)
    gates, hidden, time = cell.gates, kernel.shape[0], sums.shape[0]
    places, count = range(gates + len(cell.modulated)), len(leaves)

    def body(kernel_ref: Any, sums_ref: Any, d_y_ref: Any, *refs: Any) -> None:
        states, lasts, (d_sums_ref, *starts) = refs[:count], refs[count : 2 * count], refs[2 * count :]
        weights = [kernel_ref[_gate(g, hidden), :] for g in range(gates)]

        def step(i: Any, d_state: Any) -> Any:
            t = time - 1 - i
            state = jax.tree.unflatten(tree, [ref[t] for ref in states])
            at = tuple(sums_ref[t, :, _gate(p, hidden)] for p in places)
            d_state, d_sums = cell.back(weights, state, at, jax.tree.unflatten(tree, d_state), d_y_ref[t])
            for place, d in zip(places, d_sums, strict=True):
                d_sums_ref[t, :, _gate(place, hidden)] = d
            return tuple(jax.tree.leaves(d_state))

        d_state = jax.lax.fori_loop(0, time, step, tuple(ref[...] for ref in lasts))
        for ref, leaf in zip(starts, d_state, strict=True):
            ref[...] = leaf

    shapes = [jax.ShapeDtypeStruct(each.shape, jnp.float32) for each in (sums, *jax.tree.leaves(d_last))]
    inputs = (kernel.astype(cell.dtype).T, sums, d_y, *leaves, *jax.tree.leaves(d_last))
    d_sums, *d_start = over_rows(body, shapes, inputs, 1, interpret)
    return d_sums, jax.tree.unflatten(tree, d_start)


def _gate(place: int, hidden: int) -> slice:
    return slice(place * hidden, (place + 1) * hidden)


def _gates(cell: Equations, side_by_side: Any) -> tuple[Any, ...]:
    return tuple(jnp.split(side_by_side, cell.gates, axis=-1))


def _last(start: State, states: State) -> State:
    return jax.tree.map(lambda first, later: later[-1] if len(later) else first, start, states)


__all__ = ["fused_refusal", "fused_scan"]
