"""`python -m benchmarks NAME ...`; without a name, what there is."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from streamrnn.cli.bench import tell
from streamrnn.cli.flags import CONFIG, default_is

# Each benchmark imports what it needs when it is called, which the others must not need.


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
    from benchmarks.pictures import draw_training_speed
    from benchmarks.training import Size, bench_train, print_report
    from streamrnn.cli.plot import check_plot

    if plot is not None:
        check_plot(plot)
    report = bench_train(cells, Size(batch, frames, hidden, layers), dtype, rounds)
    if plot is not None:
        draw_training_speed(report, plot)
    tell(report, print_report, json)


def backends(
    frames: int = 100, hidden: int = 128, dtype: Literal["float32", "bfloat16"] = "float32", json: bool = False
) -> None:
    """Compares the numbers and gradients of every backend on this device with those of plain steps.

    Args:
        frames: Frames of each recording.
        hidden: State, and width of the inputs.
        dtype: Numbers to compute in.
        json: Print one JSON object.
    """
    from benchmarks.backends import compare_backends, print_report

    tell(report := compare_backends(frames=frames, hidden=hidden, dtype=dtype), print_report, json)
    if wrong := [f"{row['cell']} by {row['backend']}" for row in report["rows"] if not row["agrees"]]:
        raise SystemExit(f"These do not agree with plain steps: {', '.join(wrong)}.")


def cores(
    systems: Annotated[tuple[str, ...], default_is("all")] = (),
    full: bool = False,
    weights: Annotated[tuple[Path, ...], default_is("no accuracy")] = (),
    data: Annotated[tuple[Path, ...], default_is("no accuracy")] = (),
    json: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Measures how fast each core of `streamrnn compare` learns, and how well those hear that were trained.

    Args:
        systems: Measure these alone.
        full: All lengths, with more repeats: on an idle machine.
        weights: Folders with CORE.safetensors, such as gru.safetensors, for vad or keywords: measure their accuracy.
        data: For each folder of weights, labelled recordings to measure accuracy on.
        json: Also write what was measured to this file.
        plot: Also draw accuracies into this folder.
    """
    from benchmarks.cores import FULL, QUICK, compare_cores, print_report
    from benchmarks.pictures import draw_accuracy
    from streamrnn.bench.online_systems import SYSTEMS
    from streamrnn.cli.compare import report_on

    chosen = systems or SYSTEMS
    report_on(
        lambda: compare_cores(chosen, FULL if full else QUICK, weights, data), print_report, draw_accuracy, json, plot
    )


def memory(full: bool = False, json: Path | None = None, plot: Path | None = None) -> None:
    """Measures how gradients fade with the lag, and over how long a wait each network can learn to remember.

    Args:
        full: All lengths, up to 10,000 updates, five seeds: hours; else two lengths, 600 updates, three seeds.
        json: Also write what was measured to this file.
        plot: Also draw pictures into this folder.
    """
    from benchmarks.memory import FULL, QUICK, compare_memory
    from benchmarks.memory_report import print_report
    from benchmarks.pictures import draw_memory
    from streamrnn.cli.compare import report_on

    report_on(lambda: compare_memory(FULL if full else QUICK), print_report, draw_memory, json, plot)


def pool(streams: tuple[int, ...] = (500, 1000, 2000), seconds: int = 10, json: bool = False) -> None:
    """Measures pools of the voice activity model beside other detectors; those that are missing are named.

    Args:
        streams: How many streams; several numbers give a pool each.
        seconds: Seconds of sound that each stream hears.
        json: Print one JSON object.
    """
    from benchmarks.peers import bench_pool_beside_peers, show_pool

    tell(bench_pool_beside_peers(streams, seconds), show_pool, json)


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
    from benchmarks.soak import bench_soak, print_report

    tell(bench_soak(model, minutes, streams, seed, sound), print_report, json)


def peers(
    data: Path,
    models: tuple[str, ...] = ("vad",),
    split: Annotated[str | None, default_is("all")] = None,
    json: bool = False,
) -> None:
    """Compares voice activity models with other detectors on the same recordings; those that are missing are named.

    Args:
        data: Folder with manifest.csv and vad_segments.csv, such as `streamrnn compose vad` writes.
        models: Names of shipped models, or paths of .safetensors files.
        split: Take recordings of this split alone.
        json: Print one JSON object.
    """
    from benchmarks.peers import compare_vad_peers, show
    from streamrnn.runtime import configure

    configure()
    tell(compare_vad_peers(data, models, split), show, json)


def situations(
    data: Path,
    models: tuple[str, ...] = ("vad",),
    only: Annotated[tuple[str, ...], default_is("all")] = (),
    json: bool = False,
) -> None:
    """Compares voice activity models with other detectors in situations; those that are missing are named.

    Args:
        data: Folder that `streamrnn compose situations` writes.
        models: Names of shipped models, or paths of .safetensors files.
        only: Situations by name.
        json: Print one JSON object.
    """
    from benchmarks.situations import compare_in_situations, show
    from streamrnn.cli.progress import progress
    from streamrnn.runtime import configure

    configure()
    with progress("situations") as moved:
        compared = compare_in_situations(data, models, only, progress=moved)
    tell(compared, show, json)


def denoise_peers(data: Path, models: tuple[str, ...] = ("denoise",), json: bool = False) -> None:
    """Compares noise suppression with that of others on the same recordings; those that are missing are named.

    Args:
        data: Folder with manifest.csv (path: noisy, clean), such as `streamrnn compose denoise` writes.
        models: Names of shipped models, or paths of .safetensors files.
        json: Print one JSON object.
    """
    from benchmarks.denoising_peers import compare_denoising_peers, show
    from streamrnn.runtime import configure

    configure()
    tell(compare_denoising_peers(data, models), show, json)


def leakage(
    data: Path,
    cores: tuple[str, ...] = ("gru", "feedforward"),
    epochs: int = 12,
    noises: tuple[float, ...] = (),
    json: bool = False,
) -> None:
    """Compares what networks of several cores give away of their training data, where they are as accurate.

    Args:
        data: Folder of clips of the ten words of keywords-en, with splits.
        cores: Names of cores, see `streamrnn train keywords --help`.
        epochs: Passes over the members.
        noises: Also train the first core privately, with such noise.
        json: Print one JSON object.
    """
    from benchmarks.leakage import compare_leakage, show
    from streamrnn.runtime import configure

    configure()
    tell(compare_leakage(data, cores, epochs, noises), show, json)


def choices(data: tuple[Path, ...], model: str | None = None, json: bool = False) -> None:
    """Measures how often unseen people's choices are guessed, beside Q-learning that was fitted to these people.

    Args:
        data: A table of choices, or its folder.
        model: Saved model; without, the shipped one.
        json: Print one JSON object.
    """
    from benchmarks.choices import compare_choices, print_report
    from streamrnn.pretrained import load

    tell(compare_choices(data, load(model or "choices")), print_report, json)


def anomalies(data: Path, json: bool = False) -> None:
    """Scores anomalies that the example examples/anything/anomalies.py finds in the streams of NAB.

    Args:
        data: A copy of github.com/numenta/NAB.
        json: Print one JSON object.
    """
    from benchmarks.anomalies import bench_anomalies, print_report

    tell(bench_anomalies(data), print_report, json)


def forecast(data: tuple[Path, ...], model: str | None = None, trees: bool = True, json: bool = False) -> None:
    """Measures forecasts of an hourly table beside the same hours of before, and LightGBM where it is installed.

    Args:
        data: A table, or its folder.
        model: Saved model of this table; without, the shipped one, of ETTh1.
        trees: Train LightGBM, which takes some minutes.
        json: Print one JSON object.
    """
    from benchmarks.forecast import compare_forecasts, print_report
    from streamrnn.models import Forecast
    from streamrnn.pretrained import load

    forecaster = load(model or "forecast")
    if not isinstance(forecaster, Forecast):
        raise ValueError(f"{model} is a {type(forecaster).__name__}; needed is a model of the task forecast.")
    tell(compare_forecasts(data, forecaster, trees), print_report, json)


def capacity(
    streams: tuple[int, ...] = (100, 200, 300, 450, 600, 800, 900),
    nodes: tuple[int, ...] = (2, 4, 8),
    seconds: float = 20.0,
    outage_s: float = 2.0,
    tick_cost_ms: float = 2.64,
    stream_ms: float = 0.98,
    model_ms: float = 0.345,
    tick_ms: float = 20.0,
    message_ms: float = 100.0,
    seed: int = 0,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Simulates how late answers come with many streams per process, and after the loss of one node of several.

    Args:
        streams: Live streams per process.
        nodes: Processes behind a balancer, of which one is lost.
        seconds: Simulated of each process alone.
        outage_s: Until the last client of the lost node is at another one, 0 to 4.
        tick_cost_ms: Of a tick that finds sound.
        stream_ms: Of a stream's second of sound, model and messages.
        model_ms: Of it the model.
        tick_ms: Time between ticks.
        message_ms: Sound in a message.
        seed: Of when streams begin, and where.
        plot: Draw p99 against streams: .png, .svg or .pdf.
        json: Print one JSON object.
    """
    from benchmarks.capacity import Costs, print_report, simulate_capacity
    from benchmarks.pictures import draw_capacity
    from streamrnn.cli.plot import check_plot

    if plot is not None:
        check_plot(plot)
    costs = Costs(tick_cost_ms, stream_ms, model_ms, tick_ms, message_ms)
    report = simulate_capacity(streams, nodes, costs, seconds, outage_s, seed)
    if plot is not None:
        draw_capacity(report, plot)
    tell(report, print_report, json)


def storing(
    model: str = "vad",
    streams: int = 1000,
    rounds: int = 5,
    url: Annotated[str | None, default_is("a server of its own")] = None,
    json: bool = False,
) -> None:
    """Measures what it costs to keep live streams in a store, each once a second, as `serve --store` does.

    Args:
        model: Name of a shipped model, or the path of a .safetensors file.
        streams: Live streams.
        rounds: Times that all of them are stored.
        url: Address of a redis-server or valkey-server.
        json: Print one JSON object.
    """
    from benchmarks.storing import bench_storing, print_report
    from streamrnn.runtime import configure

    configure()
    tell(bench_storing(model, streams, rounds, url), print_report, json)


BENCHMARKS = {
    "backends": backends,
    "train": train,
    "cores": cores,
    "memory": memory,
    "pool": pool,
    "soak": soak,
    "peers": peers,
    "situations": situations,
    "denoise-peers": denoise_peers,
    "leakage": leakage,
    "choices": choices,
    "anomalies": anomalies,
    "forecast": forecast,
    "capacity": capacity,
    "storing": storing,
}


def main(args: Sequence[str] | None = None) -> None:
    """Runs the benchmark that the first argument names; what is missing or wrong ends it with one line and status 1."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            BENCHMARKS,
            prog="python -m benchmarks",
            description=f"Benchmarks that run from a checkout: {', '.join(BENCHMARKS)}.",
            args=list(args) if args is not None else None,
            config=CONFIG,
        )
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        sys.exit(f"benchmarks: {error}")


__all__ = [
    "BENCHMARKS",
    "anomalies",
    "backends",
    "capacity",
    "choices",
    "cores",
    "denoise_peers",
    "forecast",
    "leakage",
    "main",
    "memory",
    "peers",
    "pool",
    "situations",
    "soak",
    "storing",
    "train",
]

if __name__ == "__main__":
    main()
