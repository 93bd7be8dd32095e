"""Figures of pools: each from its own times, beside others in the same run."""

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console

import streamrnn
from streamrnn.bench import pool
from streamrnn.bench.pool import bench_pool, print_report
from streamrnn.models import VoiceActivity

RATE = 8_000


def deaf(second: np.ndarray) -> None:
    """Hears nothing, in no time."""
    assert len(second) == RATE


@pytest.fixture(scope="module")
def report(model: VoiceActivity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    streamrnn.save(model, path := tmp_path_factory.mktemp("models") / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "configure", lambda threads: None)
        patch.setitem(pool.TARGETS, "deaf / pool", 1e9)
        yield json.loads(json.dumps(bench_pool(str(path), (3, 2), seconds=2, beside={"deaf": (RATE, deaf)})))


def test_every_pool_has_its_figures_and_the_smallest_comes_first(report: dict):
    assert [row["streams"] for row in report["pools"]] == [2, 3]
    for row in report["pools"]:
        assert row["real_time_streams"] * row["cost_ms"] == pytest.approx(1000, rel=0.02, abs=row["cost_ms"])
        assert 0 < row["feed_share"] < 1 and 0 < row["tick_p50_ms"] <= row["tick_p99_ms"]
        # Ticks and feeding make up the cost: ten of each per second of sound.
        assert 10 * row["tick_p50_ms"] < 2 * row["streams"] * row["cost_ms"]


def test_a_lone_stream_and_others_are_measured_beside_the_pools(report: dict):
    assert [row["name"] for row in report["beside"]] == ["lone Stream", "deaf"]


def test_a_figure_below_its_target_is_not_met(report: dict):
    figures = {row["name"]: row for row in report["figures"]}
    assert list(figures) == ["real-time streams", "lone Stream / pool", "deaf / pool"]
    assert figures["real-time streams"]["target"] == 2000 and figures["deaf / pool"]["met"] is False
    assert figures["deaf / pool"]["p10"] <= figures["deaf / pool"]["value"] <= figures["deaf / pool"]["p90"]


def test_the_report_is_printed_as_tables(report: dict):
    console = Console(record=True, width=160, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    for text in (report["machine"]["cpu"], "real-time streams", "deaf"):
        assert text in printed


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"streams": ()}, {"streams": (5, 0)}])
def test_a_measurement_of_nothing_is_refused(wrong: dict):
    with pytest.raises(ValueError, match="all must be 1 or more"):
        bench_pool("vad", **wrong)
