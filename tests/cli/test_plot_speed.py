"""The pictures of `streamrnn bench step` and `streamrnn bench train`."""

import json
import struct

import pytest

from streamrnn.cli.plot_speed import draw_real_time_streams, thousands

STEP = {
    "model": "small",
    "machine": {"device": "cpu"},
    "batches": [{"streams": n, "p50_us": 30.0, "real_time_streams": 300 * n} for n in (1, 16)],
    "device_batches": [
        {"streams": 1, "per_block_us": 20.0, "real_time_streams": 500, "note": None},
        {"streams": 4, "per_block_us": 20.0, "real_time_streams": 2000, "note": None},
        {"streams": 64, "per_block_us": None, "real_time_streams": None, "note": "does not fit"},
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
SUBCOMMANDS = pytest.mark.parametrize("subcommand", ["step", "train"])


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be measured; nothing is."""
    calls = []

    def answer(report):
        return lambda *arguments, **flags: calls.append(arguments) or report

    monkeypatch.setattr("streamrnn.bench.speed.bench_step", answer(STEP))
    monkeypatch.setattr("streamrnn.bench.train.bench_train", answer(TRAIN))
    return calls


@pytest.fixture
def readable(monkeypatch):
    """Text stays text in .svg."""
    monkeypatch.setattr("streamrnn.cli.plot.STYLE", {"svg.fonttype": "none"})


@SUBCOMMANDS
def test_a_picture_is_1600_pixels_wide_and_the_report_is_printed_all_the_same(
    streamrnn, capsys, asked, tmp_path, subcommand
):
    assert streamrnn("bench", subcommand, "--plot", tmp_path / "speed.png", "--json") == 0
    data = (tmp_path / "speed.png").read_bytes()
    assert data.startswith(b"\x89PNG") and struct.unpack(">I", data[16:20]) == (1600,)
    assert json.loads(capsys.readouterr().out) == (STEP if subcommand == "step" else TRAIN)


@SUBCOMMANDS
def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    streamrnn, capsys, asked, tmp_path, subcommand
):
    assert streamrnn("bench", subcommand, "--plot", tmp_path / "speed.txt") == 2
    assert ".png" in capsys.readouterr().err
    assert asked == []


@pytest.mark.usefixtures("readable")
def test_both_curves_stand_over_the_batches_that_were_measured(tmp_path):
    draw_real_time_streams(STEP, 50_000, tmp_path / "streams.svg")
    drawn = (tmp_path / "streams.svg").read_text()
    for text in ("left to the device", "called by the host", "small on cpu", ">16<", "target"):
        assert text in drawn
    assert ">64<" not in drawn


@pytest.mark.usefixtures("readable", "asked")
def test_bars_carry_their_speed_and_contenders_that_were_not_measured_are_absent(streamrnn, tmp_path):
    assert streamrnn("bench", "train", "--plot", tmp_path / "train.svg", "--json") == 0
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
