"""The cost of storing streams: every stream is in the store, and each figure is counted."""

import json
import shutil

import pytest

from benchmarks.__main__ import main
from benchmarks.storing import bench_storing

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None and shutil.which("valkey-server") is None, reason="redis-server is missing"
)


@needs_redis
def test_all_streams_are_stored_and_what_it_costs_is_told(capsys, monkeypatch):
    monkeypatch.setattr("streamrnn.runtime.configure", lambda: None)
    main(["storing", "--streams", "70", "--rounds", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["states_per_s"] * report["wall_s"] == pytest.approx(140)
    # A state of vad: 380 floats, the resampler's and the decoder's, and names; once of each in the store.
    assert 2000 < report["bytes_per_state"] < 10_000
    assert 2000 < report["memory_per_state"] < 12_000
    assert all(seconds >= 0 for seconds in report["processor_s_per_1000"].values())


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="streams is 0 and rounds 1"):
        bench_storing(streams=0, rounds=1)


def test_a_store_is_needed(monkeypatch):
    monkeypatch.setattr("benchmarks.storing.shutil.which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="neither redis-server nor valkey-server"):
        bench_storing(streams=1, rounds=1)
