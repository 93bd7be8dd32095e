"""`streamrnn bench`: speed on this machine."""

import json as json_format
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console

from streamrnn.cli.flags import default_is, dispatch
from streamrnn.cli.outputs import check_outputs


def main(args: list[str]) -> None:
    """Runs `streamrnn bench`. Raises what streamrnn.bench raises."""
    dispatch({"step": step, "pool": pool, "serve": serve}, "bench", args, "Measures speed on this machine.")


def step(
    model: str = "vad",
    against: Literal["onnxruntime"] | None = None,
    hour: bool = False,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures a live step, batches of streams, the device's capacity in streams, and start-up.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        against: Also measure the same network in ONNX Runtime, in alternation.
        hour: Also process an hour of sound, from a file and live.
        plot: Plot real-time streams against batch size: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    # Each measurement has packages of its own, which the other must not need.
    from streamrnn.bench.device import best_target
    from streamrnn.bench.speed import bench_step, print_report
    from streamrnn.cli.plot import check_plot
    from streamrnn.cli.plot_speed import draw_real_time_streams

    if plot is not None:
        check_plot(plot)
        check_outputs("", [plot])
    report = bench_step(model, against, hour=hour)
    if plot is not None:
        draw_real_time_streams(report, best_target(), plot)
    tell(report, print_report, json)


def pool(
    model: str = "vad",
    streams: tuple[int, ...] = (500, 1000, 2000),
    seconds: int = 10,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Measures how many live streams one process serves.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        streams: Number of streams; for several numbers, one pool each.
        seconds: Seconds of sound per stream; items, for models that do not take sound.
        plot: Plot tick time against the number of streams: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from streamrnn.bench.pool import bench_pool, print_report
    from streamrnn.cli.plot import check_plot, draw_latency
    from streamrnn.cli.run_lines import task_of_lines

    if task_of_lines(model) is not None:
        from streamrnn.bench import item_pool

        if plot is not None:
            raise ValueError(f"--plot draws pools of sound; {model} takes none. Leave it out.")
        tell(item_pool.bench_item_pool(model, streams, seconds), item_pool.print_report, json)
        return
    if plot is not None:
        check_plot(plot)
        check_outputs("", [plot])
    report = bench_pool(model, streams, seconds)
    if plot is not None:
        draw_latency(report["pools"], report["chunk_ms"], plot)
    tell(report, print_report, json)


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
    """Measures a server under live streams over the network: latency, losses, memory, processor time.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        streams: Number of real-time connections; several numbers are measured one after another.
        seconds: Seconds of sound per stream.
        idle: Additional connections that say hello and then stay idle.
        server: Address of a server with the model; the token comes from the environment variable STREAMRNN_TOKEN.
        sound: A recording, or a folder of them, from which to build conversations.
        plot: Plot latency against the number of streams: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from streamrnn.bench.serve import LATENCY, TARGETS, bench_serve, print_report
    from streamrnn.cli.plot import check_plot, draw_server_latency

    if plot is not None:
        check_plot(plot)
        check_outputs("", [plot])
    report = bench_serve(model, streams, seconds, idle, server, sound)
    if plot is not None:
        draw_server_latency(report["loads"], TARGETS[LATENCY], plot)
    tell(report, print_report, json)


def tell(report: dict[str, Any], show: Callable[[dict[str, Any], Console], None], json: bool) -> None:
    """Prints a report: as one JSON object, or as tables."""
    if json:
        print(json_format.dumps(report, indent=2))
    else:
        show(report, Console())


__all__ = ["main", "pool", "serve", "step", "tell"]
