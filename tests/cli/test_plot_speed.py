"""The picture of `streamrnn bench step`."""

import json
import struct

import pytest

from streamrnn.cli.plot_speed import draw_real_time_streams

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


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be measured; nothing is."""
    calls = []

    def answer(report):
        return lambda *arguments, **flags: calls.append(arguments) or report

    monkeypatch.setattr("streamrnn.bench.speed.bench_step", answer(STEP))
    return calls


@pytest.fixture
def readable(monkeypatch):
    """Text stays text in .svg."""
    monkeypatch.setattr("streamrnn.cli.plot.STYLE", {"svg.fonttype": "none"})


def test_a_picture_is_1600_pixels_wide_and_the_report_is_printed_all_the_same(streamrnn, capsys, asked, tmp_path):
    assert streamrnn("bench", "step", "--plot", tmp_path / "speed.png", "--json") == 0
    data = (tmp_path / "speed.png").read_bytes()
    assert data.startswith(b"\x89PNG") and struct.unpack(">I", data[16:20]) == (1600,)
    assert json.loads(capsys.readouterr().out) == STEP


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(streamrnn, capsys, asked, tmp_path):
    assert streamrnn("bench", "step", "--plot", tmp_path / "speed.txt") == 2
    assert ".png" in capsys.readouterr().err
    assert asked == []


@pytest.mark.usefixtures("readable")
def test_both_curves_stand_over_the_batches_that_were_measured(tmp_path):
    draw_real_time_streams(STEP, 50_000, tmp_path / "streams.svg")
    drawn = (tmp_path / "streams.svg").read_text()
    for text in ("left to the device", "called by the host", "small on cpu", ">16<", "target"):
        assert text in drawn
    assert ">64<" not in drawn
