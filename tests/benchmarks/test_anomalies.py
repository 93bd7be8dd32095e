"""NAB's score, as its authors define it, and a made-up copy of the collection."""

import json

import numpy as np
import pytest

from benchmarks.anomalies import bench_anomalies, score

ROWS = 1000
WINDOWS = [(400, 449), (700, 749)]


def told(*rows: int) -> np.ndarray:
    found = np.zeros(ROWS)
    for sure, row in enumerate(reversed(rows), start=1):
        found[row] = sure
    return found


def scored(*rows: int) -> float:
    return score([told(*rows)], [WINDOWS])[0]


def test_no_alarm_is_0_and_each_window_found_at_its_first_value_makes_100():
    assert scored() == 0
    assert scored(400, 700) == pytest.approx(100)
    assert scored(400) == pytest.approx(50)


def test_an_early_alarm_gives_more_than_a_late_one_and_only_the_best_of_a_window_counts():
    assert scored(400) > scored(430) > scored(449) > 25
    assert scored(430, 445, 448) == pytest.approx(scored(430))


def test_false_alarms_cost_more_the_further_they_are_behind_a_window():
    # The alarm in the window is less sure than the false one, so both count or none.
    alone = scored(400)
    near, far, before = (alone - scored(row, 400) for row in (452, 650, 300))
    assert 0 < near < far == pytest.approx(before) == pytest.approx(100 * 0.11 / 4)


def test_the_threshold_leaves_out_what_costs_more_than_it_gives():
    found, threshold = score([told(400, 700, 500, 600)], [WINDOWS])
    assert found == pytest.approx(100) and threshold == 3


def test_alarms_while_a_detector_may_still_learn_do_not_count():
    assert scored(149, 10, 400) == pytest.approx(scored(400))
    assert scored(150, 400) < scored(400)


def test_spikes_are_found_in_a_made_up_copy_and_what_is_none_is_said(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "made").mkdir(parents=True)
    times = np.datetime64("2026-01-01T00:00:00") + np.timedelta64(300, "s") * np.arange(1200)
    labels = {}
    for seed in range(2):
        values = np.sin(np.arange(1200) / 9) + 0.1 * np.random.default_rng(seed).standard_normal(1200)
        values[800 + 100 * seed :][:4] += 6
        rows = [f"{str(time).replace('T', ' ')},{value:.4f}" for time, value in zip(times, values, strict=True)]
        (tmp_path / "data" / "made" / f"{seed}.csv").write_text("\n".join(["timestamp,value", *rows]))
        window = [times[780 + 100 * seed], times[840 + 100 * seed]]
        labels[f"made/{seed}.csv"] = [[f"{str(time).replace('T', ' ')}.000000" for time in window]]
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    report = bench_anomalies(tmp_path)
    assert (report["streams"], report["values"], report["windows"]) == (2, 2400, 2)
    assert report["score"] > 80
    with pytest.raises(FileNotFoundError, match="copy of NAB"):
        bench_anomalies(tmp_path / "data")
