"""A cell that looks back over several frames: several states in turn, at the cost of one."""

from typing import Any

import jax
import jax.numpy as jnp

from streamrnn.cells import Cell
from streamrnn.contract import Layer
from streamrnn.layers.recurrent import Recurrent
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Dilated(Layer):
    """A cell whose previous state is that of `dilation` frames ago: h[t] = cell(h[t - dilation], x[t]).

    Frames of the same phase share a state, such as the same hour of every day, so a step costs one cell for any
    dilation, and the recurrence over the past is that many times shorter. The state is a line of the cell's states,
    with leaves [batch, dilation, ...]: the next frame's first.

    Args:
        cell: the recurrence.
        dilation: frames to look back, 1 or more; 1 is `Recurrent`.
        backend: see `Recurrent`.

    Raises:
        ValueError: dilation is below 1, or see `Recurrent`.

    Source: Chang et al. 2017, "Dilated recurrent neural networks".
    """

    def __init__(self, cell: Cell, dilation: int, backend: str = "auto"):
        if dilation < 1:
            raise ValueError(f"Dilated got dilation={dilation}; it must be 1 or more.")
        self.recurrent, self.dilation = Recurrent(cell, backend), dilation

    def init_state(self, batch_size: int) -> State:
        return self._unfolded(self.recurrent.init_state(batch_size * self.dilation), batch_size, self.dilation)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        after, y = self.recurrent.step(jax.tree.map(lambda line: line[:, 0], state), x)
        return jax.tree.map(lambda line, new: jnp.concatenate([line[:, 1:], new[:, None]], axis=1), state, after), y

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        whole = x.shape[1] - x.shape[1] % self.dilation
        state, y = self._rounds(state, x[:, :whole], self.dilation)
        if whole == x.shape[1]:
            return state, y
        # In an unfinished round only the first phases advance, and the phases that come next move to the front.
        begun = x.shape[1] - whole
        after, rest = self._rounds(jax.tree.map(lambda line: line[:, :begun], state), x[:, whole:], begun)
        state = jax.tree.map(lambda line, new: jnp.concatenate([line[:, begun:], new], axis=1), state, after)
        return state, jnp.concatenate([y, rest], axis=1)

    def _rounds(self, state: State, x: Frames, phases: int) -> tuple[State, Frames]:
        """Whole rounds of `phases` phases, which run side by side as rows of a batch."""
        batch, time, features = x.shape
        rows = jnp.swapaxes(x.reshape(batch, time // phases, phases, features), 1, 2)
        folded = jax.tree.map(lambda line: line.reshape(batch * phases, *line.shape[2:]), state)
        folded, y = self.recurrent.scan(folded, rows.reshape(batch * phases, time // phases, features))
        y = jnp.swapaxes(y.reshape(batch, phases, time // phases, y.shape[-1]), 1, 2)
        return self._unfolded(folded, batch, phases), y.reshape(batch, time, y.shape[-1])

    def _unfolded(self, state: State, batch: Any, phases: int) -> State:
        return jax.tree.map(lambda leaf: leaf.reshape(batch, phases, *leaf.shape[1:]), state)


__all__ = ["Dilated"]
