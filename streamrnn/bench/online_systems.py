"""Networks that differ in their core alone, each as a program that processes one block of a stream at any position."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.bench.online_counting import multiply_adds
from streamrnn.bench.online_room import bytes_needed, room_for
from streamrnn.bench.sounds import batches
from streamrnn.models import CORES, Model, matched
from streamrnn.suggestions import did_you_mean

SYSTEMS = tuple(CORES)
# Their memory grows with the sound processed.
GROWING = ("transformer", "transformer-recompute")

# One stream on one core: a second core that helps one stream is missing for another.
ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}


def check_systems(systems: tuple[str, ...]) -> None:
    """Raises ValueError for names that are no systems; the message has the known ones."""
    known = f"Systems are: {', '.join(SYSTEMS)}."
    if not systems:
        raise ValueError(f"No system is named. {known}")
    if unknown := [name for name in systems if name not in SYSTEMS]:
        meant = did_you_mean(unknown[0], SYSTEMS)
        raise ValueError(f"There is no system {', '.join(map(repr, unknown))}.{meant} {known}")


def system_model(system: str, reference: Model) -> Model:
    """The reference's network with another core, untrained, as large as the reference.

    Raises:
        ValueError: no width makes it as large.
    """
    build: Any = type(reference)
    model = build(matched(build, reference.settings, system), rngs=nnx.Rngs(0))
    model.eval()
    return model


class System:
    """A model and its programs: one for all positions, if what it remembers does not grow, or one per room."""

    def __init__(self, name: str, model: Model):
        self.name, self.model = name, model
        self.weights = tuple(jax.tree.leaves(nnx.state(model)))
        self.inputs = batches(model, 1)
        self._programs: dict[int | None, Program] = {}

    def at(self, position: int) -> "Program":
        """The program of a stream that has heard `position` frames."""
        room = room_for(position) if self.name in GROWING else None
        if room not in self._programs:
            self._programs[room] = Program(self._with_room(room), self.weights, room)
        return self._programs[room]

    @cached_property
    def as_saved(self) -> "Program":
        """The program of a stream that remembers as much as the model's settings say, whatever it has heard."""
        return Program(self._with_room(None), self.weights, None)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(self.model, nnx.Param)))

    def _with_room(self, room: int | None) -> Model:
        """The model with shapes in the place of its arrays, which no room changes."""
        build: Any = type(self.model)
        settings = self.model.settings
        if room is not None:
            settings = dataclasses.replace(settings, context_frames=room)
        model = nnx.eval_shape(lambda: build(settings, rngs=nnx.Rngs(0)))
        model.eval()
        return model


class Program:
    """One block of one stream: (weights, memory, counters, x[1, stride, hop_samples]) -> (memory, outputs).

    The memory (all of the state that is no counter) is donated, so that a cache need not be copied. Counters go in and
    do not come out: a stream stays at its position however often it is called.

    Attributes:
        room: frames that its memory holds; None where that does not depend on the position.
        state: shapes and dtypes of the state.
    """

    def __init__(self, model: Model, weights: tuple[jax.Array, ...], room: int | None):
        self.room, self.state = room, jax.eval_shape(lambda: model.init_state(1))
        self._model, self._weights = model, weights

    def fresh(self) -> tuple[list[jax.Array], list[jax.Array]]:
        """(memory, counters) of a new stream."""
        return self._fresh()

    def filled(self, position: int) -> tuple[list[jax.Array], list[jax.Array]]:
        """(memory, counters) of a stream that has heard `position` frames: random numbers in [0, 0.1)."""
        return self._filled(position)

    @property
    def state_bytes(self) -> int:
        """Bytes of one stream's state."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.state))

    @cached_property
    def multiply_adds(self) -> int:
        """Of one block; see online_counting."""
        return multiply_adds(self._traced.jaxpr.jaxpr)

    @cached_property
    def executable(self) -> Any:
        """The program, compiled for one core."""
        options: Any = ONE_THREAD if jax.default_backend() == "cpu" else {}
        return self._traced.lower().compile(compiler_options=options)

    @cached_property
    def bytes_needed(self) -> int:
        """Memory that a stream needs while it runs, weights included; known before any of it is allocated."""
        return bytes_needed(self.executable)

    @cached_property
    def _traced(self) -> Any:
        graph, variables = nnx.split(self._model)
        structure, state_structure = jax.tree.structure(variables), jax.tree.structure(self.state)

        def block(weights: Any, memory: Any, counters: Any, x: jax.Array) -> tuple[Any, jax.Array]:
            model = nnx.merge(graph, jax.tree.unflatten(structure, weights))
            state = jax.tree.unflatten(state_structure, self._joined(memory, counters))
            state, logits = model.step(state, x)
            return self._parted(jax.tree.leaves(state))[0], model.readout(logits)

        memory, counters = self._parted(jax.tree.leaves(self.state))
        x = jax.ShapeDtypeStruct((1, self._model.stride, self._model.hop_samples), jnp.float32)
        return jax.jit(block, donate_argnums=1).trace(self._weights, memory, counters, x)

    @cached_property
    def _fresh(self) -> Callable[[], Any]:
        return jax.jit(lambda: self._parted(jax.tree.leaves(self._model.init_state(1))))

    @cached_property
    def _filled(self) -> Callable[[int], Any]:
        memory, counters = self._parted(jax.tree.leaves(self.state))

        def fill(position: Any) -> tuple[list[jax.Array], list[jax.Array]]:
            keys = [jax.random.key(number) for number in range(len(memory))]
            drawn = [jax.random.uniform(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, memory, strict=True)]
            return [0.1 * numbers for numbers in drawn], [
                jnp.full(leaf.shape, position, leaf.dtype) for leaf in counters
            ]

        return jax.jit(fill)

    @cached_property
    def _is_counter(self) -> list[bool]:
        return [jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(self.state)]

    def _parted(self, leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        marked = list(zip(leaves, self._is_counter, strict=True))
        return [leaf for leaf, counts in marked if not counts], [leaf for leaf, counts in marked if counts]

    def _joined(self, memory: list[Any], counters: list[Any]) -> list[Any]:
        rest, counted = iter(memory), iter(counters)
        return [next(counted) if counts else next(rest) for counts in self._is_counter]


class LiveStream:
    """One stream; each call takes one block and returns its outputs as a NumPy array. Begin it, or move it, first."""

    _memory: list[jax.Array]
    _counters: list[jax.Array]

    def __init__(self, program: Program, weights: tuple[jax.Array, ...], inputs: Iterator[np.ndarray]):
        self._program, self._weights, self._inputs = program, weights, inputs

    def begin(self) -> None:
        """As a new stream."""
        self._memory = []
        self._memory, self._counters = self._program.fresh()

    def move_to(self, position: int) -> None:
        """As if it had heard so many frames."""
        self._memory = []
        self._memory, self._counters = self._program.filled(position)

    def __call__(self) -> np.ndarray:
        executable, x = self._program.executable, next(self._inputs)
        self._memory, outputs = executable(self._weights, self._memory, self._counters, x)
        return np.asarray(outputs)


__all__ = ["GROWING", "SYSTEMS", "LiveStream", "Program", "System", "check_systems", "system_model"]
