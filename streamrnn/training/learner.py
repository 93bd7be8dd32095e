"""One compiled update: gradients, carried state, averaged weights."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from streamrnn.contract import Constant, Layer
from streamrnn.training.devices import Devices
from streamrnn.training.memory import shortage
from streamrnn.training.optimizer import make_optimizer
from streamrnn.training.settings import TrainingSettings

Loss = Callable[..., Any]
InitialCarry = Callable[[Any, Any], Any]

NEEDS_LESS = (
    "Choose a smaller --batch-size or --batch-s; a larger --accumulate, for parts that are smaller and the same "
    "gradients; a shorter --duration-s or --durations-s; --remat-frames, for values computed again instead of kept; "
    "--dtype bfloat16; or more devices."
)


class Learned(NamedTuple):
    """What updates change. `average` is () without ema_decay, `carry` is () where nothing is carried."""

    weights: Any
    average: Any
    optimizer: Any
    carry: Any

    @property
    def shipped(self) -> Any:
        """The weights to validate and to keep."""
        return self.average or self.weights


class Figures(NamedTuple):
    """What an update tells: scalars."""

    loss: Any
    gradient_norm: Any


class Learner:
    """The compiled update of one model.

    Args:
        model: put into training mode while it is taken apart, and left in eval mode; its arrays are not touched.
        loss: (model, batch) -> scalar; with initial_carry (model, batch, carry) -> (scalar, carry).
        settings: of the optimiser, accumulation and average.
        initial_carry: (model, batch) -> what fresh streams carry, a pytree whose leaves have the batch as axis 0. Rows
            where batch["reset"], bool[batch], is True begin with it; without that key none does but at the start.

    Raises:
        TypeError: the model has Variables that change in other ways than by gradients.

    What takes a batch raises MemoryError where the devices have too little memory for it, and says what needs less.
    """

    def __init__(self, model: Layer, loss: Loss, settings: TrainingSettings, initial_carry: InitialCarry | None = None):
        self.loss, self.settings, self.initial_carry = loss, settings, initial_carry
        self.optimizer, self.devices = make_optimizer(settings), Devices()
        self.graph, weights, keys, rest = _taken_apart(model)
        self.weights = self.devices.copy_everywhere(weights)
        self.keys, self.rest = jax.jit(lambda tree: tree, out_shardings=self.devices.everywhere)((keys, rest))
        everywhere, rows = self.devices.everywhere, self.devices.rows
        shardings = (Learned(everywhere, everywhere, everywhere, rows), everywhere)
        self._update = jax.jit(self._updated, donate_argnums=0, out_shardings=shardings)
        self._fresh = jax.jit(self._fresh_carry, out_shardings=rows)

    def share(self, batch: Any) -> Any:
        """The batch on the devices. Raises ValueError where they can't share its rows evenly."""
        with self._fitting(batch):
            return self.devices.share(batch, self.settings.accumulate)

    def begin(self, batch: Any) -> Learned:
        """Before the first update; the batch, as `share` gives it, tells the shape of the carry."""
        with self._fitting(batch):
            weights = self.devices.copy_everywhere(self.weights)
            average = self.devices.copy_everywhere(self.weights) if self.settings.ema_decay else ()
            optimizer = jax.jit(self.optimizer.init, out_shardings=self.devices.everywhere)(weights)
            carry = () if self.initial_carry is None else self._fresh(weights, self.keys, self.rest, batch)
            return Learned(weights, average, optimizer, carry)

    def update(self, learned: Learned, batch: Any, step: int) -> tuple[Learned, Figures]:
        """One update with a batch as `share` gives it; `learned` is used up. Randomness depends on the step alone."""
        with self._fitting(batch):
            # Devices work while this goes on: that they ran out of memory comes out with what they computed.
            return jax.block_until_ready(self._update(learned, self.keys, self.rest, batch, step))

    def compile(self, learned: Learned, batch: Any) -> Any:
        """The update, compiled for batches like this one (jax.stages.Compiled)."""
        with self._fitting(batch):
            return self._update.lower(learned, self.keys, self.rest, batch, 0).compile()

    def export(self, learned: Learned, batch: Any, platforms: Sequence[str]) -> jax.export.Exported:
        """The update as these platforms ("cpu", "cuda", "tpu") would be given it, none of which has to be here.

        Raises:
            NotImplementedError: the model or its loss has an operation that a platform lacks.
            ValueError: they call back to Python, or what else only this machine could run.
        """
        return jax.export.export(self._update, platforms=platforms)(learned, self.keys, self.rest, batch, 0)

    @contextmanager
    def _fitting(self, batch: Any) -> Iterator[None]:
        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            if (said := shortage(str(error))) is None:
                raise
            raise MemoryError(
                f"There is too little memory for updates with {_size(batch)} (devices: {self.devices.count}, parts to "
                f"accumulate: {self.settings.accumulate}): {said}. {NEEDS_LESS}"
            ) from error

    def _fresh_carry(self, weights: Any, keys: Any, rest: Any, batch: Any) -> Any:
        assert self.initial_carry is not None
        return self.initial_carry(nnx.merge(self.graph, weights, keys, rest, copy=True), batch)

    def _updated(self, learned: Learned, keys: Any, rest: Any, batch: Any, step: Any) -> tuple[Learned, Figures]:
        # Dropout, too, depends on the step alone: a run that resumes draws what it would have drawn.
        drawn = jax.tree.map(lambda key: jax.random.fold_in(key, step), keys)
        value, gradients, carry = self._gradients(learned.weights, drawn, rest, batch, learned.carry)
        updates, optimizer = self.optimizer.update(gradients, learned.optimizer, learned.weights)
        weights = optax.apply_updates(learned.weights, updates)
        average = self._averaged(learned.average, weights, step) if self.settings.ema_decay else ()
        return Learned(weights, average, optimizer, carry), Figures(value, optax.tree.norm(gradients))

    def _gradients(self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any) -> tuple[Any, Any, Any]:
        parts = self.settings.accumulate
        if parts == 1:
            (value, carry), gradients = self._gradients_of_part(weights, keys, rest, batch, carry)
            return value, gradients, carry

        def add(total: Any, part: Any) -> tuple[Any, Any]:
            number, batch, carry = part
            drawn = jax.tree.map(lambda key: jax.random.fold_in(key, number), keys)
            (value, carry), gradients = self._gradients_of_part(weights, drawn, rest, batch, carry)
            return jax.tree.map(jnp.add, total, (value, gradients)), carry

        nothing = (jnp.float32(0), jax.tree.map(jnp.zeros_like, weights))
        split = (jnp.arange(parts), split_rows(batch, parts), split_rows(carry, parts))
        total, carry = jax.lax.scan(add, nothing, split)
        value, gradients = jax.tree.map(lambda leaf: leaf / parts, total)
        return value, gradients, join_rows(carry)

    def _gradients_of_part(self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any) -> tuple[Any, Any]:
        def objective(weights: Any) -> tuple[jax.Array, Any]:
            model = nnx.merge(self.graph, weights, keys, rest, copy=True)
            if self.initial_carry is None:
                value, after = self.loss(model, batch), ()
            else:
                reset = batch.get("reset") if isinstance(batch, dict) else None
                before = reset_rows(carry, self.initial_carry(model, batch), reset)
                value, after = self.loss(model, batch, before)
            return value.astype(jnp.float32), after

        return jax.value_and_grad(objective, has_aux=True)(weights)

    def _averaged(self, average: Any, weights: Any, step: Any) -> Any:
        # Early on the average is short: as in TensorFlow's ExponentialMovingAverage with num_updates.
        decay = jnp.minimum(self.settings.ema_decay, (step + 1) / (step + 10))
        return optax.incremental_update(weights, average, 1 - decay)


def _taken_apart(model: Layer) -> tuple[Any, Any, Any, Any]:
    """(graph in training mode, weights, random keys, all else that does not change)."""
    model.train()
    graph, weights, keys, rest, lost = nnx.split(model, nnx.Param, nnx.RngKey, nnx.Any(nnx.RngState, Constant), ...)
    model.eval()
    if names := sorted(".".join(map(str, path)) for path, _ in nnx.to_flat_state(lost)):
        raise TypeError(
            f"fit trains nnx.Param only, and what {', '.join(names[:5])} learns would be lost. "
            "Make it a Param, or a Constant if it is fixed."
        )
    return graph, weights, keys, rest


def _size(batch: Any) -> str:
    """How large the largest array of a batch is, which is the recordings."""
    match max(map(np.shape, jax.tree.leaves(batch)), key=math.prod, default=()):
        case (rows, frames, _):
            return f"batches of {rows} rows of {frames} frames"
        case (rows, *_):
            return f"batches of {rows} rows"
        case _:
            return "batches without rows"


def reset_rows(carry: Any, fresh: Any, reset: jax.Array | None) -> Any:
    """The carry, with the rows of `fresh` where reset[batch] is True; no gradient flows into the carry."""
    carry = jax.lax.stop_gradient(carry)
    if reset is None:
        return carry

    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(reset.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(chosen, carry, fresh)


def split_rows(tree: Any, parts: int) -> Any:
    """Leaves [batch, ...] -> [parts, batch/parts, ...]; those without axes are repeated."""

    def split(leaf: jax.Array) -> jax.Array:
        if not leaf.ndim:
            return jnp.broadcast_to(leaf, parts)
        # Part 0 has the rows 0, parts, 2 parts, ...: neighbours are on one device, which so works on every part.
        return jnp.moveaxis(leaf.reshape(-1, parts, *leaf.shape[1:]), 1, 0)

    return jax.tree.map(split, tree)


def join_rows(tree: Any) -> Any:
    """The inverse of split_rows."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(-1, *leaf.shape[2:]), tree)


__all__ = ["Figures", "InitialCarry", "Learned", "Learner", "Loss", "join_rows", "reset_rows", "split_rows"]
