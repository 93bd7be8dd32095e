"""The laws of the contract as a function: what makes a layer train on whole recordings and stream block by block.

tests/test_contract.py applies them to every layer and model of the package.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import Layer, aligned
from streamrnn.shapes import State
from streamrnn.signals import Series, Timed

Draw = Callable[[jax.Array, tuple[int, ...]], jax.Array]

BATCH, BLOCKS = 3, 7


class ContractBroken(AssertionError):
    """A layer breaks a law. The message names the law and what the layer did."""


# Halves the compile time; laws hold for fast and slow programs alike.
QUICKLY_COMPILED = {"xla_backend_optimization_level": 0}


class Held:
    """A layer under test: its inputs, and its compiled step and scan.

    Everything else is NumPy, because JAX would compile each slice of each shape.

    Args:
        layer: in eval mode.
        features: width of its input frames.
        draw: (key, shape) -> inputs.
        tolerance: allowed difference between equal numbers, relative to the largest, or to 1 if that is less.

    Attributes:
        programs: the different forms of state, input and layer for which `step` was traced, by the input's shape.
    """

    def __init__(self, layer: Layer, features: int, draw: Draw, tolerance: float):
        self.layer, self.features, self.draw, self.tolerance = layer, features, draw, tolerance
        self.programs: defaultdict[tuple[int, ...], set[Any]] = defaultdict(set)
        self._drawn: dict[int, np.ndarray] = {}
        self._graph, self._values = nnx.split(layer)
        self._step, self._scan = self._compiled(self._traced), self._compiled(type(layer).scan)

    def _compiled(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @partial(jax.jit, compiler_options=QUICKLY_COMPILED)
        def run(values: Any, *args: Any) -> Any:
            layer = nnx.merge(self._graph, values)
            return method(layer, *args), nnx.state(layer)

        def call(*args: Any) -> Any:
            # A layer that changes itself is detected only if its changes are kept.
            result, self._values = run(self._values, *args)
            return result

        return call

    def _traced(self, layer: Layer, state: State, x: jax.Array) -> Any:
        # Not the number of traces: JAX may have evicted the program, and then traces it again.
        leaves, form = jax.tree.flatten((nnx.state(layer), state, x))
        self.programs[x.shape].add((form, *(jax.typeof(leaf) for leaf in leaves)))
        return layer.step(state, x)

    def inputs(self, blocks: int = BLOCKS, seed: int = 0) -> np.ndarray:
        """Frames x[BATCH, blocks * stride, features]; fewer blocks are a prefix of BLOCKS."""
        if seed not in self._drawn:
            shape = (BATCH, BLOCKS * self.layer.stride, self.features)
            self._drawn[seed] = np.asarray(self.draw(jax.random.key(seed), shape))
        return self._drawn[seed][:, : blocks * self.layer.stride]

    def scan(self, state: State, x: Any) -> tuple[State, jax.Array]:
        return self._scan(state, x)

    def step(self, state: State, x: Any) -> tuple[State, jax.Array]:
        return self._step(state, x)

    @cached_property
    def aligned(self) -> Callable[[Any], jax.Array]:
        """The layer's outputs for whole recordings, compiled."""
        # Without look-ahead nothing is padded, and the scan is already compiled.
        return self._compiled(aligned) if self.layer.lookahead else lambda x: self.scan(self.fresh, x)[1]

    def steps(self, state: State, x: Any) -> tuple[State, np.ndarray]:
        """Block by block, as a live stream runs it."""
        outputs = []
        for block in self.blocks(x):
            state, y = self.step(state, block)
            outputs.append(y)
        return state, np.concatenate(outputs, axis=1)

    def blocks(self, x: Any) -> Iterator[Any]:
        """Splits x[batch, time, in] into blocks of stride frames."""
        for start in range(0, x.shape[1], self.layer.stride):
            yield x[:, start : start + self.layer.stride]

    @cached_property
    def fresh(self) -> State:
        """The state of BATCH fresh streams."""
        return self.layer.init_state(BATCH)

    def require_close(self, found: Any, expected: Any, what: str) -> None:
        """Raises ContractBroken if two pytrees differ by more than the tolerance; `what` names the difference."""
        left, right = jax.tree.flatten(found), jax.tree.flatten(expected)
        if left[1] != right[1]:
            raise ContractBroken(f"{what}: {left[1]} is not {right[1]}")
        for a, b in zip(left[0], right[0], strict=True):
            a, b = (wide(np.asarray(leaf)) for leaf in (a, b))
            limit = self.tolerance * max(1.0, float(np.abs(b).max(initial=0.0)))
            if a.shape != b.shape:
                raise ContractBroken(f"{what}: shapes {a.shape} and {b.shape}")
            wrong = ~(np.abs(a - b) <= limit) & ~(np.isnan(a) & np.isnan(b))
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                raise ContractBroken(f"{what}: {a[at]:.7g} and {b[at]:.7g} at {list(at)}, more than {limit:.2g} apart")

    @cached_property
    def gradients(self) -> Callable[[Any, bool], Any]:
        """(x, by steps) -> gradients of the outputs' energy, and (state, outputs).

        The gradients are with respect to weights and, unless they are ids, inputs.
        """
        graph, weights, rest = nnx.split(self.layer, nnx.Param, ...)

        def energy(weights: Any, x: jax.Array, by_steps: bool) -> tuple[jax.Array, Any]:
            layer = nnx.merge(graph, weights, rest)
            state, outputs = layer.init_state(len(x)), []
            if by_steps:
                for block in self.blocks(x):
                    state, y = layer.step(state, block)
                    outputs.append(y)
                y = jnp.concatenate(outputs, axis=1)
            else:
                state, y = layer.scan(state, x)
            found = wide(y)
            # Not by abs(), whose gradient at a complex 0 is NaN.
            return jnp.sum(jnp.real(found) ** 2 + jnp.imag(found) ** 2), (state, y)

        argnums = (0, 1) if jnp.issubdtype(self.inputs().dtype, jnp.inexact) else (0,)
        gradient = jax.grad(energy, argnums=argnums, has_aux=True)
        found = jax.jit(gradient, static_argnums=2, compiler_options=QUICKLY_COMPILED)
        return lambda x, by_steps: found(weights, x, by_steps)


def wide(leaf: Any) -> Any:
    """An array as float32 or complex64 at least, so that differences are not rounded."""
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def finite(tree: Any) -> bool:
    """Whether all numbers of a pytree are finite."""
    return all(np.isfinite(wide(np.asarray(leaf))).all() for leaf in jax.tree.leaves(tree))


def _kind(state: State) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype.name), state)


def _arrays(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def _row(tree: Any, row: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[row], tree)


def state_keeps_its_form(held: Held) -> None:
    """The state keeps its structure, shapes and dtypes, has the stream as axis 0, and is float32 or integers."""
    fresh = _kind(held.fresh)
    for way, x in ((held.steps, held.inputs(1)), (held.scan, held.inputs())):
        if (after := _kind(way(held.fresh, x)[0])) != fresh:
            raise ContractBroken(f"{way.__name__} turned the state {fresh} into {after}")
    for leaf in jax.tree.leaves(held.fresh):
        if leaf.shape[:1] != (BATCH,):
            raise ContractBroken(f"init_state({BATCH}) has a leaf {leaf.shape}; its axis 0 must be the stream")
        if leaf.dtype == jnp.bfloat16:
            raise ContractBroken("init_state has a bfloat16 leaf; what is summed for hours must be float32")


def steps_equal_scan(held: Held) -> None:
    """Steps, block by block, give the same outputs and state as a scan over all blocks."""
    x = held.inputs()
    (by_steps, y), (by_scan, z) = held.steps(held.fresh, x), held.scan(held.fresh, x)
    held.require_close(y, z, "outputs of steps and of scan")
    held.require_close(by_steps, by_scan, "states after steps and after scan")


def chunks_equal_whole(held: Held) -> None:
    """Scans over parts, with the state carried over, give the same outputs as one scan over the whole."""
    x, stride = held.inputs(), held.layer.stride
    for cut in (1, 4):
        state, before = held.scan(held.fresh, x[:, : cut * stride])
        _, after = held.scan(state, x[:, cut * stride :])
        whole = held.scan(held.fresh, x)[1]
        held.require_close(np.concatenate([before, after], axis=1), whole, f"outputs of parts, cut at {cut} blocks")


def the_future_cannot_change_the_past(held: Held) -> None:
    """Outputs depend only on input up to their frame; look-ahead means later outputs."""
    stride, x, other = held.layer.stride, held.inputs(), held.inputs(seed=1)
    for start in (1, 4):
        changed = np.concatenate([x[:, : start * stride], other[:, start * stride :]], axis=1)
        before, after = held.scan(held.fresh, x)[1], held.scan(held.fresh, changed)[1]
        held.require_close(before[:, :start], after[:, :start], f"outputs before a change at block {start}")


def outputs_are_aligned(held: Held) -> None:
    """There are as many outputs as blocks, aligned with their input frames, once `lookahead` frames have followed."""
    layer, x = held.layer, held.inputs()
    padded = np.pad(x, ((0, 0), (0, layer.lookahead), (0, 0)), constant_values=layer.padding)
    _, late = held.steps(held.fresh, padded)
    y = held.aligned(x)
    if y.shape[1] != BLOCKS:
        raise ContractBroken(f"{BLOCKS} blocks gave {y.shape[1]} outputs")
    held.require_close(y, late[:, layer.lookahead // layer.stride :], "outputs of aligned() and of a stream")


def streams_are_independent(held: Held) -> None:
    """A stream's outputs are the same alone and beside other streams."""
    x, together = held.inputs(), held.steps(held.fresh, held.inputs())
    for i in range(BATCH):
        alone = held.steps(held.layer.init_state(1), x[i : i + 1])
        part = jax.tree.map(lambda leaf: np.asarray(leaf)[i : i + 1], together)  # noqa: B023
        held.require_close(alone, part, f"stream {i}, alone and in a batch of {BATCH}")


def a_nan_stays_in_its_stream(held: Held) -> None:
    """A NaN in one stream of a batch does not change any other stream."""
    x = held.inputs()
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return
    with_nan = x.copy()
    with_nan[1] = np.nan
    poisoned, sound = held.scan(held.fresh, with_nan), held.scan(held.fresh, x)
    for i in (0, 2):
        held.require_close(_row(poisoned, i), _row(sound, i), f"stream {i} beside one with NaN, and without")


def a_reset_row_is_fresh(held: Held) -> None:
    """A row of the state replaced by a fresh one starts anew, and its neighbours continue."""
    x, fresh = held.inputs(), held.fresh
    used = held.scan(fresh, held.inputs(seed=1))[0]
    mixed = jax.tree.map(lambda f, u: np.concatenate([u[:1], f[1:2], u[2:]]), *(_arrays(s) for s in (fresh, used)))
    held.require_close(_row(held.scan(mixed, x), 1), _row(held.scan(fresh, x), 1), "a reset stream and a fresh one")
    held.require_close(_row(held.scan(mixed, x), 2), _row(held.scan(used, x), 2), "a stream beside a reset one")


def a_state_goes_on_elsewhere(held: Held) -> None:
    """All memory of a layer is in its state: a copy of the state continues with the same outputs, bit for bit."""
    x, cut = held.inputs(), 3 * held.layer.stride
    state, _ = held.steps(held.fresh, x[:, :cut])
    copy = jax.tree.map(np.array, state)
    straight, resumed = (jax.tree.leaves(held.steps(begun, x[:, cut:])) for begun in (state, copy))
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(straight, resumed, strict=True)):
        raise ContractBroken("a copy of the state gave different outputs: something is remembered outside the state")


def gradients_are_finite_and_the_same(held: Held) -> None:
    """Gradients through steps equal those through a scan, and are finite."""
    x = held.inputs(2)
    by_scan, _ = held.gradients(x, False)
    if not finite(by_scan):
        raise ContractBroken("gradients through scan are not finite")
    held.require_close(held.gradients(x, True)[0], by_scan, "gradients through steps and through scan")


def step_compiles_once(held: Held) -> None:
    """A compiled step serves every block: its program does not depend on any value."""
    x = held.inputs()
    held.steps(held.fresh, x)
    programs = len(held.programs[(BATCH, held.layer.stride, held.features)])
    if programs != 1:
        raise ContractBroken(f"{BLOCKS} blocks of one shape needed {programs} programs")


def _named(law: Callable[[Held], None]) -> str:
    return law.__name__.replace("_", " ")


LAWS: dict[str, Callable[[Held], None]] = {
    _named(law): law
    for law in (
        state_keeps_its_form,
        steps_equal_scan,
        chunks_equal_whole,
        the_future_cannot_change_the_past,
        outputs_are_aligned,
        streams_are_independent,
        a_nan_stays_in_its_stream,
        a_reset_row_is_fresh,
        a_state_goes_on_elsewhere,
        gradients_are_finite_and_the_same,
        step_compiles_once,
    )
}


def check_contract(
    layer: Layer, features: int | None = None, *, draw: Draw | None = None, tolerance: float = 1e-5
) -> None:
    """Tests a layer, or a whole model, against the laws of the contract, on drawn inputs. If it passes, it can go live.

    A copy of the layer is tested in eval mode. This takes some seconds, because each law compiles what it runs.

    Args:
        layer: any Layer.
        features: width of its input frames; a Model knows its own.
        draw: (key, shape) -> inputs, if normal ones make no sense; default: normal, and ids for a Model of ids.
        tolerance: allowed difference between equal numbers, relative to the largest of their array, or to 1 if that is
            less. Layers that compute in bfloat16 need 2**-6.

    Raises:
        ContractBroken: a law is broken. The message names the law and the difference.
        TypeError: layer is not a Layer, or the width of its frames is unknown.
        ValueError: the width or the tolerance is not positive, or `draw` returns a wrong shape.
    """
    if not isinstance(layer, Layer):
        came = f"the class {layer.__name__}" if isinstance(layer, type) else f"a {type(layer).__name__}"
        raise TypeError(f"check_contract got {came}; it needs a streamrnn.Layer (an instance).")
    signal = layer.signal if isinstance(layer, Timed) else None
    if features is None and signal is None:
        raise TypeError("check_contract needs the width of input frames: check_contract(layer, features=40).")
    draw = draw or (_ids(signal.ids or 2) if _is_of_ids(signal) else jax.random.normal)
    width = signal.features if features is None and signal is not None else features
    if type(width) is not int or width < 1 or not tolerance > 0:
        raise ValueError(
            f"check_contract got features={width!r}, tolerance={tolerance!r}; it needs a whole number of 1 or more "
            "and a positive number."
        )
    wanted = (BATCH, BLOCKS * layer.stride, width)
    if (found := np.shape(draw(jax.random.key(0), wanted))) != wanted:
        raise ValueError(f"draw(key, {wanted}) returned the shape {found}; it must return the requested shape.")
    copy = nnx.merge(*nnx.split(layer))
    copy.eval()
    held = Held(copy, width, draw, tolerance)
    for name, law in LAWS.items():
        require(held, name, law)


def require(held: Held, name: str, law: Callable[[Held], None]) -> None:
    """Raises ContractBroken, naming the layer and the law, unless the law holds."""
    layer = type(held.layer).__name__
    try:
        law(held)
    except ContractBroken as error:
        raise ContractBroken(f"{layer} breaks the law “{name}”: {error}. {_told(law)}") from error
    except jax.errors.JAXTypeError as error:
        # Python used a value that is unknown while JAX traces. Whichever law comes first runs into it.
        what, broken = _in_a_line(error), step_compiles_once
        raise ContractBroken(f"{layer} breaks the law “{_named(broken)}”: {what}. {_told(broken)}") from error
    except Exception as error:
        raise ContractBroken(f"{layer} raised {_in_a_line(error)}, tried for the law “{name}”.") from error


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip('.')}"


def _told(law: Callable[[Held], None]) -> str:
    return " ".join((law.__doc__ or "").split())


def _is_of_ids(signal: Any) -> TypeGuard[Series]:
    return isinstance(signal, Series) and signal.dtype == "int32"


def _ids(count: int) -> Draw:
    return lambda key, shape: jax.random.randint(key, shape, 0, count, jnp.int32)


__all__ = ["BLOCKS", "LAWS", "ContractBroken", "Held", "check_contract", "finite", "require", "wide"]
