"""A model's state in few arrays: each array that a program takes or returns costs about a microsecond."""

import math

import jax
import jax.numpy as jnp

from streamrnn.shapes import State

Packed = dict[str, jax.Array]


def pack(state: State) -> Packed:
    """All leaves of one dtype side by side: {dtype: [batch, numbers]}. The stream stays axis 0."""
    rows: dict[str, list[jax.Array]] = {}
    for leaf in jax.tree.leaves(state):
        rows.setdefault(leaf.dtype.name, []).append(leaf.reshape(leaf.shape[0], -1))
    return {name: jnp.concatenate(leaves, axis=1) for name, leaves in rows.items()}


def unpack(packed: Packed, like: State) -> State:
    """Undoes `pack`; `like` has the state's structure, shapes and dtypes (jax.eval_shape will do)."""
    leaves, structure = jax.tree.flatten(like)
    taken, found = dict.fromkeys(packed, 0), []
    for leaf in leaves:
        name, start = leaf.dtype.name, taken[leaf.dtype.name]
        taken[name] = start + math.prod(leaf.shape[1:])
        found.append(packed[name][:, start : taken[name]].reshape(leaf.shape))
    return jax.tree.unflatten(structure, found)


__all__ = ["Packed", "pack", "unpack"]
