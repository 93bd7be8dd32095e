"""Scans of recurrences that are linear in their state: without a matmul in the loop, or without a loop."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Inexact

from streamrnn.cells import LinearCell

Inputs = Inexact[jax.Array, "time batch in"]
Outputs = Inexact[jax.Array, "time batch out"]
Sequence = Float[jax.Array, "time batch hidden"]

# Frames combined in parallel: longer pieces would take more memory and save little time.
PIECE_FRAMES = 256


def linear_scan(cell: LinearCell, state: jax.Array, x: Inputs) -> tuple[jax.Array, Outputs]:
    """Frame by frame, for cells that are linear in their state: the loop has no matmul, forward or backward."""
    return _linear(_one_by_one, cell, state, x)


def associative_scan(cell: LinearCell, state: jax.Array, x: Inputs) -> tuple[jax.Array, Outputs]:
    """All frames of a piece at once, for cells that are linear in their state (Blelloch 1990, section 1.4.1): with
    enough parallel units the time is logarithmic in the piece's length. Pieces of 256 frames bound the memory.
    """
    return _linear(_in_pieces, cell, state, x)


def _linear(run: Any, cell: LinearCell, state: jax.Array, x: Inputs) -> tuple[jax.Array, Outputs]:
    a, b = cell.coefficients(cell.project(x))
    h: Any = _recurrence(run, a, b, state)
    return (h[-1] if len(h) else state), h.astype(cell.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(run: Any, a: Sequence, b: Sequence, start: jax.Array) -> Sequence:
    """h[t] = a[t] h[t - 1] + b[t], with h[-1] = start."""
    return run(a, b, start)


def _recurrence_forward(run: Any, a: Sequence, b: Sequence, start: jax.Array) -> tuple[Sequence, Any]:
    h = run(a, b, start)
    return h, (a, h, start)


def _recurrence_backward(run: Any, saved: Any, d_h: Sequence) -> tuple[jax.Array, ...]:
    a, h, start = saved
    if not len(a):
        return a, d_h, jnp.zeros_like(start)
    # The gradients from later frames follow the same recurrence, backwards: d[t] = a[t + 1] d[t + 1] + d_h[t].
    later = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
    d_b = run(later[::-1], d_h[::-1], jnp.zeros_like(start))[::-1]
    before = jnp.concatenate([start[None], h[:-1]])
    return d_b * before, d_b, a[0] * d_b[0]


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _one_by_one(a: Sequence, b: Sequence, start: jax.Array) -> Sequence:
    def step(h: jax.Array, ab: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        h = ab[0] * h + ab[1]
        return h, h

    return jax.lax.scan(step, start, (a, b))[1]


def _in_pieces(a: Sequence, b: Sequence, start: jax.Array) -> Sequence:
    time, *shape = a.shape
    length = min(PIECE_FRAMES, max(time, 1))
    pieces = -(-time // length)
    padding = ((0, pieces * length - time), (0, 0), (0, 0))
    a, b = (jnp.pad(c, padding).reshape(pieces, length, *shape) for c in (a, b))
    _, h = jax.lax.scan(_piece, start, (a, b))
    return h.reshape(pieces * length, *shape)[:time]


def _piece(start: jax.Array, ab: tuple[Sequence, Sequence]) -> tuple[jax.Array, Sequence]:
    a, h = jax.lax.associative_scan(_then, ab)
    h = a * start + h
    return h[-1], h


def _then(earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Composes two linear maps into one."""
    (a, b), (c, d) = earlier, later
    return a * c, c * b + d


__all__ = ["associative_scan", "linear_scan"]
