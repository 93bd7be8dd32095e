"""Rows of a table that come at equal intervals, and the fans of what comes next."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from streamrnn.lines.line import Feeding, LineError, numbers_of

# Rows that may be missing; a longer gap begins a new stream.
LONGEST_GAP = 168


class ForecastLines:
    """A line is a row: a date and a number for each column, or the numbers alone, separated by commas.

    A header is checked, a cell without a number repeats the one above, and so do rows that are missing, up to
    LONGEST_GAP; after more the stream begins anew. Rows must come in the order of their dates.

    Args:
        model: a Forecast.
    """

    def __init__(self, model: Any):
        self._settings = model.settings
        self._interval = timedelta(seconds=round(1 / model.settings.frames_per_s))
        self._time: datetime | None = None
        self._row: np.ndarray | None = None

    def frames(self, line: str) -> np.ndarray:
        return self._read(line)[1][None]

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        if not line.strip() or self._is_header(line):
            return None
        time, row = self._read(line)
        missing = self._missing(time)
        if row_is_new := missing > LONGEST_GAP:
            stream.reset()
        before = row if self._row is None or row_is_new else self._row
        if np.isnan(filled := np.where(np.isnan(row), before, row)).any():
            raise LineError("a number is missing, and there is none above to repeat")
        gap = 0 if row_is_new else missing
        outputs = stream.process(np.concatenate([np.repeat(before[None], gap, axis=0), filled[None]]))
        self._time, self._row = time, filled
        told = {"repeated": gap} if gap else {"begun_anew": True} if row_is_new else {}
        fans = self.told(outputs[-1])["columns"]
        columns = {
            name: {"now": round(float(now), 4), **fan} for (name, fan), now in zip(fans.items(), filled, strict=True)
        }
        return {"time": None if time is None else time.isoformat(sep=" "), **told, "columns": columns}

    def said(self, answer: Mapping[str, Any]) -> str:
        target = self._settings.columns[-1]
        fans, last = answer["columns"][target], self._settings.horizon
        low, high = min(fans["quantiles"], key=float), max(fans["quantiles"], key=float)
        parts = [
            f"in {ahead} h {fans['mean'][ahead - 1]:.1f} ({fans['quantiles'][low][ahead - 1]:.1f} to "
            f"{fans['quantiles'][high][ahead - 1]:.1f})"
            for ahead in sorted({min(24, last), last})
        ]
        when = "" if answer["time"] is None else f"{answer['time'][:16]}  "
        return f"{when}{target} now {fans['now']:.1f}; {', '.join(parts)}"

    def told(self, output: np.ndarray) -> dict[str, Any]:
        """What is said of one output: the fan of every column."""
        s = self._settings
        fans = output.reshape(len(s.columns), s.horizon, 1 + len(s.quantiles)).astype(float).round(4)
        return {
            "columns": {
                column: {
                    "mean": fan[:, 0].tolist(),
                    "quantiles": {f"{q:g}": fan[:, 1 + number].tolist() for number, q in enumerate(s.quantiles)},
                }
                for column, fan in zip(s.columns, fans, strict=True)
            }
        }

    def _is_header(self, line: str) -> bool:
        names = [cell.strip() for cell in line.split(",")]
        if any(_is_number(name) for name in names) or _date(names[0]) is not None:
            return False
        wanted = list(self._settings.columns)
        if names in (wanted, [names[0], *wanted]):
            return True
        if self._row is not None:
            return False
        raise ValueError(
            f"the table's columns are {', '.join(names)[:200]}; this model forecasts {', '.join(wanted)}, in this "
            "order. Put them in order, or train a model on this table: streamrnn train forecast --data TABLE."
        )

    def _read(self, line: str) -> tuple[datetime | None, np.ndarray]:
        cells, columns = line.strip().split(","), len(self._settings.columns)
        time = _date(cells[0]) if len(cells) == columns + 1 else None
        if len(cells) == columns + 1 and time is None:
            raise LineError(f"{cells[0][:40]!r} is no date; write it like 2018-06-26 19:00:00")
        return time, numbers_of(cells[-columns:] if time else cells, columns, "a row of this model")

    def _missing(self, time: datetime | None) -> int:
        """Rows between the last one and this."""
        if time is None or self._time is None:
            return 0
        if time <= self._time:
            raise LineError(f"its date {time} is not after {self._time}, that of the row before")
        intervals = (time - self._time) / self._interval
        if abs(intervals - round(intervals)) > 1e-6:
            raise LineError(f"its date {time} is no whole number of intervals of {self._interval} after {self._time}")
        return round(intervals) - 1


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _date(cell: str) -> datetime | None:
    try:
        return datetime.fromisoformat(cell.strip()).replace(tzinfo=None)
    except ValueError:
        return None


__all__ = ["LONGEST_GAP", "ForecastLines"]
