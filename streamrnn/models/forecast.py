"""Forecasts of tables of readings: a mean and quantiles of every column, for every interval ahead."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import Layer
from streamrnn.layers import Apply, Chain, Dense, Dilated, Dropout, PerFeature, Window
from streamrnn.models.model import Model, require_counts
from streamrnn.shapes import Block, Frames, OutputFrame, State
from streamrnn.signals import Series


@dataclass(frozen=True)
class ForecastSettings:
    """Settings of a forecaster.

    Raises:
        ValueError: a count is below 1, frames_per_s is not above 0 and finite, there are no columns, mean or scale does
            not have one value per column, or a quantile is out of range.
    """

    columns: tuple[str, ...] = ()
    """Names of the columns, the one of interest last. Default: those of the training table."""
    mean: tuple[float, ...] = ()
    """Mean of each column, to subtract. Default: that of the training rows."""
    scale: tuple[float, ...] = ()
    """Standard deviation of each column, to divide by. Default: that of the training rows."""
    frames_per_s: float = 1 / 3600
    """Rows per second. Training takes it from the table if its dates are not hourly."""
    horizon: int = 96
    """Rows to forecast."""
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Quantiles to forecast, in ascending order."""
    period: int = 24
    """Rows of a season: how many past rows a step sees, and how old the state is from which it continues."""
    level_rows: int = 168
    """Rows whose mean is the level, relative to which the model sees and forecasts; at least a season."""
    hidden: int = 64
    """State size of the GRU."""
    dropout: float = 0.2
    """Dropout of the GRU's outputs in training."""

    def __post_init__(self):
        require_counts(self, "horizon", "hidden")
        if not 0 < self.frames_per_s < math.inf:
            raise ValueError(f"frames_per_s is {self.frames_per_s}; it must be above 0 and finite.")
        if not len(self.columns) == len(self.mean) == len(self.scale) and self.mean:
            raise ValueError(
                f"{len(self.columns)} columns have {len(self.mean)} means and {len(self.scale)} scales; each column "
                "needs one of each."
            )
        if not 1 <= self.period <= self.level_rows:
            raise ValueError(
                f"period is {self.period}, level_rows {self.level_rows}; 1 <= period <= level_rows is needed."
            )
        rising = sorted({q for q in self.quantiles if 0 < q < 1})
        if not rising or list(self.quantiles) != rising:
            raise ValueError(f"quantiles are {self.quantiles}; they must be one or more, rising, above 0 and below 1.")

    @property
    def kinds(self) -> int:
        """Numbers per column and forecast row: the mean and the quantiles."""
        return 1 + len(self.quantiles)


class Forecast(Model):
    """Each column separately, with shared weights: the rows of a season relative to their level -> a GRU that continues
    from its state one season ago -> mean and quantiles of the next rows, relative to the level.

    Outputs are in the units of the columns, [columns, horizon, mean and quantiles] flattened.

    Sources: Lin et al. 2023, "SegRNN" (a recurrence over segments of a series, each column separately); Kim et al.
    2022, "Reversible instance normalization" (what is subtracted before a network is added back after it).
    """

    Settings = ForecastSettings
    settings: ForecastSettings

    def __init__(self, settings: ForecastSettings, decision: None = None, *, rngs: nnx.Rngs):
        s = settings
        if not s.mean:
            raise ValueError("Forecast got no columns. Pass ForecastSettings(columns=..., mean=..., scale=...).")
        mean, scale = (np.array(x, np.float32) for x in (s.mean, s.scale))
        network = Chain(Apply(lambda x: (x - mean) / scale), PerFeature(Seasonal(s, rngs=rngs), len(s.columns)))
        out = len(s.columns) * s.horizon * s.kinds
        super().__init__(s, None, network, out, signal=Series(len(s.columns), s.frames_per_s))

    def readout(self, logits: jax.Array) -> jax.Array:
        s = self.settings
        mean, scale = (jnp.asarray(x, jnp.float32)[:, None] for x in (s.mean, s.scale))
        fans = logits.reshape(*logits.shape[:-1], len(s.columns), s.horizon * s.kinds)
        return (fans * scale + mean).reshape(logits.shape)


class Seasonal(Layer):
    """x[batch, time, 1] -> [batch, time, horizon kinds]: forecasts of one column, on its own scale.

    Args:
        settings: horizon, kinds, period, level_rows, hidden and dropout.
        rngs: random streams that draw the weights.
    """

    def __init__(self, settings: ForecastSettings, *, rngs: nnx.Rngs):
        period = self.period = settings.period
        self.window = Window(settings.level_rows, 1)
        self.recurrent = Dilated(GRU(period, settings.hidden, rngs=rngs), period)
        self.dropout = Dropout(settings.dropout, rngs=rngs)
        self.head = Dense(settings.hidden + period, settings.horizon * settings.kinds, kernel_init=_SMALL, rngs=rngs)

    def init_state(self, batch_size: int) -> State:
        return self.window.init_state(batch_size), self.recurrent.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._forecast(self.window.step, self.recurrent.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._forecast(self.window.scan, self.recurrent.scan, state, x)

    def _forecast(self, window, recurrent, state: State, x: Frames) -> tuple[State, Frames]:
        rows, states = state
        rows, seen = window(rows, x)
        level = jnp.mean(seen, axis=-1, keepdims=True)
        season = seen[..., -self.period :] - level
        states, h = recurrent(states, season)
        ahead = self.head(jnp.concatenate([self.dropout(h), season], axis=-1))
        return (rows, states), level + ahead


# Initial forecasts are near the level.
_SMALL = nnx.initializers.variance_scaling(0.01, "fan_in", "normal")


__all__ = ["Forecast", "ForecastSettings", "Seasonal"]
