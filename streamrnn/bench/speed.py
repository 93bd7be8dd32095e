"""How fast a model runs, live and on files, on this machine: figures, each beside its target."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from streamrnn.bench.bound import bound_call
from streamrnn.bench.device import best_figure, device_batches
from streamrnn.bench.hour import hour_factor, memory_growth_mb
from streamrnn.bench.machine import describe_machine
from streamrnn.bench.sounds import batches, chunks
from streamrnn.bench.start_up import command_s, import_s
from streamrnn.bench.tables import machine_line, rounded, rows_table
from streamrnn.bench.timing import Times, interleaved, ratio, summary
from streamrnn.models import Model
from streamrnn.pretrained import load
from streamrnn.runtime import Stream, compiled_step, configure
from streamrnn.runtime.compiled import Compiled

BATCH_SIZES = (1, 16, 64, 256, 1024)
BLOCKS_PER_TURN, BATCHES_PER_TURN = 200, 20

PROCESS, STEP = "Stream.process", "compiled step"
ONNX, BOUND = "ONNX Runtime, session.run", "ONNX Runtime, bound buffers"

# What figures may be at most; None: told, not judged. bench/device.py holds the one that is to be at least its target.
TARGETS = {
    f"{PROCESS}, p99 / p50": 4.0,
    f"{PROCESS} / {STEP}": None,
    f"{PROCESS} / {ONNX}": 1.0,
    f"{PROCESS} / {BOUND}": None,
    f"{BOUND} / {STEP}": 1.5,
    "256 streams / 1 stream": 45.0,
    "real-time factor of a file of an hour": 0.002,
    "growth of memory over an hour live, MB": 5.0,
    "import streamrnn, s": 0.3,
    "streamrnn run on 10 s of sound, s": 3.0,
}


def bench_step(
    model_name: str = "vad",
    against: Literal["onnxruntime"] | None = None,
    *,
    rounds: int = 30,
    hour: bool = False,
    start_up: bool = True,
) -> dict[str, Any]:
    """Measures a model's live step, its batches, called by the host and left to the device, and, on request, an hour of
    sound. What it returns is ready for JSON.

    Calls that are compared take turns in one run, so their ratios hold on a busy machine too; absolute figures need an
    idle one. It calls streamrnn.configure(): call it before JAX is used.

    Args:
        model_name: a shipped model's name or a path.
        against: also measure ONNX Runtime, on one thread, running the same step as `streamrnn export` writes it: by
            session.run as programs call it, and with bound buffers, the fastest way there is.
        rounds: turns that each call gets, of 200 steps; of 20 for batches.
        hour: also run a file of an hour, and stream an hour.
        start_up: also measure the import and the command line, in processes of their own.

    Returns:
        machine, model, rounds;
        calls: {name: {p50_us, p99_us, p99_over_p50}}, one stream;
        batches: [{streams, p50_us, real_time_streams}], called by the host, where sound and outputs are;
        device_batches: [{streams, per_block_us, real_time_streams, note}], as device_batches() gives them;
        figures: [{name, value, target, met}], and p10 and p90 over the rounds where the figure is a ratio of calls. The
        target is the most that the figure may be, for real-time streams the least; target and met are None where
        there is none.

    Raises:
        FileNotFoundError: there is no such model.
        ImportError: ONNX Runtime is not installed.
        ValueError: the model has something that is not exported, or rounds is below 1.
    """
    if rounds < 1:
        raise ValueError(f"bench_step got rounds={rounds}; it must be at least 1.")
    configure()
    model, machine = load(model_name), describe_machine()
    calls, batch_calls = step_calls(model, against), batch_step_calls(model)
    times = interleaved(calls, rounds, BLOCKS_PER_TURN)
    batch_times = interleaved(batch_calls, rounds, BATCHES_PER_TURN)
    on_device = device_batches(model)
    figures = [*_ratios(times, batch_times), best_figure(on_device)]
    figures += _hour_figures(model) if hour else []
    figures += _start_up_figures(model_name) if start_up else []
    return {
        "machine": machine,
        "model": model_name,
        "rounds": rounds,
        "calls": {name: summary(of_call) for name, of_call in times.items()},
        "batches": [_batch(streams, batch_times[streams], model.frame_s) for streams in BATCH_SIZES],
        "device_batches": on_device,
        "figures": figures,
    }


def print_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Prints what bench_step() returned as tables."""
    console = console or Console()
    machine = report["machine"]
    console.print(machine_line(report["machine"]))
    console.print(", ".join(f"{name} {version}" for name, version in machine["packages"].items()))
    calls = [{"name": name, **row} for name, row in report["calls"].items()]
    console.print(rows_table(f"{report['model']}, one block of one stream", calls))
    console.print(rows_table("Many streams, called by the host", report["batches"]))
    console.print(_device_table(report["device_batches"], machine["device"]))
    console.print(rows_table("Figures", report["figures"], columns=("name", "value", "p10", "p90", "target", "met")))


def step_calls(model: Model, against: Literal["onnxruntime"] | None = None) -> dict[str, Callable[[], np.ndarray]]:
    """What is timed on one stream: each call takes one block and returns its outputs as a NumPy array."""
    stream, live = Stream(model), chunks(model)
    calls = {PROCESS: lambda: stream.process(next(live)), STEP: _steps(compiled_step(model), batches(model, 1))}
    return calls if against is None else calls | _exported_calls(model)


def batch_step_calls(model: Model) -> dict[int, Callable[[], np.ndarray]]:
    """What is timed on many streams: one compiled step per batch size."""
    return {streams: _steps(compiled_step(model, streams), batches(model, streams)) for streams in BATCH_SIZES}


def _device_table(rows: list[dict[str, Any]], device: str) -> Table:
    told = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return rows_table(f"Many streams, left to the device ({device})", rows, told)


def _exported_calls(model: Model) -> dict[str, Callable[[], np.ndarray]]:
    # The only door to ONNX: without `against`, the package is not needed.
    from streamrnn.export.onnx import onnx_step
    from streamrnn.runtime.exported import OnnxModel, open_session

    exported = onnx_step(model).SerializeToString()
    session, metadata = open_session(exported, "The graph")
    live, state = chunks(model), dict(OnnxModel(exported).fresh_state)

    def plain() -> np.ndarray:
        nonlocal state
        outputs, *after = session.run(None, {"pcm": next(live)[None], **state})
        state = dict(zip(state, after, strict=True))
        return outputs

    return {ONNX: plain, BOUND: bound_call(session, metadata, state, chunks(model))}


def _steps(step: Compiled, inputs: Iterator[np.ndarray]) -> Callable[[], np.ndarray]:
    state = step.fresh_state

    def call() -> np.ndarray:
        nonlocal state
        state, y = step(state, next(inputs))
        return np.asarray(y)

    return call


def _ratios(times: dict[str, Times], batch_times: dict[int, Times]) -> list[dict[str, Any]]:
    pairs = [(PROCESS, STEP), (PROCESS, ONNX), (PROCESS, BOUND), (BOUND, STEP)]
    ratios = {f"{a} / {b}": ratio(times[a], times[b]) for a, b in pairs if a in times and b in times}
    ratios["256 streams / 1 stream"] = ratio(batch_times[256], batch_times[1])
    tail = _figure(f"{PROCESS}, p99 / p50", summary(times[PROCESS])["p99_over_p50"])
    return [
        tail,
        *(_figure(name, row["median"]) | {"p10": row["p10"], "p90": row["p90"]} for name, row in ratios.items()),
    ]


def _hour_figures(model: Model) -> list[dict[str, Any]]:
    figures = [_figure("real-time factor of a file of an hour", hour_factor(model))]
    growth_mb = memory_growth_mb(model)
    return figures if growth_mb is None else [*figures, _figure("growth of memory over an hour live, MB", growth_mb)]


def _start_up_figures(model_name: str) -> list[dict[str, Any]]:
    return [
        _figure("import streamrnn, s", import_s()),
        _figure("streamrnn run on 10 s of sound, s", command_s(model_name)),
    ]


def _figure(name: str, value: float) -> dict[str, Any]:
    target = TARGETS[name]
    met = None if target is None else bool(value <= target)
    return {"name": name, "value": rounded(value), "target": target, "met": met}


def _batch(streams: int, times: Times, frame_s: float) -> dict[str, float]:
    p50_us = summary(times)["p50_us"]
    return {"streams": streams, "p50_us": p50_us, "real_time_streams": int(streams * frame_s * 1e6 / p50_us)}


__all__ = ["bench_step", "print_report"]
