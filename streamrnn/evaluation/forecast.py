"""Evaluation of forecasters: errors of the forecasts from every row, and the calibration of their quantiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data.series import read_table
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.models import Forecast, Model
from streamrnn.runtime import Stream, run_file

PIECE_ROWS = 500


def evaluate_forecast(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate.

    The table is one stream from its first row on, as live, so a forecast may depend on all rows before it. Judged is
    the forecast of every row whose `horizon` next rows are all in the part: for ETTh1 the 2,785 windows of the field's
    protocol, in its scale (means and deviations of the training rows). Figures: mse and mae of the mean; mae_median;
    mse_target, of the last column alone; repeat_last_mse, of what repeats the row; below, the share of what came below
    each quantile; coverage, the share between the outermost two.

    Raises:
        ValueError: it is no forecaster, the table has other columns or another interval, or there is no such part.
    """
    if not isinstance(model, Forecast):
        raise unfit("evaluate forecast", model, "a forecaster")
    table, s = read_table(places), model.settings
    if table.columns != s.columns:
        raise ValueError(
            f"The table has the columns {', '.join(table.columns)}; the model forecasts {', '.join(s.columns)}. Pass "
            "the --model that was trained on this table."
        )
    if table.interval_s is not None and abs(table.interval_s * s.frames_per_s - 1) > 1e-3:
        raise ValueError(
            f"The table has a row every {table.interval_s:g} s; the model forecasts rows of {1 / s.frames_per_s:g} s. "
            "Pass the --model that was trained on this table."
        )
    parts = {"train": (0, table.parts[0]), "valid": table.parts[:2], "test": table.parts[1:]}
    begin, end = table.files.part_of(parts, split)
    rows, first = table.values[:end], max(begin - 1, 0)
    if end - s.horizon <= first:
        raise ValueError(
            f"The part {split!r} has {end - begin} rows; it needs more than the {s.horizon} of a forecast."
        )
    live = _streamed(model, rows, progress)
    return {
        "lines": end - s.horizon - first,
        "streaming": _figures(model, rows, live, first),
        "offline": _figures(model, rows, run_file(model, rows), first),
    }


def _streamed(model: Forecast, rows: np.ndarray, progress: OnProgress | None) -> np.ndarray:
    stream, outputs = Stream(model), []
    for begin in range(0, len(rows), PIECE_ROWS):
        outputs.append(stream.process(rows[begin : begin + PIECE_ROWS]))
        if progress is not None:
            progress(min(begin + PIECE_ROWS, len(rows)), len(rows))
    return np.concatenate(outputs)


def _figures(model: Forecast, rows: np.ndarray, outputs: np.ndarray, first: int) -> dict[str, Any]:
    s = model.settings
    mean, scale = (np.array(x, np.float32)[:, None] for x in (s.mean, s.scale))
    judged = outputs[first : len(rows) - s.horizon]
    fans = (judged.reshape(len(judged), len(s.columns), s.horizon, s.kinds) - mean[..., None]) / scale[..., None]
    scaled = (rows.T - mean) / scale
    comes = np.stack([scaled[:, first + 1 + t : first + 1 + t + s.horizon] for t in range(len(judged))])
    errors, repeated = fans[..., 0] - comes, scaled.T[first : first + len(judged), :, None] - comes
    figures = {
        "mse": np.mean(errors**2),
        "mae": np.mean(np.abs(errors)),
        "mse_target": np.mean(errors[:, -1] ** 2),
        "repeat_last_mse": np.mean(repeated**2),
    }
    below = {f"{q:g}": np.mean(comes < fans[..., 1 + number]) for number, q in enumerate(s.quantiles)}
    if 0.5 in s.quantiles:
        figures["mae_median"] = np.mean(np.abs(fans[..., 1 + s.quantiles.index(0.5)] - comes))
    if len(s.quantiles) > 1:
        figures["coverage"] = np.mean((comes >= fans[..., 1]) & (comes < fans[..., -1]))
    return {name: float(figure) for name, figure in figures.items()} | {
        "below": {q: float(share) for q, share in below.items()}
    }


__all__ = ["evaluate_forecast"]
