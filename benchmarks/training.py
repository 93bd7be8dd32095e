"""How fast recurrent layers learn: every cell and every way of running it, beside Flax's own layers and PyTorch's."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.console import Console

from benchmarks.installed import made_or_missing, print_missing
from benchmarks.training_torch import TorchUpdate
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import rounded, rows_table
from streamrnn.bench.timing import Times, interleaved, ratio
from streamrnn.cells import LinearCell
from streamrnn.layers import Chain, Recurrent
from streamrnn.layers.backends import BACKENDS
from streamrnn.models.cores import CELLS
from streamrnn.runtime import configure, keep_memory

FLAX = {"elman": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell}
MATMUL_SIZE = 1024
TEXT = ("cell", "contender", "name")
LEARNING_RATE = 1e-3

# What the ratio of our speed to another's is to be at least, by platform.
CUDNN_GRU = "torch's GRU"
TARGETS = {"cpu": {"torch": 1.2, "flax.nnx.RNN": 1.3}, "gpu": {"torch": 1.0, CUDNN_GRU: 5.0}}


@dataclass(frozen=True)
class Size:
    """What is trained on: batch recordings of so many frames, through layers of `hidden` numbers.

    Raises:
        ValueError: one of them is below 1.
    """

    batch: int = 32
    frames: int = 200
    hidden: int = 128
    layers: int = 2

    def __post_init__(self):
        if wrong := [name for name, value in vars(self).items() if value < 1]:
            raise ValueError(f"train got {wrong[0]}={getattr(self, wrong[0])}; it must be at least 1.")


@dataclass(frozen=True)
class Contender:
    """A way of training a cell: how it is called, how it is installed, and what makes its update."""

    name: str
    cell: str
    make: Callable[[], Callable[[], object]]
    install: str = ""


class JaxUpdate:
    """An update of a network's weights by Adam, for the mean square of its outputs; each call makes one.

    Args:
        network: called with x[batch, frames, hidden].
        size: of x.
        dtype: of x.
    """

    def __init__(self, network: nnx.Module, size: Size, dtype: Any):
        graph, weights, rest = nnx.split(network, nnx.Param, ...)
        optimizer = optax.adam(LEARNING_RATE)
        x = jax.random.normal(jax.random.key(0), (size.batch, size.frames, size.hidden), dtype)

        def update(state: Any, x: jax.Array) -> Any:
            weights, memory = state
            gradients = jax.grad(lambda weights: _mean_square(nnx.merge(graph, weights, rest, copy=True)(x)))(weights)
            changes, memory = optimizer.update(gradients, memory, weights)
            return optax.apply_updates(weights, changes), memory

        self._state, self._x = (weights, optimizer.init(weights)), x
        started = time.perf_counter()
        self._update = jax.jit(update, donate_argnums=0).lower(self._state, x).compile()
        self.compile_s = time.perf_counter() - started

    def __call__(self) -> None:
        self._state = jax.block_until_ready(self._update(self._state, self._x))


class Stack(nnx.Module):
    """Our layers, as a function of whole recordings."""

    def __init__(self, cell: str, backend: str, size: Size, dtype: Any):
        rngs = nnx.Rngs(0)
        cells = [CELLS[cell](size.hidden, size.hidden, dtype=dtype, rngs=rngs) for _ in range(size.layers)]
        self.layers = Chain(*(Recurrent(each, backend) for each in cells))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layers.scan(self.layers.init_state(len(x)), x)[1]


class FlaxStack(nnx.Module):
    """Flax's layers, in the same depth and width."""

    def __init__(self, cell: str, size: Size, dtype: Any):
        rngs = nnx.Rngs(0)
        cells = [FLAX[cell](size.hidden, size.hidden, dtype=dtype, rngs=rngs) for _ in range(size.layers)]
        self.layers = nnx.List([nnx.RNN(each) for each in cells])

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def bench_train(
    cells: tuple[str, ...] = ("gru", "lstm", "mingru"), size: Size = Size(), dtype: str = "float32", rounds: int = 9
) -> dict[str, Any]:
    """Times updates (forward, backward, Adam) of a stack of recurrent layers; all contenders take turns in one run.

    Args:
        cells: names of CELLS.
        size: what is trained on.
        dtype: "float32" or "bfloat16": what is computed in; weights are float32.
        rounds: turns that each gets.

    Returns:
        machine, size, dtype; matmul_gflops: what a product of two large matrices reaches here;
        rows: [{cell, contender, frames_per_s, p10, p90, gflops, of_matmul, compile_s}]: recordings times frames per
            second; floating point operations that the cell's equations need, for comparison with the matmul;
        ratios: [{cell, name, median, p10, p90, target, met}]: how many times as fast our fastest way is; target and met
            are None where there is none;
        missing: [{name, error, install}].

    Raises:
        ValueError: an unknown cell or dtype, or rounds is below 1.
    """
    if unknown := [cell for cell in cells if cell not in CELLS]:
        raise ValueError(f"train got the cell {unknown[0]!r}; it knows {', '.join(CELLS)}.")
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"train got dtype={dtype!r}; pass float32 or bfloat16.")
    if rounds < 1:
        raise ValueError(f"train got rounds={rounds}; it must be at least 1.")
    configure()
    # As `streamrnn train` does; all contenders gain.
    keep_memory()
    contenders = [each for cell in cells for each in _contenders(cell, size, jnp.dtype(dtype))]
    made, missing = made_or_missing(contenders, lambda each: (each, each.make()))
    tasks: dict[Any, Callable[[], object]] = {(each.cell, each.name): update for each, update in made}
    left, right = jax.random.normal(jax.random.key(0), (2, MATMUL_SIZE, MATMUL_SIZE), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    tasks["", "matmul"] = lambda: product(left, right).block_until_ready()
    times = interleaved(tasks, rounds, 2)
    matmul_flops = 2 * MATMUL_SIZE**3 / float(np.median(times["", "matmul"]))
    return {
        "machine": describe_machine(),
        "size": vars(size),
        "dtype": dtype,
        "matmul_gflops": rounded(matmul_flops / 1e9),
        "rows": [_row(each, update, times[each.cell, each.name], size, matmul_flops) for each, update in made],
        "ratios": [each for cell in cells for each in _ratios(cell, times)],
        "missing": list({each["name"]: each for each in missing}.values()),
    }


def _contenders(cell: str, size: Size, dtype: Any) -> list[Contender]:
    found = [
        Contender(f"streamrnn, {way}", cell, lambda way=way: JaxUpdate(Stack(cell, way, size, dtype), size, dtype))
        for way in _ways(cell, size, dtype)
    ]
    if cell in FLAX:
        found.append(Contender("flax.nnx.RNN", cell, lambda: JaxUpdate(FlaxStack(cell, size, dtype), size, dtype)))
        torch = Contender("torch", cell, lambda: TorchUpdate(cell, vars(size), str(dtype)), "pip install torch")
        found.append(torch)
    return found


def _ways(cell: str, size: Size, dtype: Any) -> list[str]:
    made = nnx.eval_shape(lambda: CELLS[cell](size.hidden, size.hidden, dtype=dtype, rngs=nnx.Rngs(0)))
    return [name for name, backend in BACKENDS.items() if backend.serves(made, jax.default_backend())]


def _row(contender: Contender, update: Any, times: Times, size: Size, matmul_flops: float) -> dict[str, Any]:
    speeds = size.batch * size.frames / np.median(times, axis=1)
    low, middle, high = np.percentile(speeds, [10, 50, 90])
    flops = middle * flops_per_frame(contender.cell, size)
    compile_s = getattr(update, "compile_s", None)
    return {
        "cell": contender.cell,
        "contender": contender.name,
        "frames_per_s": round(middle),
        "p10": round(low),
        "p90": round(high),
        "gflops": rounded(flops / 1e9),
        "of_matmul": rounded(flops / matmul_flops),
        "compile_s": None if compile_s is None else rounded(compile_s),
    }


def flops_per_frame(cell: str, size: Size) -> int:
    """Floating point operations of the matmuls of one frame of one recording, forward and twice backward."""
    make = CELLS[cell]
    gates = make(1, 1, rngs=nnx.Rngs(0)).input.kernel.shape[1]
    inputs = size.hidden if issubclass(make, LinearCell) else 2 * size.hidden
    return 3 * 2 * inputs * gates * size.hidden * size.layers


def _ratios(cell: str, times: dict[tuple[str, str], Times]) -> list[dict[str, Any]]:
    ours = (each for (of, name), each in times.items() if of == cell and name.startswith("streamrnn"))
    fastest, targets = min(ours, key=np.median), TARGETS.get(jax.default_backend(), {})
    rivals = {name: (cell, name) for name in ("torch", "flax.nnx.RNN")}
    if issubclass(CELLS[cell], LinearCell):
        rivals = {CUDNN_GRU: ("gru", "torch")}
    met = [(name, ratio(times[rival], fastest)) for name, rival in rivals.items() if rival in times]
    return [_judged(cell, name, found, targets.get(name)) for name, found in met]


def _judged(cell: str, name: str, found: dict[str, float], target: float | None) -> dict[str, Any]:
    return {"cell": cell, "name": name, **found, "target": target, "met": target and bool(found["median"] >= target)}


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_train() returned as tables."""
    console, machine, size = console or Console(), report["machine"], report["size"]
    console.print(f"{machine['cpu']}, {machine['device']}, load {machine['load_average']}, {machine['system']}")
    title = (
        f"{size['layers']} layers of {size['hidden']}, {size['batch']} recordings of {size['frames']} frames, "
        f"{report['dtype']}; a matmul reaches {report['matmul_gflops']:g} GFLOP/s"
    )
    console.print(rows_table(title, report["rows"], left=TEXT))
    if report["ratios"]:
        console.print(rows_table("Our fastest way, times the speed of", report["ratios"], left=TEXT))
    print_missing(report["missing"], console)


def _mean_square(y: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(y.astype(jnp.float32)))


__all__ = ["Size", "bench_train", "flops_per_frame", "print_report"]
