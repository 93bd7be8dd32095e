"""A cell made a layer: time enters here."""

import jax
import jax.numpy as jnp

from streamrnn.cells import Cell
from streamrnn.contract import Layer
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Recurrent(Layer):
    """Runs a cell over time. Depth comes from Chain: Chain(Recurrent(GRU(...)), Recurrent(GRU(...))).

    Frames x[batch, time, cell.in_features] -> y[batch, time, cell.out_features]; the state is the cell's. `scan`
    projects the inputs of all frames in one matmul, so that only the recurrent matmul is left for each step.
    """

    def __init__(self, cell: Cell):
        self.cell = cell

    def init_state(self, batch_size: int) -> State:
        return self.cell.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        state, y = self.cell.advance(state, self.cell.project(x[:, 0]))
        return state, y[:, None]

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        projected = self.cell.project(jnp.moveaxis(x, 1, 0))
        state, y = jax.lax.scan(self.cell.advance, state, projected)
        return state, jnp.moveaxis(y, 0, 1)


__all__ = ["Recurrent"]
