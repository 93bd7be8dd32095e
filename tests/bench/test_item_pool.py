"""Figures of pools of anything but sound."""

import io
import json

import pytest
from rich.console import Console

from streamrnn.bench import item_pool
from streamrnn.bench.item_pool import bench_item_pool, print_report


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_pool, "configure", lambda threads: None)
        yield {name: json.loads(json.dumps(bench_item_pool(name, (3, 2), 3))) for name in ("pen", "intent")}


def test_every_pool_has_its_figures_and_the_smallest_comes_first(report):
    for of in report.values():
        assert [row["streams"] for row in of["pools"]] == [2, 3]
        for row in of["pools"]:
            assert 0 < row["round_p50_ms"] <= row["round_p99_ms"] and row["lone_stream_ratio"] > 0
            assert row["answers_per_s"] == pytest.approx(1000 * row["streams"] / row["round_p50_ms"], rel=0.02)


def test_the_report_is_printed_as_a_table(report):
    console = Console(record=True, width=160, file=io.StringIO())
    print_report(report["pen"], console)
    assert "an item for each stream at once" in console.export_text()


def test_a_model_that_hears_and_pools_of_nothing_are_refused(monkeypatch):
    monkeypatch.setattr(item_pool, "configure", lambda threads: None)
    with pytest.raises(ValueError, match="vad hears sound"):
        bench_item_pool("vad")
    with pytest.raises(ValueError, match="0 rounds"):
        bench_item_pool("pen", rounds=0)
