"""One compiled step per model and batch size, and one compiled scan per model and length."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.models import Model
from streamrnn.runtime.packing import Packed, pack, unpack

Weights = tuple[tuple[jax.Array, ...], Packed]
Program = Callable[[Weights, Packed, np.ndarray], tuple[Packed, jax.Array]]

# Weights up to this size travel together; above it, taking them apart again would cost more than it saves.
SMALL = 4096


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model frozen for running: its program and the weights that it had when this was made.

    Weights are arguments of the program, device arrays and few of them: flattening an nnx.State costs more than a small
    model's step, and weights baked into the program would be stale after training.
    """

    program: Program
    weights: Weights
    fresh_state: Packed
    settings: Any

    def __call__(self, state: Packed, x: np.ndarray) -> tuple[Packed, jax.Array]:
        """(state, x[batch, frames, hop_samples]) -> (state, outputs[batch, frames / stride, out])."""
        return self.program(self.weights, state, x)

    @cached_property
    def fingerprint(self) -> str:
        """Tells models apart by their settings and weights: 16 hexadecimal digits."""
        digest = hashlib.blake2b(repr(self.settings).encode(), digest_size=8)
        for leaf in jax.tree.leaves(self.weights):
            is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            digest.update(np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes())
        return digest.hexdigest()


# Compiled as a whole: leaf by leaf, a first stream would compile a dozen small programs.
_pack = jax.jit(pack)

# Weakly by model: a model that nobody holds takes its programs along.
_programs: WeakKeyDictionary[Model, dict[tuple[str, int], Program]] = WeakKeyDictionary()


def compiled_step(model: Model, batch_size: int = 1) -> Compiled:
    """The model's one-block step for `batch_size` streams; compiled at its first call, shared by all who ask for it."""
    return _compiled(model, "step", batch_size)


def compiled_scan(model: Model, batch_size: int = 1) -> Compiled:
    """The model's scan; compiled once per number of frames that it is called with."""
    return _compiled(model, "scan", batch_size)


def _compiled(model: Model, way: str, batch_size: int) -> Compiled:
    programs = _programs.setdefault(model, {})
    if (way, batch_size) not in programs:
        programs[way, batch_size] = _program(model, way)
    fresh_state = _pack(model.init_state(batch_size))
    return Compiled(programs[way, batch_size], _gathered(model), fresh_state, model.settings)


def _gathered(model: Model) -> Weights:
    leaves = jax.tree.leaves(nnx.state(model))
    large = tuple(leaf for leaf in leaves if not _is_small(leaf))
    return large, _pack([leaf[None] for leaf in leaves if _is_small(leaf)])


def _is_small(leaf: Any) -> bool:
    return leaf.size <= SMALL and jnp.issubdtype(leaf.dtype, jnp.floating)


def _program(model: Model, way: str) -> Program:
    frozen = nnx.clone(model)
    frozen.eval()
    graph, variables = nnx.split(frozen)
    leaves, structure = jax.tree.flatten(variables)
    is_small = [_is_small(leaf) for leaf in leaves]
    rows = [jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype) for leaf in leaves if _is_small(leaf)]

    @jax.jit
    def program(weights: Weights, packed: Packed, x: jax.Array) -> tuple[Packed, jax.Array]:
        large, small = iter(weights[0]), iter(unpack(weights[1], like=rows))
        every = [next(small)[0] if is_small_one else next(large) for is_small_one in is_small]
        model = nnx.merge(graph, jax.tree.unflatten(structure, every))
        state = unpack(packed, like=jax.eval_shape(lambda: model.init_state(x.shape[0])))
        state, logits = getattr(model, way)(state, x)
        return pack(state), model.readout(logits)

    return program


__all__ = ["Compiled", "compiled_scan", "compiled_step"]
