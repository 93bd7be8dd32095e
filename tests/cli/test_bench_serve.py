"""`streamrnn bench serve`."""

import json
import struct
from pathlib import Path

import pytest

LOADS = [{"streams": n, "latency_p50_ms": n / 20, "latency_p99_ms": n / 10} for n in (100, 200)]


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be measured; nothing is."""
    calls = []

    def measure(*arguments):
        calls.append(arguments)
        return {"loads": LOADS}

    monkeypatch.setattr("streamrnn.bench.serve.bench_serve", measure)
    return calls


def test_it_measures_what_is_asked_for_and_prints_json(streamrnn, capsys, asked):
    flags = ("--streams", 100, 200, "--seconds", 3, "--idle", 9, "--server", "ws://a:1", "--sound", "b.wav")
    assert streamrnn("bench", "serve", "--model", "small", *flags, "--json") == 0
    assert asked == [("small", (100, 200), 3, 9, "ws://a:1", Path("b.wav"))]
    assert json.loads(capsys.readouterr().out)["loads"] == LOADS


def test_it_draws_latency_against_streams(streamrnn, asked, tmp_path):
    assert streamrnn("bench", "serve", "--plot", tmp_path / "latency.png", "--json") == 0
    assert struct.unpack(">I", (tmp_path / "latency.png").read_bytes()[16:20]) == (1600,)


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(streamrnn, capsys, asked, tmp_path):
    assert streamrnn("bench", "serve", "--plot", tmp_path / "latency.txt") == 2
    assert ".png" in capsys.readouterr().err
    assert asked == []
