import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

import streamrnn
from streamrnn.bench import device, speed
from streamrnn.bench.device import BEST, best_target
from streamrnn.bench.hour import memory_growth_mb, real_time_factor
from streamrnn.bench.sounds import write_recording
from streamrnn.bench.speed import TARGETS, bench_step, print_report
from streamrnn.bench.start_up import command_s, import_s
from streamrnn.models import VoiceActivity


@pytest.fixture(scope="module")
def report(model: VoiceActivity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """A report of the shortest run. What takes minutes is measured elsewhere, and the process stays as it is."""
    streamrnn.save(model, path := tmp_path_factory.mktemp("models") / "model")
    measured = {"hour_factor": 0.0031, "memory_growth_mb": 1.5, "import_s": 0.01, "command_s": 2.0, "configure": None}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in measured.items():
            patch.setattr(speed, name, lambda *_, value=value: value)
        patch.setattr(speed, "BATCH_SIZES", (1, 256))
        patch.setattr(speed, "BLOCKS_PER_TURN", 5)
        patch.setattr(speed, "BATCHES_PER_TURN", 1)
        patch.setattr(device, "default_batch_sizes", lambda: [1, 2])
        patch.setattr(device, "BLOCKS_PER_CALL", 2)
        patch.setattr(device, "TURNS", 1)
        yield bench_step(str(path), "onnxruntime", rounds=2, hour=True)


def test_a_report_holds_every_figure_beside_its_target(report: dict):
    report = json.loads(json.dumps(report))
    assert {row["name"]: row["target"] for row in report["figures"]} == TARGETS | {BEST: best_target()}
    assert list(report["calls"]) == [
        "Stream.process",
        "compiled step",
        "ONNX Runtime, session.run",
        "ONNX Runtime, bound buffers",
    ]
    assert [row["streams"] for row in report["batches"]] == [1, 256]
    assert [row["streams"] for row in report["device_batches"]] == [1, 2]


def test_a_figure_above_its_target_is_not_met(report: dict):
    met = {row["name"]: row["met"] for row in report["figures"]}
    assert met["real-time factor of a file of an hour"] is False
    assert met["growth of memory over an hour live, MB"] is True
    assert met["Stream.process / compiled step"] is None


def test_real_time_streams_are_what_fits_into_a_block_s_time(report: dict):
    for row in report["batches"]:
        assert row["real_time_streams"] * row["p50_us"] == pytest.approx(row["streams"] * 10_000, abs=row["p50_us"])


def test_a_report_is_printed_as_tables(report: dict):
    console = Console(record=True, width=140, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    assert report["machine"]["cpu"] in printed
    assert "left to the device" in printed and "note" not in printed
    for row in report["figures"]:
        assert row["name"] in printed


def test_a_batch_that_does_not_fit_is_printed_with_its_note(report: dict):
    console = Console(record=True, width=140, file=io.StringIO())
    too_large = {"streams": 65_536, "per_block_us": None, "real_time_streams": None, "note": "does not fit"}
    print_report(report | {"device_batches": [*report["device_batches"], too_large]}, console)
    assert "65,536" in (printed := console.export_text()) and "does not fit" in printed


def test_no_rounds_are_refused_before_a_model_is_loaded():
    with pytest.raises(ValueError, match="rounds=0; it must be at least 1"):
        bench_step("no_such_model", rounds=0)


def test_a_real_time_factor_is_time_over_duration(model: VoiceActivity, tmp_path: Path):
    path = write_recording(tmp_path / "sound.wav", 16_000, 2)
    assert 0 < real_time_factor(model, path) < 5


def test_memory_stays_while_a_stream_goes_on(model: VoiceActivity):
    growth_mb = memory_growth_mb(model, duration_s=5.0)
    assert growth_mb is None or growth_mb < 5


def test_importing_streamrnn_is_timed_in_a_process_of_its_own():
    assert 0 < import_s(runs=1) < 30


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"streamrnn run no_such_model .* failed with exit code [1-9]"):
        command_s("no_such_model", seconds=1)
