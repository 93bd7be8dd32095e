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
from streamrnn.learning.devices import Devices
from streamrnn.learning.memory import shortage
from streamrnn.learning.optimizer import make_optimizer
from streamrnn.learning.settings import TrainingSettings
from streamrnn.losses import Mean

Loss = Callable[..., Any]
InitialCarry = Callable[[Any, Any], Any]

NEEDS_LESS = (
    "Choose a smaller --batch-size or --batch-s; a larger --accumulate, for parts that are smaller and the same "
    "gradients; a shorter --duration-s or --durations-s; --remat-frames, for values computed again instead of kept; "
    "--dtype bfloat16; or more devices."
)


class Learned(NamedTuple):
    """The state of training. `average` is () without ema_decay, `carry` is () if no state is carried."""

    weights: Any
    average: Any
    optimizer: Any
    carry: Any

    @property
    def shipped(self) -> Any:
        """The weights to validate and to keep."""
        return self.average or self.weights


class Figures(NamedTuple):
    """The scalar results of an update."""

    loss: Any
    gradient_norm: Any


class Learner:
    """The compiled update of one model.

    Args:
        model: put into training mode while it is split, and left in eval mode; its arrays are not changed.
        loss: (model, batch) -> losses.Mean, or a scalar, a mean over rows; with initial_carry (model, batch, carry) ->
            (the same, carry).
        settings: of the optimiser, accumulation and average.
        initial_carry: (model, batch) -> the carry of fresh streams, a pytree whose leaves have the batch as axis 0.
            Rows with batch["reset"], bool[batch], True start from it; without that key, only those of the first batch.
        secret: seed of the noise in private training.

    Raises:
        TypeError: the model has Variables that change in other ways than by gradients.
        ValueError: training is private and carries states.

    Methods that take a batch raise MemoryError if the devices have too little memory for it; the message says how to
    need less.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        settings: TrainingSettings,
        initial_carry: InitialCarry | None = None,
        secret: int = 0,
    ):
        if settings.private and initial_carry is not None:
            raise ValueError(
                "Private training cannot carry states from batch to batch: a row's gradient would depend on the rows "
                "before it, of other recordings, and clipping it would bound nothing. Train without carried states "
                "(denoise: --carried-share 0; vad always carries them), or without --dp-noise."
            )
        self.loss, self.settings, self.initial_carry = loss, settings, initial_carry
        self.optimizer, self.devices = make_optimizer(settings, secret), Devices()
        self.graph, weights, keys, rest = _taken_apart(model)
        self.weights = self.devices.copy_everywhere(weights)
        self.keys, self.rest = jax.jit(lambda tree: tree, out_shardings=self.devices.everywhere)((keys, rest))
        everywhere, rows = self.devices.everywhere, self.devices.rows
        shardings = (Learned(everywhere, everywhere, everywhere, rows), everywhere)
        self._update = jax.jit(self._updated, donate_argnums=0, out_shardings=shardings)
        self._fresh = jax.jit(self._fresh_carry, out_shardings=rows)

    def share(self, batch: Any) -> Any:
        """The batch on the devices. Raises ValueError if its rows can't be split evenly."""
        with self._fitting(batch):
            return self.devices.share(batch, self.settings.accumulate)

    def begin(self, batch: Any) -> Learned:
        """The state before the first update; the batch, from `share`, determines the shape of the carry."""
        with self._fitting(batch):
            weights = self.devices.copy_everywhere(self.weights)
            average = self.devices.copy_everywhere(self.weights) if self.settings.ema_decay else ()
            optimizer = jax.jit(self.optimizer.init, out_shardings=self.devices.everywhere)(weights)
            carry = () if self.initial_carry is None else self._fresh(weights, self.keys, self.rest, batch)
            return Learned(weights, average, optimizer, carry)

    def update(self, learned: Learned, batch: Any, step: int) -> tuple[Learned, Figures]:
        """One update with a batch from `share`; `learned` is donated. Randomness depends on the step alone."""
        with self._fitting(batch):
            # Devices compute asynchronously, so an error for lack of memory comes with the results.
            return jax.block_until_ready(self._update(learned, self.keys, self.rest, batch, step))

    def compile(self, learned: Learned, batch: Any) -> Any:
        """The update, compiled for batches like this one (jax.stages.Compiled)."""
        with self._fitting(batch):
            return self._update.lower(learned, self.keys, self.rest, batch, 0).compile()

    def export(self, learned: Learned, batch: Any, platforms: Sequence[str]) -> jax.export.Exported:
        """The update, lowered for these platforms ("cpu", "cuda", "tpu"), which need not be present.

        Raises:
            NotImplementedError: the model or its loss has an operation that a platform lacks.
            ValueError: they call back to Python, or do something else that is tied to this machine.
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
        # Dropout, too, depends on the step alone, so that a resumed run draws the same numbers.
        drawn = jax.tree.map(lambda key: jax.random.fold_in(key, step), keys)
        ways = self._gradients_of_rows if self.settings.private else self._gradients
        value, gradients, carry = ways(learned.weights, drawn, rest, batch, learned.carry)
        updates, optimizer = self.optimizer.update(gradients, learned.optimizer, learned.weights)
        weights = optax.apply_updates(learned.weights, updates)
        average = self._averaged(learned.average, weights, step) if self.settings.ema_decay else ()
        return Learned(weights, average, optimizer, carry), Figures(
            value, optax.tree.norm(gradients) if not self.settings.private else optax.tree.norm(updates)
        )

    def _gradients(self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any) -> tuple[Any, Any, Any]:
        parts = self.settings.accumulate
        if parts == 1:
            (value, carry), gradients = self._gradients_of_part(weights, keys, rest, batch, carry)
            return value, gradients, carry

        def drawn(number: Any) -> Any:
            return jax.tree.map(lambda key: jax.random.fold_in(key, number), keys)

        def weigh(_: None, part: Any) -> tuple[None, Any]:
            number, batch, carry = part
            return None, self._loss_of_part(weights, drawn(number), rest, batch, carry)[0].weights

        def add(total: Any, part: Any) -> tuple[Any, Any]:
            number, batch, carry = part
            (value, carry), gradients = self._gradients_of_part(weights, drawn(number), rest, batch, carry, whole)
            return jax.tree.map(jnp.add, total, (value, gradients)), carry

        nothing = (jnp.float32(0), jax.tree.map(jnp.zeros_like, weights))
        split = (jnp.arange(parts), split_rows(batch, parts), split_rows(carry, parts))
        # The total weights first: they depend on the batch alone, so the compiler removes the model from this pass.
        whole = jax.tree.map(lambda each: jnp.sum(each, axis=0), jax.lax.scan(weigh, None, split)[1])
        (value, gradients), carry = jax.lax.scan(add, nothing, split)
        return value, gradients, join_rows(carry)

    def _gradients_of_rows(self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any) -> tuple[Any, Any, Any]:
        """(mean loss, gradients of each row, [rows, ...], ()); rows whose batch["drawn"] is False have none."""
        rows = max(leaf.shape[0] for leaf in jax.tree.leaves(batch) if leaf.ndim)

        def of_row(number: Any) -> tuple[Any, Any]:
            row = jax.tree.map(lambda leaf: leaf[number][None] if leaf.ndim else leaf, batch)
            drawn = jax.tree.map(lambda key: jax.random.fold_in(key, number), keys)
            (value, _), gradients = self._gradients_of_part(weights, drawn, rest, row, carry)
            return value, gradients

        values, gradients = jax.vmap(of_row)(jnp.arange(rows))
        there = batch["drawn"] if isinstance(batch, dict) and "drawn" in batch else jnp.ones(rows, bool)

        def only_drawn(leaf: jax.Array) -> jax.Array:
            return jnp.where(there.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0)

        value = jnp.sum(jnp.where(there, values, 0)) / jnp.maximum(there.sum(), 1)
        return value, jax.tree.map(only_drawn, gradients), carry

    def _gradients_of_part(
        self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any, whole: Any = None
    ) -> tuple[Any, Any]:
        """(loss, carry) and gradients of a part, relative to the total weights `whole`, or on its own."""

        def objective(weights: Any) -> tuple[jax.Array, Any]:
            loss, after = self._loss_of_part(weights, keys, rest, batch, carry)
            return loss.over(loss.weights if whole is None else whole).astype(jnp.float32), after

        return jax.value_and_grad(objective, has_aux=True)(weights)

    def _loss_of_part(self, weights: Any, keys: Any, rest: Any, batch: Any, carry: Any) -> tuple[Mean, Any]:
        model = nnx.merge(self.graph, weights, keys, rest, copy=True)
        if self.initial_carry is None:
            loss, after = self.loss(model, batch), ()
        else:
            reset = batch.get("reset") if isinstance(batch, dict) else None
            before = reset_rows(carry, self.initial_carry(model, batch), reset)
            loss, after = self.loss(model, batch, before)
        # A scalar is a mean over rows, of which each part has equally many.
        return loss if isinstance(loss, Mean) else Mean((loss,), (jnp.float32(1),)), after

    def _averaged(self, average: Any, weights: Any, step: Any) -> Any:
        # The average is shorter in early updates, as in TensorFlow's ExponentialMovingAverage with num_updates.
        decay = jnp.minimum(self.settings.ema_decay, (step + 1) / (step + 10))
        return optax.incremental_update(weights, average, 1 - decay)


def _taken_apart(model: Layer) -> tuple[Any, Any, Any, Any]:
    """(graph in training mode, weights, random keys, everything else, which is constant)."""
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
    """The size of a batch's largest array, the recordings."""
    match max(map(np.shape, jax.tree.leaves(batch)), key=math.prod, default=()):
        case (rows, frames, _):
            return f"batches of {rows} rows of {frames} frames"
        case (rows, *_):
            return f"batches of {rows} rows"
        case _:
            return "batches without rows"


def reset_rows(carry: Any, fresh: Any, reset: jax.Array | None) -> Any:
    """The carry, with rows of `fresh` for reset[batch] True; no gradient flows into the carry."""
    carry = jax.lax.stop_gradient(carry)
    if reset is None:
        return carry

    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(reset.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(chosen, carry, fresh)


def split_rows(tree: Any, parts: int) -> Any:
    """Leaves [batch, ...] -> [parts, batch/parts, ...]; scalars are repeated."""

    def split(leaf: jax.Array) -> jax.Array:
        if not leaf.ndim:
            return jnp.broadcast_to(leaf, parts)
        # Part 0 has the rows 0, parts, 2 parts, ...: neighbours are on one device, so every device works on every part.
        return jnp.moveaxis(leaf.reshape(leaf.shape[0] // parts, parts, *leaf.shape[1:]), 1, 0)

    return jax.tree.map(split, tree)


def join_rows(tree: Any) -> Any:
    """The inverse of split_rows."""

    def join(leaf: jax.Array) -> jax.Array:
        parts, rows, *rest = leaf.shape
        return jnp.moveaxis(leaf, 0, 1).reshape(parts * rows, *rest)

    return jax.tree.map(join, tree)


__all__ = ["Figures", "InitialCarry", "Learned", "Learner", "Loss", "join_rows", "reset_rows", "split_rows"]
