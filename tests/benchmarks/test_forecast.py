"""Forecasts without a network: what comes is told by what came, and by nothing else."""

import numpy as np
import pytest
from flax import nnx

from benchmarks.forecast import ahead, boosted, compare_forecasts, same_hours, scaled_rows
from streamrnn.data.series import read_table
from streamrnn.models import Forecast, ForecastSettings
from streamrnn.recipes.forecast import completed

HOURS = np.arange(1200)
ORIGINS = np.arange(400, 600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A table that repeats itself every day, with a level of its own each week."""
    day = np.sin(2 * np.pi * HOURS / 24) + HOURS // 168 % 2
    path = tmp_path_factory.mktemp("table") / "load.csv"
    rows = [f"{np.datetime64('2026-01-01T00') + h},{v:.4f},{2 * v:.4f}" for h, v in zip(HOURS, day, strict=True)]
    path.write_text("\n".join(["date,a,b", *rows]))
    return path


def test_the_same_hours_of_a_table_that_repeats_itself_are_what_comes():
    rows = np.stack([np.sin(2 * np.pi * HOURS / 24), HOURS % 168 / 168.0], axis=1)
    truth = ahead(rows, ORIGINS, 96)
    np.testing.assert_allclose(same_hours(rows, ORIGINS, 96, 24, 7)[:, 0], truth[:, 0], atol=1e-9)
    np.testing.assert_allclose(same_hours(rows, ORIGINS, 96, 168, 1), truth, atol=1e-9)


@pytest.mark.parametrize("period", [24, 168])
def test_nothing_that_comes_is_seen(period):
    rows = np.random.default_rng(0).standard_normal((700, 2))
    later = rows.copy()
    later[501:] = 1e6
    at = np.array([500])
    np.testing.assert_array_equal(same_hours(rows, at, 96, period, 2), same_hours(later, at, 96, period, 2))


def test_a_model_is_compared_in_the_scale_of_the_trained_rows(place):
    table = read_table([place])
    settings = completed(ForecastSettings(horizon=4, period=24, level_rows=48, hidden=4), table)
    report = compare_forecasts([place], Forecast(settings, rngs=nnx.Rngs(0)), trees=False)
    rows = {row["name"]: row for row in report["rows"]}
    assert report["windows"] == table.parts[2] - table.parts[1] + 1 - 4
    assert rows["the same hour of the day before"]["mse"] < rows["the last row, again"]["mse"]
    assert rows["the model, live"]["mse"] > 0


def test_trees_see_the_past_alone_and_learn(place):
    pytest.importorskip("lightgbm")
    table = read_table([place])
    rows, origins = scaled_rows(table), np.arange(table.parts[1] - 1, table.parts[2] - 4)
    found = boosted(rows, table, origins, 4)
    assert np.mean((found - ahead(rows, origins, 4)) ** 2) < 0.1
    later = rows.copy()
    later[origins[10] + 1 :] = 50
    np.testing.assert_allclose(boosted(later, table, origins[:11], 4), found[:11])
