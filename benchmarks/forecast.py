"""Forecasts of a table beside what needs no network: the same hours of before, and gradient-boosted trees.

Source of the trees: Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree".
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from streamrnn.bench.machine import describe_machine
from streamrnn.bench.tables import figures_table, machine_line
from streamrnn.data.series import Table, read_table
from streamrnn.evaluation.forecast import evaluate_forecast
from streamrnn.models import Forecast

DAY, WEEK = 24, 168
# Of LightGBM; the number of trees is the best of those on the part valid.
TREES, MOST_TREES = (25, 50, 100), 100
SETTINGS = {"objective": "l2", "learning_rate": 0.05, "num_leaves": 31, "verbosity": -1, "seed": 0, "num_threads": 1}

Windows = np.ndarray


def compare_forecasts(data: Sequence[Path], model: Forecast, trees: bool = True) -> dict[str, Any]:
    """Errors on the part test, in the field's protocol and scale (see evaluate_forecast), of hourly tables.

    Args:
        data: a table, or its folder.
        model: a forecaster of this table.
        trees: train gradient-boosted trees as well, where LightGBM is installed; some minutes.

    Returns:
        machine, windows; rows: [{name, mse, mae}].
    """
    table, horizon = read_table(data), model.settings.horizon
    live = evaluate_forecast(model, data)["streaming"]
    scaled = scaled_rows(table)
    origins = np.arange(table.parts[1] - 1, table.parts[2] - horizon)
    truth = ahead(scaled, origins, horizon)
    named: dict[str, Callable[[], Windows]] = {
        "the last row, again": lambda: np.repeat(scaled[origins][:, :, None], horizon, axis=2),
        "the same hour of the day before": lambda: same_hours(scaled, origins, horizon, DAY, 1),
        "the same hour of the week before": lambda: same_hours(scaled, origins, horizon, WEEK, 1),
        "the hour's mean of seven days": lambda: same_hours(scaled, origins, horizon, DAY, 7),
    }
    if trees and find_spec("lightgbm") is not None:
        named["LightGBM, a model per hour ahead"] = lambda: boosted(scaled, table, origins, horizon)
    rows = [{"name": "the model, live", "mse": live["mse"], "mae": live["mae"]}]
    for name, forecast in named.items():
        errors = forecast() - truth
        rows.append({"name": name, "mse": float(np.mean(errors**2)), "mae": float(np.mean(np.abs(errors)))})
    return {"machine": describe_machine(), "windows": len(origins), "rows": rows}


def scaled_rows(table: Table) -> np.ndarray:
    """The rows by the means and deviations of those that are trained on, [rows, columns]."""
    trained = table.values[: table.parts[0]]
    return (table.values - trained.mean(axis=0)) / trained.std(axis=0)


def ahead(rows: np.ndarray, origins: np.ndarray, horizon: int) -> Windows:
    """What came after each origin: [origins, columns, horizon]."""
    return np.stack([rows[origins + step] for step in range(1, horizon + 1)], axis=2)


def same_hours(rows: np.ndarray, origins: np.ndarray, horizon: int, period: int, periods: int) -> Windows:
    """For each hour ahead the mean of the same one of so many periods before: [origins, columns, horizon]."""
    found = []
    for step in range(1, horizon + 1):
        back = -(-step // period) * period
        found.append(np.mean([rows[origins + step - back - period * n] for n in range(periods)], axis=0))
    return np.stack(found, axis=2)


def boosted(rows: np.ndarray, table: Table, origins: np.ndarray, horizon: int) -> Windows:
    """Forecasts by trees, one model per hour ahead for all columns: [origins, columns, horizon].

    They see the last day and the target's hour of seven days, relative to the mean of the last week, the hour of the
    day by its place in the table, and the column.
    """
    import lightgbm  # pyright: ignore[reportMissingImports]

    end, valid_end = table.parts[0], table.parts[1]
    parts = [np.arange(WEEK - 1, end - horizon), np.arange(end - 1, valid_end - horizon), origins]
    found, best = [], {}
    levels = [_levels(rows, part) for part in parts]
    for step in range(1, horizon + 1):
        seen = [_features(rows, part, step) for part in parts]
        wanted = [(rows[part + step] - level).reshape(-1) for part, level in zip(parts, levels, strict=True)]
        trained = lightgbm.train(SETTINGS, lightgbm.Dataset(seen[0], wanted[0]), MOST_TREES)
        for count in TREES:
            error = np.mean((trained.predict(seen[1], num_iteration=count) - wanted[1]) ** 2)
            best[count] = best.get(count, 0.0) + error
        found.append({count: trained.predict(seen[2], num_iteration=count) for count in TREES})
    chosen = min(best, key=lambda count: best[count])
    told = [of[chosen].reshape(len(origins), -1) + levels[2] for of in found]
    return np.stack(told, axis=2)


def _levels(rows: np.ndarray, origins: np.ndarray) -> np.ndarray:
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    return (sums[origins + 1] - sums[origins + 1 - WEEK]) / WEEK


def _features(rows: np.ndarray, origins: np.ndarray, step: int) -> np.ndarray:
    """[origins x columns, features]."""
    level, back = _levels(rows, origins), -(-step // DAY) * DAY
    day = [rows[origins - hour] - level for hour in range(DAY)]
    hours = [rows[np.maximum(origins + step - back - DAY * n, 0)] - level for n in range(7)]
    place = np.broadcast_to(((origins + step) % DAY)[:, None], level.shape)
    column = np.broadcast_to(np.arange(rows.shape[1]), level.shape)
    return np.stack([*day, *hours, place, column], axis=2).reshape(-1, DAY + 9)


def print_report(report: dict[str, Any], console: Console) -> None:
    """Prints what compare_forecasts() returned as a table."""
    table = figures_table(f"{report['windows']:,} windows", ["forecast by", "MSE", "MAE"], left=("forecast by",))
    for row in sorted(report["rows"], key=lambda row: row["mse"]):
        table.add_row(row["name"], f"{row['mse']:.4f}", f"{row['mae']:.4f}")
    console.print(machine_line(report["machine"]))
    console.print(table)


__all__ = ["ahead", "boosted", "compare_forecasts", "print_report", "same_hours", "scaled_rows"]
