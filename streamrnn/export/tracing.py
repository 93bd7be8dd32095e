"""A model's step as a function of named arrays, the starting point of every export."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import ClosedJaxpr, InconclusiveDimensionOperation

from streamrnn.contract import Layer
from streamrnn.layers import Chain, Guarded, Recurrent
from streamrnn.models import Model
from streamrnn.runtime.compiled import as_outputs, require_model
from streamrnn.signals import Sound

Traced = TypeVar("Traced")


@dataclass(frozen=True)
class StateTensor:
    """One array of a stream's state.

    Attributes:
        name: its place in the network: the layer's index in each Chain, its class, and the field.
        initial: its value in a fresh stream, [1, ...]; float32 or int32.
    """

    name: str
    initial: np.ndarray

    @property
    def next_name(self) -> str:
        """The name of the array in the step's outputs."""
        return f"{self.name}.next"


class FlatStep:
    """(pcm[batch, block_samples], *states) -> (outputs[batch, out], *states), `readout` included; for a model that
    takes no sound, (frames[batch, stride, features], *states).

    Complex states are two float32 arrays; empty arrays, such as a delay of no frames, are left out.

    Raises:
        TypeError: it is not a Model.
    """

    def __init__(self, model: Model):
        require_model(model)
        # A copy with the same arrays, so that a model in training mode stays in it.
        self.model = model = nnx.merge(*nnx.split(model))
        model.eval()
        leaves, self._structure = jax.tree.flatten(model.init_state(1))
        self._leaves = [np.asarray(leaf) for leaf in leaves]
        names = list(_names(model.network, model.init_state(1), ""))
        self.states = tuple(_tensors(names, self._leaves))
        self.input_name = "pcm" if isinstance(model.signal, Sound) else "frames"

    def __call__(self, first: jax.Array, *states: jax.Array) -> tuple[jax.Array, ...]:
        model, batch = self.model, first.shape[0]
        state = jax.tree.unflatten(self._structure, self._joined(batch, iter(states)))
        state, logits = model.step(state, first.reshape(batch, model.stride, model.signal.features))
        return as_outputs(model.readout(logits))[:, 0], *_parted(jax.tree.leaves(state))

    def scan(self, run: Callable[..., Any], first: jax.Array, *states: jax.Array) -> tuple[jax.Array, ...]:
        """Several blocks at once: pcm[batch, blocks * block_samples] -> outputs[batch, blocks, out], and the states.

        Args:
            run: (layer, state, frames) -> (state, outputs), as Layer.scan.
        """
        model, batch = self.model, first.shape[0]
        state = jax.tree.unflatten(self._structure, self._joined(batch, iter(states)))
        frames = first.shape[1] // model.signal.features
        state, logits = run(model.network, state, first.reshape(batch, frames, model.signal.features))
        return as_outputs(model.readout(logits)), *_parted(jax.tree.leaves(state))

    def shapes(self, batch: Any) -> list[jax.ShapeDtypeStruct]:
        """Its inputs; batch is a number or a symbolic dimension of jax.export."""
        model = self.model
        block = (model.block_samples,) if self.input_name == "pcm" else (model.stride, model.signal.features)
        first = jax.ShapeDtypeStruct((batch, *block), model.signal.dtype)
        states = [jax.ShapeDtypeStruct((batch, *state.initial.shape[1:]), state.initial.dtype) for state in self.states]
        return [first, *states]

    def _joined(self, batch: Any, states: Iterator[jax.Array]) -> Iterator[jax.Array]:
        for leaf in self._leaves:
            if not leaf.size:
                yield jnp.zeros((batch, *leaf.shape[1:]), leaf.dtype)
            elif np.iscomplexobj(leaf):
                yield jax.lax.complex(next(states), next(states))
            else:
                yield next(states)


def traced(step: FlatStep) -> ClosedJaxpr:
    """The step's operations, for any number of streams; weights are its constants.

    Raises:
        ValueError: the step depends on the number of streams.
    """
    return for_any_batch(lambda shapes: jax.make_jaxpr(step)(*shapes), step)


def for_any_batch(trace: Callable[[list[jax.ShapeDtypeStruct]], Traced], step: FlatStep) -> Traced:
    """The result of `trace` for the step's shapes with a symbolic batch.

    Raises:
        ValueError: the step depends on the number of streams.
    """
    (batch,) = jax.export.symbolic_shape("batch")
    try:
        return trace(step.shapes(batch))
    except (TypeError, InconclusiveDimensionOperation) as error:
        if isinstance(error, TypeError) and type(batch).__name__ not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"The step of {type(step.model).__name__} depends on the number of streams ({reason}), and an export "
            "leaves that open. Use x.shape[0] in shapes alone, and neither len(x) nor comparisons."
        ) from error


def _parted(leaves: list[Any]) -> Iterator[Any]:
    for leaf in leaves:
        if not _has_numbers(leaf):
            continue
        if jnp.iscomplexobj(leaf):
            yield from (leaf.real, leaf.imag)
        else:
            yield leaf


def _has_numbers(leaf: Any) -> bool:
    return math.prod(leaf.shape[1:]) > 0


def _tensors(names: list[str], leaves: list[np.ndarray]) -> Iterator[StateTensor]:
    for name, leaf in zip(names, leaves, strict=True):
        parts = list(_parted([leaf]))
        suffixes = [".real", ".imag"] if len(parts) == 2 else [""]
        for suffix, part in zip(suffixes, parts, strict=False):
            yield StateTensor(f"state.{name}{suffix}", np.ascontiguousarray(part))


@functools.singledispatch
def _names(layer: Layer, state: Any, place: str) -> Iterator[str]:
    """The names of the state's leaves, in order."""
    for path, _ in jax.tree_util.tree_leaves_with_path(state):
        yield ".".join(
            filter(None, (place, type(layer).__name__, jax.tree_util.keystr(path, simple=True, separator=".")))
        )


@_names.register
def _(layer: Chain, state: Any, place: str) -> Iterator[str]:
    for number, (child, child_state) in enumerate(zip(layer.layers, state, strict=True)):
        yield from _names(child, child_state, f"{place}.{number}" if place else str(number))


@_names.register
def _(layer: Guarded, state: Any, place: str) -> Iterator[str]:
    of_layers, of_guard, last = state
    yield from _names.dispatch(Chain)(layer, of_layers, place)  # pyright: ignore[reportArgumentType]
    yield from _names(layer.guard, of_guard, f"{place}.guard" if place else "guard")
    yield from _names(layer.recent, last, f"{place}.guard" if place else "guard")


@_names.register
def _(layer: Recurrent, state: Any, place: str) -> Iterator[str]:
    yield from _names.dispatch(Layer)(layer.cell, state, place)  # pyright: ignore[reportArgumentType]


__all__ = ["FlatStep", "StateTensor", "for_any_batch", "traced"]
