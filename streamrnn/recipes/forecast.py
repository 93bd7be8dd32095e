"""Training of forecasters: at every row of a stretch, the rows that come."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.series import Table, read_table
from streamrnn.learning import TrainingSettings
from streamrnn.losses import Mean, pinball_loss
from streamrnn.models import Forecast, ForecastSettings
from streamrnn.recipes.recipe import outputs, require_counts, require_not_negative


@dataclass(frozen=True)
class ForecastTraining:
    """Settings of `streamrnn train forecast`.

    Raises:
        ValueError: a number is out of its range.
    """

    model: ForecastSettings = field(default_factory=ForecastSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=300, learning_rate=4e-3, warmup_steps=20, weight_decay=1e-2, ema_decay=0.98, validate_every=50
        )
    )
    stretches: int = 8
    """Excerpts of the table per update."""
    warm_rows: int = 168
    """Warm-up rows at the start of an excerpt, whose forecasts do not count because the state has seen too little."""
    counted_rows: int = 96
    """Rows whose forecasts count in the loss."""
    quantile_share: float = 1.0
    """Weight of the pinball loss of the quantiles, relative to the squared error of the mean."""

    def __post_init__(self):
        require_counts(self, "stretches", "counted_rows")
        require_not_negative(self, "warm_rows", "quantile_share")


class ForecastRecipe:
    """Forecasts of a table: squared error of means, pinball loss of quantiles; validated by the negative squared error.

    All columns are scaled by the mean and standard deviation of the rows that are trained on.
    """

    Settings = ForecastTraining

    def __init__(self, data: Sequence[Path], settings: ForecastTraining):
        self.table = read_table(data)
        self.recordings = self.table.files
        self.settings = dataclasses.replace(settings, model=completed(settings.model, self.table))
        self.training = settings.training
        self._rows_each = settings.warm_rows + settings.counted_rows + settings.model.horizon
        if (trained := self.table.parts[0]) < self._rows_each:
            raise ValueError(
                f"{self.recordings.paths[0]} has {trained} rows to train on; a stretch has {self._rows_each}. Pass a "
                "longer table, or smaller --warm-rows and --counted-rows."
            )

    def model(self, rngs: nnx.Rngs) -> Forecast:
        return Forecast(self.settings.model, rngs=rngs)

    def batches(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for step in range(start, stop):
            rng = np.random.default_rng([self.training.seed, step])
            begins = rng.integers(self.table.parts[0] - self._rows_each + 1, size=self.settings.stretches)
            yield {"rows": np.stack([self.table.values[begin : begin + self._rows_each] for begin in begins])}

    def loss(self, model: Forecast, batch: dict[str, Any]) -> Mean:
        s, rows = self.settings, jnp.asarray(batch["rows"])
        seen = s.warm_rows + s.counted_rows
        # In the scale in which the model computes, where all columns count alike.
        fans = parted(aligned(model, rows[:, :seen])[:, s.warm_rows :], model.settings)
        scaled = (rows - jnp.asarray(model.settings.mean)) / jnp.asarray(model.settings.scale)
        comes = ahead(scaled, model.settings.horizon)[:, s.warm_rows :]
        weights = jnp.ones(comes.shape)
        squared = Mean.of((fans[..., 0] - comes) ** 2, weights)
        return squared + s.quantile_share * pinball_loss(fans[..., 1:], comes, weights, model.settings.quantiles)

    def validate(self, model: Forecast) -> float:
        (begin, end, _), s = self.table.parts, model.settings
        rows = self.table.values[:end]
        fans = parted(outputs(model, jnp.asarray(rows[None]))[:, begin - 1 : end - s.horizon], s)
        scaled = (rows - np.array(s.mean, np.float32)) / np.array(s.scale, np.float32)
        comes = ahead(jnp.asarray(scaled[None]), s.horizon)[:, begin - 1 :]
        return -float(jnp.mean((fans[..., 0] - comes) ** 2))


def completed(settings: ForecastSettings, table: Table) -> ForecastSettings:
    """The settings, with the columns of the table and their scale where they were left open, and its interval.

    Raises:
        ValueError: columns or the interval were given, and are others than the table's.
    """
    if settings.columns and settings.columns != table.columns:
        raise ValueError(
            f"columns are {', '.join(settings.columns)}; {table.files.paths[0]} has {', '.join(table.columns)[:200]}. "
            "Leave them out: they are taken from the table."
        )
    settings = dataclasses.replace(settings, frames_per_s=_rate(settings, table))
    trained = table.values[: table.parts[0]]
    if settings.mean:
        return settings
    # In 64 bits: sums of a long column far from 0 would lose its mean.
    mean, deviation = trained.mean(axis=0, dtype=np.float64), trained.std(axis=0, dtype=np.float64)
    largest = np.abs(trained).max(axis=0).astype(np.float64)
    # Nanoamperes vary as much as hectopascals. A column that did not vary may do so later, by about what it is.
    varies = deviation > np.finfo(np.float32).eps * largest
    scale = np.where(varies, deviation, np.where(largest > 0, largest, 1.0))
    return dataclasses.replace(
        settings, columns=table.columns, mean=tuple(map(float, mean)), scale=tuple(map(float, scale))
    )


def _rate(settings: ForecastSettings, table: Table) -> float:
    """Rows per second, by the dates of the table if it has any: live, rows are counted by theirs."""
    given, default = settings.frames_per_s, ForecastSettings.frames_per_s
    if table.interval_s is None or math.isclose(given * table.interval_s, 1, rel_tol=1e-3):
        return given
    if given != default:
        raise ValueError(
            f"{table.files.paths[0]} has a row every {table.interval_s:g} s; --frames-per-s {given:g} is one every "
            f"{1 / given:g} s. Leave it out: it is taken from the dates."
        )
    return 1 / table.interval_s


def parted(y: jax.Array, settings: ForecastSettings) -> jax.Array:
    """A model's outputs [batch, time, out] -> [batch, time, columns, horizon, kinds]."""
    return y.reshape(*y.shape[:2], len(settings.columns), settings.horizon, settings.kinds)


def ahead(rows: jax.Array, horizon: int) -> jax.Array:
    """What comes after each row: [batch, time, columns] -> [batch, time - horizon, columns, horizon]."""
    time = rows.shape[1] - horizon
    return jnp.stack([rows[:, step : step + time] for step in range(1, horizon + 1)], axis=-1)


__all__ = ["ForecastRecipe", "ForecastTraining", "ahead", "completed", "parted"]
