"""One compiled step per model and batch size, and one compiled scan per model and length."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.decisions.outlets import Outlet
from streamrnn.lifetime import running
from streamrnn.models import Model
from streamrnn.runtime.packing import Packed, pack, unpack
from streamrnn.runtime.steps import State, Step

if TYPE_CHECKING:
    from streamrnn.runtime.rows import Rows
else:
    Rows = Any

# An nnx.GraphDef, used by its hash; at run time Flax's own name is not a plain class.
Graph = Any
Weights = tuple[tuple[jax.Array, ...], Packed]
Program = Callable[[Weights, State, np.ndarray], tuple[Packed, jax.Array]]
Beginning = Callable[[list[jax.Array], int], tuple[Packed, Packed]]

# Weights up to this size are packed together; above it, unpacking them would cost more than it saves.
SMALL = 4096


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model frozen for running: its program, and its weights at that time.

    Weights are arguments of the program, in few device arrays: flattening an nnx.State costs more than a small model's
    step, and weights baked into the program would be stale after training.
    """

    program: Program
    weights: Weights
    fresh_state: Packed
    leaves: list[jax.Array]
    description: str

    def __call__(self, state: State, x: np.ndarray) -> tuple[Packed, jax.Array]:
        """(state, x[batch, frames, features]) -> (state, outputs[batch, frames / stride, out])."""
        return self.program(self.weights, state, x)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies a model by class, settings, timing, labels, state and weights: 16 hexadecimal digits."""
        digest = hashlib.blake2b(self.description.encode(), digest_size=8)
        for leaf in self.leaves:
            if not _is_key(leaf):
                digest.update(np.asarray(leaf).tobytes())
        return digest.hexdigest()


class CompiledModel(Step):
    """A Model's step, compiled for its current weights; see `Step`.

    Args:
        model: any Model; compiled programs are shared by all its streams.

    Raises:
        TypeError: model is not a Model.
    """

    def __init__(self, model: Model):
        require_model(model)
        compiled = compiled_step(model)
        self.model, self._compiled, self.fresh_state = model, compiled, compiled.fresh_state
        self._program, self._weights = compiled.program, compiled.weights
        self.signal, self.stride, self.lookahead = model.signal, model.stride, model.lookahead
        self.out_features, self.labels, self.decision = model.out_features, model.labels, model.decision
        self.name = type(model).__name__

    @property
    def fingerprint(self) -> str:
        return self._compiled.fingerprint

    def __call__(self, state: State, x: np.ndarray) -> tuple[Packed, jax.Array]:
        return self._program(self._weights, state, x)

    def scan(self, state: State, x: np.ndarray) -> tuple[Packed, jax.Array]:
        return compiled_scan(self.model)(state, x)

    def outlet(self, **settings: Any) -> Outlet:
        return self.model.outlet(**settings)

    def loaded(self, arrays: Mapping[str, np.ndarray]) -> Packed:
        # A copy: on a CPU, a device array may share memory with the array it was made from.
        return {name: jax.device_put(array.copy()) for name, array in arrays.items()}

    def rows(self, capacity: int, devices: Sequence[Any] | None) -> Rows:
        from streamrnn.runtime.device_rows import DeviceRows

        return DeviceRows(self.model, self._compiled, capacity, jax.devices()[:1] if devices is None else devices)


def as_outputs(read: jax.Array) -> jax.Array:
    """A readout's result as float32, the dtype of outputs in every stream, pool and exported file; spectra stay
    complex."""
    return read if jnp.iscomplexobj(read) else read.astype(jnp.float32)


def require_model(model: Any) -> None:
    """Raises TypeError, with advice, if `model` is not a Model."""
    if not isinstance(model, Model):
        raise TypeError(
            f"got a {type(model).__name__} where a Model is needed. Pass streamrnn.load('vad'), or a subclass of "
            "streamrnn.Model, which adds to layers a signal, a readout and an outlet."
        )


class _Programs:
    """The programs of one model by mode, batch size and structure, and the latest compiled model of each."""

    def __init__(self) -> None:
        self.programs: dict[tuple[str, Graph], Program] = {}
        self.beginnings: dict[Graph, Beginning] = {}
        self.compiled: dict[tuple[str, int, Graph], Compiled] = {}


# Weak by model: a model's programs are freed along with it.
_of_models: WeakKeyDictionary[Model, _Programs] = WeakKeyDictionary()
_lock = threading.Lock()


def compiled_step(model: Model, batch_size: int = 1) -> Compiled:
    """The model's one-block step for `batch_size` streams, compiled at its first call and shared."""
    return _compiled(model, "step", batch_size)


def compiled_scan(model: Model, batch_size: int = 1) -> Compiled:
    """The model's scan, compiled once for each number of frames."""
    return _compiled(model, "scan", batch_size)


def _compiled(model: Model, way: str, batch_size: int) -> Compiled:
    # The structure is part of the key: a model whose layers were replaced needs another program.
    graph, variables = nnx.split(model)
    leaves, structure = jax.tree.flatten(variables)
    with running, _lock:
        of_model = _of_models.setdefault(model, _Programs())
        found = of_model.compiled.get((way, batch_size, graph))
        if found is not None and all(a is b for a, b in zip(found.leaves, leaves, strict=True)):
            return found
        program = of_model.programs.get((way, graph)) or _program(graph, structure, leaves, way)
        begin = of_model.beginnings.get(graph) or _beginning(graph, structure)
        small, fresh_state = begin(leaves, batch_size)
        large = tuple(leaf for leaf in leaves if not _is_small(leaf))
        made = Compiled(program, (large, small), fresh_state, leaves, _described(model, batch_size))
        of_model.programs[way, graph], of_model.beginnings[graph] = program, begin
        of_model.compiled[way, batch_size, graph] = made
        return made


def _program(graph: Graph, structure: Any, leaves: list[jax.Array], way: str) -> Program:
    is_small = [_is_small(leaf) for leaf in leaves]
    rows = [jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype) for leaf in leaves if _is_small(leaf)]

    @jax.jit
    def program(weights: Weights, packed: Packed, x: jax.Array) -> tuple[Packed, jax.Array]:
        large, small = iter(weights[0]), iter(unpack(weights[1], like=rows))
        every = [next(small)[0] if is_small_one else next(large) for is_small_one in is_small]
        model = nnx.merge(graph, jax.tree.unflatten(structure, every))
        model.eval()
        state = unpack(packed, like=jax.eval_shape(lambda: model.init_state(x.shape[0])))
        state, logits = getattr(model, way)(state, x)
        return pack(state), as_outputs(model.readout(logits))

    return program


def _beginning(graph: Graph, structure: Any) -> Beginning:
    """(variables, batch size) -> (the small variables, a fresh state). Compiled as a whole: array by array, a first
    stream would compile a dozen small programs."""

    @partial(jax.jit, static_argnums=1)
    def begin(leaves: list[jax.Array], batch_size: int) -> tuple[Packed, Packed]:
        model = nnx.merge(graph, jax.tree.unflatten(structure, leaves))
        return pack([leaf[None] for leaf in leaves if _is_small(leaf)]), pack(model.init_state(batch_size))

    return begin


def _is_small(leaf: Any) -> bool:
    return leaf.size <= SMALL and jnp.issubdtype(leaf.dtype, jnp.floating)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _described(model: Model, batch_size: int) -> str:
    state = jax.eval_shape(lambda: model.init_state(batch_size))
    # Settings determine more than weights: constants computed from them, and which words there are.
    facts = type(model).__name__, model.signal, model.stride, model.lookahead, model.labels, model.settings
    return repr((*facts, [(leaf.shape[1:], leaf.dtype.name) for leaf in jax.tree.leaves(state)]))


__all__ = ["Compiled", "CompiledModel", "as_outputs", "compiled_scan", "compiled_step", "require_model"]
