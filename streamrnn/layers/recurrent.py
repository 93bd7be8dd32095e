"""A cell made a layer: time enters here."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from streamrnn.cells import Cell, LinearCell
from streamrnn.contract import Layer
from streamrnn.layers.recurrences import associative_scan, linear_scan, plain_scan
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Recurrent(Layer):
    """Runs a cell over time. Depth comes from Chain: Chain(Recurrent(GRU(...)), Recurrent(GRU(...))).

    Frames x[batch, time, cell.in_features] -> y[batch, time, cell.out_features]; the state is the cell's. `scan`
    projects the inputs of all frames in one matmul, so that only the recurrent matmul is left for each step.

    Args:
        cell: the recurrence.
        backend: how `scan` runs. All give the same numbers with the same weights. "scan": frame by frame.
            "associative": many frames at once, for cells that are linear in their state (MinGRU, MinLSTM, RGLRU).
            "auto": associative for these on GPUs and TPUs, else scan, which is faster on a few processor cores.

    Raises:
        ValueError: there is no such backend, or it can't run this cell.
    """

    def __init__(self, cell: Cell, backend: str = "auto"):
        if backend not in ("auto", *backends(cell)):
            raise ValueError(
                f"Recurrent got backend={backend!r}; a {type(cell).__name__} runs with "
                f"{', '.join(('auto', *backends(cell)))}. Pass one of these."
            )
        self.cell, self.backend = cell, backend

    def init_state(self, batch_size: int) -> State:
        return self.cell.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        state, y = self.cell.advance(state, self.cell.project(x[:, 0]))
        return state, y[:, None]

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        projected = self.cell.project(jnp.moveaxis(x, 1, 0))
        state, y = backends(self.cell)[self.chosen_backend](self.cell, state, projected)
        return state, jnp.moveaxis(y, 0, 1)

    @property
    def chosen_backend(self) -> str:
        """The backend in force: what "auto" means for this cell, on the platform that JAX runs on by default."""
        if self.backend != "auto":
            return self.backend
        is_parallel = isinstance(self.cell, LinearCell) and jax.default_backend() != "cpu"
        return "associative" if is_parallel else "scan"


def backends(cell: Cell) -> dict[str, Callable]:
    """The ways in which a cell can be run over many frames, by name."""
    if isinstance(cell, LinearCell):
        return {"scan": linear_scan, "associative": associative_scan}
    return {"scan": plain_scan}


__all__ = ["Recurrent", "backends"]
