"""Pickles models for the worker processes of one program: what builds them, and their arrays.

A network contains JAX functions that cannot be pickled, so a pickle contains what a model's file does.
"""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import Constant
from streamrnn.lifetime import running

STORED = nnx.Any(nnx.Param, Constant)
Arrays = dict[tuple[Any, ...], np.ndarray]


def taken_apart(model: Any) -> tuple[type, Any, Any, Arrays, str]:
    """The arguments with which `put_together` rebuilds the model.

    Raises:
        pickle.PicklingError: its class and settings do not rebuild it.
    """
    arrays = {path: np.asarray(leaf) for path, leaf in _leaves(model)}
    try:
        needed = {path: (leaf.shape, leaf.dtype) for path, leaf in _leaves(_abstract(*_kind(model)))}
    except (TypeError, ValueError) as error:
        raise pickle.PicklingError(f"{_advice(model)} ({error})") from None
    if {path: (array.shape, array.dtype) for path, array in arrays.items()} != needed:
        raise pickle.PicklingError(_advice(model))
    return *_kind(model), arrays, model.task


def put_together(kind: Any, settings: Any, decision: Any, arrays: Arrays, task: str = "") -> Any:
    """The model, in eval mode, as load() returns it; its random streams for training start anew."""
    with running:
        model = _abstract(kind, settings, decision)
        state = nnx.state(model, STORED)
        leaves = [jax.device_put(arrays[path]) for path, _ in _leaves(model)]
        nnx.update(model, jax.tree.unflatten(jax.tree.structure(state), leaves))
        nnx.update(model, jax.tree.map(_fresh, nnx.state(model, nnx.RngState)))
    model.eval()
    model.task = task
    return model


def _kind(model: Any) -> tuple[type, Any, Any]:
    return type(model), model.settings, model.decision


def _abstract(kind: Any, settings: Any, decision: Any) -> Any:
    """The model with shapes instead of arrays."""
    return nnx.eval_shape(lambda: kind(settings, decision, rngs=nnx.Rngs(0)))


def _leaves(model: Any) -> list[tuple[tuple[Any, ...], Any]]:
    return [(tuple(path), variable.get_value()) for path, variable in nnx.to_flat_state(nnx.state(model, STORED))]


def _fresh(leaf: Any) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if is_key else jnp.zeros(leaf.shape, leaf.dtype)


def _advice(model: Any) -> str:
    name = type(model).__name__
    return (
        f"this {name} cannot be pickled, because {name}(settings, decision, rngs=...) builds a different network. "
        "Build the network from the settings, or make the model in the process that needs it"
    )


__all__ = ["put_together", "taken_apart"]
