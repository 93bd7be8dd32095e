"""`streamrnn bench`: speed on this machine, and other programs on the same recordings."""

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console

from streamrnn.cli.flags import default_is, dispatch
from streamrnn.runtime import configure


def main(args: list[str]) -> None:
    """Runs `streamrnn bench`. Raises what streamrnn.bench raises."""
    dispatch(
        {
            "step": step,
            "train": train,
            "pool": pool,
            "serve": serve,
            "soak": soak,
            "peers": peers,
            "denoise-peers": denoise_peers,
        },
        "bench",
        args,
        "Measures speed and peers on this machine.",
    )


def step(
    model: str = "vad",
    against: Literal["onnxruntime"] | None = None,
    hour: bool = False,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures a live step, batches of streams, how many streams the device carries, and start-up.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        against: Measure the same network in ONNX Runtime too, in turns.
        hour: Also hear an hour of sound, from a file and live.
        plot: Draw the streams in real time against the streams in a batch: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    # Each measurement has packages of its own, which the other must not need.
    from streamrnn.bench.device import best_target
    from streamrnn.bench.speed import bench_step, print_report
    from streamrnn.cli.plot import check_plot
    from streamrnn.cli.plot_speed import draw_real_time_streams

    if plot is not None:
        check_plot(plot)
    report = bench_step(model, against, hour=hour)
    if plot is not None:
        draw_real_time_streams(report, best_target(), plot)
    _tell(report, print_report, json)


def train(
    cells: tuple[str, ...] = ("gru", "lstm", "mingru"),
    batch: int = 32,
    frames: int = 200,
    hidden: int = 128,
    layers: int = 2,
    dtype: Literal["float32", "bfloat16"] = "float32",
    rounds: int = 9,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures how fast recurrent layers learn, beside Flax's and PyTorch's; those that are missing are named.

    Args:
        cells: Of elman, gru, lstm, mingru, minlstm, rglru.
        batch: Recordings per update.
        frames: Frames of each.
        hidden: State of each layer, and width of its inputs.
        layers: How many layers.
        dtype: Numbers to compute in.
        rounds: Turns that each gets.
        plot: Draw the frames per second of each: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from streamrnn.bench.train import Size, bench_train, print_report
    from streamrnn.cli.plot import check_plot
    from streamrnn.cli.plot_speed import draw_training_speed

    if plot is not None:
        check_plot(plot)
    report = bench_train(cells, Size(batch, frames, hidden, layers), dtype, rounds)
    if plot is not None:
        draw_training_speed(report, plot)
    _tell(report, print_report, json)


def pool(
    model: str = "vad",
    streams: tuple[int, ...] = (500, 1000, 2000),
    seconds: int = 10,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures how many live streams one process serves, beside other detectors; those that are missing are named.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        streams: How many streams; several numbers give a pool each.
        seconds: Seconds of sound that each stream hears.
        plot: Draw the time of a tick against the number of streams: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from streamrnn.bench.pool import bench_pool, print_report
    from streamrnn.cli.plot import check_plot, draw_latency

    if plot is not None:
        check_plot(plot)
    report = bench_pool(model, streams, seconds)
    if plot is not None:
        draw_latency(report["pools"], report["chunk_ms"], plot)
    _tell(report, print_report, json)


def serve(
    model: str = "vad",
    streams: tuple[int, ...] = (300,),
    seconds: int = 20,
    idle: int = 0,
    server: Annotated[str | None, default_is("one of its own, on this machine")] = None,
    sound: Annotated[Path | None, default_is("audio_samples of the project")] = None,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures how a server bears live streams over the network: latency, losses, memory, processor time.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        streams: How many connections in real time; several numbers are measured one after another.
        seconds: Seconds of sound that each stream hears.
        idle: Connections besides that say hello and then nothing.
        server: Address of a server that serves the model; its token comes from the environment's STREAMRNN_TOKEN.
        sound: A recording or a folder of them, to make conversations of.
        plot: Draw the latency against the number of streams: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from streamrnn.bench.serve import LATENCY, TARGETS, bench_serve, print_report
    from streamrnn.cli.plot import check_plot, draw_server_latency

    if plot is not None:
        check_plot(plot)
    report = bench_serve(model, streams, seconds, idle, server, sound)
    if plot is not None:
        draw_server_latency(report["loads"], TARGETS[LATENCY], plot)
    _tell(report, print_report, json)


def soak(
    model: str = "vad",
    minutes: float = 10.0,
    streams: int = 100,
    seed: int = 0,
    sound: Annotated[Path | None, default_is("audio_samples of the project")] = None,
    json: bool = False,
) -> None:
    """Lets clients of a server lose connections, come back, reset, and send nonsense, and looks for what is left.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        minutes: For so long.
        streams: How many clients.
        seed: Of the choice of faults.
        sound: A recording or a folder of them, to make conversations of.
        json: Print one JSON object.
    """
    from streamrnn.bench.soak import bench_soak, print_report

    report = bench_soak(model, minutes, streams, seed, sound)
    _tell(report, print_report, json)


def peers(
    data: Path,
    models: tuple[str, ...] = ("vad",),
    split: Annotated[str | None, default_is("all")] = None,
    json: bool = False,
) -> None:
    """Compares voice activity models with other detectors on the same recordings; those that are missing are named.

    Args:
        data: Folder with manifest.csv and vad_segments.csv, such as `streamrnn scenes` writes.
        models: Names of shipped models, or paths of .safetensors files.
        split: Take recordings of this split alone.
        json: Print one JSON object.
    """
    from streamrnn.bench.peers import compare_vad_peers, show

    configure()
    comparison = compare_vad_peers(data, models, split)
    _tell(comparison, show, json)


def denoise_peers(data: Path, models: tuple[str, ...] = ("denoise",), json: bool = False) -> None:
    """Compares noise suppression with that of others on the same recordings; those that are missing are named.

    Args:
        data: Folder with manifest.csv (path: noisy, clean), such as `streamrnn scenes --task denoise` writes.
        models: Names of shipped models, or paths of .safetensors files.
        json: Print one JSON object.
    """
    from streamrnn.bench.denoising_peers import compare_denoising_peers, show

    configure()
    comparison = compare_denoising_peers(data, models)
    _tell(comparison, show, json)


def _tell(report: dict[str, Any], show: Callable[[dict[str, Any], Console], None], json: bool) -> None:
    """Prints a report: as one JSON object, or as tables."""
    if json:
        print(json_format.dumps(report, indent=2))
    else:
        show(report, Console())


__all__ = ["denoise_peers", "main", "peers", "pool", "serve", "soak", "step", "train"]
