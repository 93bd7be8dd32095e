"""`streamrnn bench pool`."""

import json
import struct

import pytest

POOLS = [{"streams": n, "tick_p50_ms": n / 20, "tick_p99_ms": n / 10} for n in (100, 200)]


@pytest.fixture
def asked(monkeypatch):
    """What was asked to be measured; nothing is."""
    calls = []

    def measure(*arguments):
        calls.append(arguments)
        return {"chunk_ms": 100, "pools": POOLS}

    monkeypatch.setattr("streamrnn.bench.pool.bench_pool", measure)
    return calls


def test_it_measures_what_is_asked_for_and_prints_json(streamrnn, capsys, asked):
    assert streamrnn("bench", "pool", "--model", "small", "--streams", 100, 200, "--seconds", 3, "--json") == 0
    assert asked == [("small", (100, 200), 3)]
    assert json.loads(capsys.readouterr().out)["pools"] == POOLS


def test_it_draws_latency_against_streams(streamrnn, asked, tmp_path):
    assert streamrnn("bench", "pool", "--plot", tmp_path / "latency.png", "--json") == 0
    assert struct.unpack(">I", (tmp_path / "latency.png").read_bytes()[16:20]) == (1600,)


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(streamrnn, capsys, asked, tmp_path):
    assert streamrnn("bench", "pool", "--plot", tmp_path / "latency.txt") == 2
    assert ".png" in capsys.readouterr().err
    assert asked == []


def test_models_that_take_no_sound_get_items(streamrnn, capsys, asked, monkeypatch):
    calls = []
    monkeypatch.setattr("streamrnn.bench.item_pool.bench_item_pool", lambda *given: calls.append(given) or {"pools": 1})
    assert streamrnn("bench", "pool", "--model", "forecast", "--streams", 1000, "--seconds", 3, "--json") == 0
    assert calls == [("forecast", (1000,), 3)] and asked == []
    assert json.loads(capsys.readouterr().out) == {"pools": 1}
    assert streamrnn("bench", "pool", "--model", "forecast", "--plot", "p.png") == 2
    assert "forecast takes none" in capsys.readouterr().err
