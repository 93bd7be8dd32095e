"""Whether every backend gives the numbers of plain steps on the device at hand: outputs, last states and gradients."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import machine_line, rounded, rows_table
from streamrnn.layers.backends import BACKENDS, Run
from streamrnn.layers.gated_scans import plain_scan
from streamrnn.models.cores import CELLS

# The largest difference, over the largest number, that rounding explains: sums of some hundred products, T times over.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1}


def compare_backends(
    cells: tuple[str, ...] = tuple(CELLS),
    batch: int = 64,
    frames: int = 100,
    hidden: int = 128,
    dtype: str = "float32",
) -> dict[str, Any]:
    """Runs each cell by every backend that this platform has, and by its steps one after another.

    Args:
        cells: names of CELLS.
        batch, frames, hidden: sizes; inputs are as wide as the state.
        dtype: "float32" or "bfloat16": what is computed in.

    Returns:
        machine, dtype; rows: [{cell, backend, outputs, gradients, agrees, compile_s, error}]: the largest difference
            over the largest number; error says why a backend could not be run, and is empty otherwise.

    Raises:
        ValueError: an unknown cell or dtype.
    """
    if unknown := [cell for cell in cells if cell not in CELLS]:
        raise ValueError(f"there is no cell {unknown[0]!r}; there are {', '.join(CELLS)}.")
    if dtype not in TOLERANCES:
        raise ValueError(f"dtype is {dtype!r}; it is float32 or bfloat16.")
    x = jax.random.normal(jax.random.key(0), (frames, batch, hidden), dtype)
    rows: list[dict[str, Any]] = []
    # Products of float32 in full: TF32 would hide what is wrong behind what is coarse.
    with jax.default_matmul_precision("highest"):
        for name in cells:
            cell = CELLS[name](hidden, hidden, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0))
            expected = _heard_and_gradients(plain_scan, cell, x)
            for backend, each in BACKENDS.items():
                if each.serves(cell, jax.default_backend()):
                    rows.append({"cell": name, "backend": backend} | _compared(each.run, cell, x, expected, dtype))
    return {"machine": describe_machine(), "dtype": dtype, "rows": rows}


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what compare_backends() returned as a table."""
    console = console or Console()
    console.print(machine_line(report["machine"]))
    console.print(rows_table(f"differences from plain steps, {report['dtype']}", report["rows"]))


def _compared(run: Run, cell: Any, x: jax.Array, expected: tuple[Any, Any], dtype: str) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        found = _heard_and_gradients(run, cell, x)
    except Exception as error:
        # A kernel that does not compile on a new chip is what this looks for; the others still have to be tried.
        return {"outputs": None, "gradients": None, "agrees": False, "compile_s": None, "error": str(error)[:500]}
    seconds = time.perf_counter() - started
    outputs, gradients = (_difference(one, other) for one, other in zip(found, expected, strict=True))
    agrees = max(outputs, gradients) <= TOLERANCES[dtype]
    return {
        "outputs": rounded(outputs),
        "gradients": rounded(gradients),
        "agrees": agrees,
        "compile_s": rounded(seconds),
        "error": "",
    }


def _heard_and_gradients(run: Run, cell: Any, x: jax.Array) -> tuple[Any, Any]:
    """(last state and outputs), and the gradients by weights and inputs of a scalar of them."""
    graph, weights = nnx.split(cell)

    @jax.jit
    def learn(weights: Any, x: jax.Array) -> tuple[Any, Any]:
        def loss(weights: Any, x: jax.Array) -> tuple[jax.Array, Any]:
            cell = nnx.merge(graph, weights)
            state, y = run(cell, cell.init_state(x.shape[1]), x)
            squares = sum(jnp.square(leaf.astype(jnp.float32)).mean() for leaf in jax.tree.leaves(state))
            return jnp.sin(3 * y.astype(jnp.float32)).mean() + squares, (state, y)

        gradients, heard = jax.grad(loss, argnums=(0, 1), has_aux=True)(weights, x)
        return heard, gradients

    return jax.block_until_ready(learn(weights, x))


def _difference(found: Any, expected: Any) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    worst = 0.0
    for one, other in pairs:
        a, b = (np.asarray(leaf, np.float32) for leaf in (one, other))
        if not np.isfinite(a).all():
            return float("inf")
        worst = max(worst, float(np.abs(a - b).max(initial=0)) / max(float(np.abs(b).max(initial=0)), 1e-6))
    return worst


__all__ = ["compare_backends", "print_report"]
