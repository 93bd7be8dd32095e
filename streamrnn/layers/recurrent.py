"""Recurrent: a cell as a layer over time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import Cell
from streamrnn.contract import Layer
from streamrnn.layers.backends import BACKENDS, choose
from streamrnn.shapes import Block, Frames, OutputFrame, State


class Recurrent(Layer):
    """Runs a cell over time. Depth comes from Chain: Chain(Recurrent(GRU(...)), Recurrent(GRU(...))).

    Frames x[batch, time, cell.in_features] -> y[batch, time, cell.out_features]; the state is the cell's. `scan`
    projects the inputs of all frames in one matmul, which leaves only the recurrent matmul for each frame.

    Args:
        cell: the recurrence.
        backend: how `scan` runs. With the same weights, all backends give the same outputs. "scan": frame by frame.
            "associative": many frames at once, for cells that are linear in their state (MinGRU, MinLSTM, RGLRU).
            "cudnn": an LSTM in float32, with NVIDIA's library. "pallas": Elman, GRU and LSTM with their weights kept on
            a GPU's chip. "auto": chosen for cell and platform; `why` has the reason.
        remat_frames: length of pieces at whose boundaries states are kept; the values in between are recomputed for
            gradients (Chen et al. 2016): less memory, for the time of another forward pass. None: keep everything.

    Raises:
        TypeError: cell is not a Cell.
        ValueError: the backend does not exist or can't run this cell on JAX's platform, or remat_frames is below 1.
    """

    def __init__(self, cell: Cell, backend: str = "auto", remat_frames: int | None = None):
        if not isinstance(cell, Cell):
            raise TypeError(
                f"Recurrent got {cell if isinstance(cell, type) else type(cell).__name__}, not a cell. Pass one, such "
                "as GRU(40, 64, rngs=rngs); to stack layers, use a Chain."
            )
        self.cell = cell
        self.run_by(backend, remat_frames)

    def run_by(self, backend: str = "auto", remat_frames: int | None = None) -> None:
        """Changes how `scan` runs; arguments and errors are those of the class."""
        if remat_frames is not None and remat_frames < 1:
            raise ValueError(f"Recurrent got remat_frames={remat_frames}; pass 1 or more, or None to keep all.")
        if backend != "auto":
            self._check(backend)
        self.backend, self.remat_frames = backend, remat_frames

    def init_state(self, batch_size: int) -> State:
        return self.cell.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        state, y = self.cell.advance(state, self.cell.project(x[:, 0]))
        return state, y[:, None]

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        run, x = BACKENDS[self.chosen_backend].run, jnp.moveaxis(x, 1, 0)
        if self.remat_frames is None:
            state, y = run(self.cell, state, x)
        else:
            state, y = _forgetting(lambda state, x: run(self.cell, state, x), self.remat_frames, state, x)
        return state, jnp.moveaxis(y, 0, 1)

    @property
    def chosen_backend(self) -> str:
        """The backend in use: with "auto", the one for this cell on JAX's default platform."""
        return self._choice()[0]

    @property
    def why(self) -> str:
        """The reason for `chosen_backend`."""
        return self._choice()[1]

    def _choice(self) -> tuple[str, str]:
        if self.backend == "auto":
            return choose(self.cell, jax.default_backend())
        return self.backend, "it was requested"

    def _check(self, name: str) -> None:
        platform = jax.default_backend()
        able = ["auto", *(known for known, each in BACKENDS.items() if each.serves(self.cell, platform))]
        if name in able:
            return
        reason, backend = "there is no such backend", BACKENDS.get(name)
        if backend is not None:
            reason = backend.refusal(self.cell) or f"it runs on {', '.join(backend.platforms)}, but JAX on {platform}"
        raise ValueError(
            f"Recurrent got backend={name!r}: {reason}. A {type(self.cell).__name__} runs here with "
            f"{', '.join(able)}. Pass one of these."
        )


def _forgetting(run: Callable[[Any, Any], tuple[Any, Any]], length: int, state: Any, x: Any) -> tuple[Any, Any]:
    """Runs pieces of x in order; nothing inside a piece is kept for the gradient."""
    run = jax.checkpoint(run)
    # A piece longer than x is all of x, however many frames were requested.
    length = min(length, max(len(x), 1))
    whole = len(x) - len(x) % length
    state, y = jax.lax.scan(run, state, x[:whole].reshape(-1, length, *x.shape[1:]))
    y = y.reshape(whole, *y.shape[2:])
    if whole < len(x):
        state, rest = run(state, x[whole:])
        y = jnp.concatenate([y, rest])
    return state, y


def run_recurrences(model: nnx.Module, backend: str = "auto", remat_frames: int | None = None) -> None:
    """Sets the backend of all recurrent layers of a model.

    Args:
        backend, remat_frames: see Recurrent.

    Raises:
        ValueError: a layer can't use the backend, or a choice was made and there is no recurrent layer.
    """
    layers = [node for _, node in nnx.iter_graph(model) if isinstance(node, Recurrent)]
    if not layers and (backend, remat_frames) != ("auto", None):
        raise ValueError(f"backend={backend!r} and remat_frames={remat_frames} have no effect: no layer is recurrent.")
    for layer in layers:
        layer.run_by(backend, remat_frames)


__all__ = ["Recurrent", "run_recurrences"]
