"""`python -m benchmarks`: what is asked for is measured, printed and drawn."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.cores import FULL as FULL_CORES
from benchmarks.memory import FULL as FULL_MEMORY
from benchmarks.pictures import thousands

MEMORY = {
    "machine": {"cpu": "A processor", "cores": 2, "load_average": 0.1, "system": "Linux"},
    "gradients": {"gru": {name: [1.0, 0.5, 0.0] for name in ("median", "p10", "p90")}},
    "tasks": [
        {
            "task": task,
            "length": length,
            "core": "gru",
            "parameters": 50_000,
            "accuracy": 0.9,
            "accuracies": [0.85, 0.95],
            "chance": 0.125,
            "updates": [100, 90],
        }
        for task in ("adding", "copying")
        for length in (20, 100)
    ],
}


JUDGED = {"clips": 120, "parameters": 205_000, "core_ms_per_s": 3.5}


CORES = {
    "machine": MEMORY["machine"],
    "training": [{"system": "gru", "frames": 100, "note": None, "frames_per_s": 5e4, "p10": 4e4, "p90": 6e4}],
    "accuracy": [
        {"task": task, "core": core, "figure": figure, "value": 0.95, "interval": interval, **JUDGED}
        for task, figure, interval in (("vad", "roc_auc", [0.94, 0.96]), ("keywords", "accuracy", None))
        for core in ("gru", "transformer")
    ],
}
SPEEDS = {
    ("gru", "streamrnn, scan"): 52_340,
    ("gru", "flax.nnx.RNN"): 41_000,
    ("mingru", "streamrnn, associative"): 1_234_000,
}
TRAIN = {
    "machine": {"device": "cpu"},
    "size": {"batch": 32, "frames": 200, "hidden": 128, "layers": 2},
    "dtype": "float32",
    "rows": [
        {"cell": cell, "contender": name, "frames_per_s": speed, "p10": speed - 99, "p90": speed + 999}
        for (cell, name), speed in SPEEDS.items()
    ],
}


Asked = dict[str, tuple]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What was asked to be measured; nothing is."""
    calls: Asked = {}

    def measure(name: str, report: dict) -> None:
        def record(*arguments):
            calls[name] = arguments
            return report

        monkeypatch.setattr(f"benchmarks.{name}", record)

    measure("training.bench_train", TRAIN)
    measure("memory.compare_memory", MEMORY)
    measure("cores.compare_cores", CORES)
    measure("soak.bench_soak", {"problems": []})
    measure("peers.compare_vad_peers", {"detectors": []})
    measure("peers.bench_pool_beside_peers", {"pools": []})
    measure("denoising_peers.compare_denoising_peers", {"suppressors": []})
    monkeypatch.setattr("streamrnn.runtime.configure", lambda: None)
    return calls


@pytest.fixture
def bench() -> Callable[..., None]:
    return lambda *args: main([str(arg) for arg in args])


@pytest.mark.parametrize(
    ("flags", "name", "arguments", "printed"),
    [
        (
            ("soak", "--minutes", 0.5, "--streams", 7, "--seed", 3),
            "soak.bench_soak",
            ("vad", 0.5, 7, 3, None),
            "problems",
        ),
        (
            ("peers", "--data", "a", "--models", "vad", "b"),
            "peers.compare_vad_peers",
            (Path("a"), ("vad", "b"), None),
            "detectors",
        ),
        (("pool", "--streams", 5, 6, "--seconds", 2), "peers.bench_pool_beside_peers", ((5, 6), 2), "pools"),
        (
            ("denoise-peers", "--data", "a"),
            "denoising_peers.compare_denoising_peers",
            (Path("a"), ("denoise",)),
            "suppressors",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_asked_for_is_measured_and_printed_as_json(bench, capsys, asked, flags, name, arguments, printed):
    bench(*flags, "--json")
    assert asked == {name: arguments}
    assert list(json.loads(capsys.readouterr().out)) == [printed]


def test_what_networks_remember_is_measured_and_drawn(bench, capsys, asked, tmp_path):
    bench("memory", "--full", "--plot", tmp_path)
    assert asked == {"memory.compare_memory": (FULL_MEMORY,)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gradients.png", "learned.png"]
    assert "adding" in capsys.readouterr().out


def test_trained_cores_are_judged_printed_written_and_drawn(bench, capsys, asked, tmp_path):
    flags = ("--systems", "gru", "--weights", tmp_path, "--data", tmp_path)
    bench("cores", "--full", *flags, "--json", tmp_path / "a.json", "--plot", tmp_path)
    assert asked == {"cores.compare_cores": (("gru",), FULL_CORES, (tmp_path,), (tmp_path,))}
    assert json.loads((tmp_path / "a.json").read_text()) == CORES
    assert (tmp_path / "accuracy.png").is_file() and "roc_auc" in capsys.readouterr().out


def test_a_picture_of_training_speed_is_1600_pixels_wide(bench, asked, tmp_path):
    bench("train", "--plot", tmp_path / "speed.png", "--json")
    assert struct.unpack(">I", (tmp_path / "speed.png").read_bytes()[16:20]) == (1600,)


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(bench, asked, tmp_path):
    with pytest.raises(SystemExit, match=r"\.png"):
        bench("train", "--plot", tmp_path / "speed.txt")
    assert asked == {}


@pytest.mark.usefixtures("asked")
def test_bars_carry_their_speed_and_contenders_that_were_not_measured_are_absent(bench, tmp_path, monkeypatch):
    # Text stays text.
    monkeypatch.setattr("streamrnn.cli.plot.STYLE", {"svg.fonttype": "none"})
    bench("train", "--plot", tmp_path / "train.svg", "--json")
    drawn = (tmp_path / "train.svg").read_text()
    for text in ("52.3k", "41k", "1.23M", "streamrnn, associative", "2 layers of 128", ">gru<", ">mingru<"):
        assert text in drawn
    assert "torch" not in drawn


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950.4, "950"), (999.6, "1k"), (52_340, "52.3k"), (999_600, "1M"), (12_300_000, "12.3M")],
)
def test_speeds_are_written_in_three_digits(number, text):
    assert thousands(number) == text
