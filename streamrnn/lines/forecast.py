"""Rows of a table at equal intervals, and forecasts of the next rows as quantiles."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from streamrnn.lines.line import Feeding, LineError, cells_of, date_of, numbers_of

# Missing rows that are filled in; a longer gap begins a new stream.
LONGEST_GAP = 168


class ForecastLines:
    """A line is a row: a date and a number for each column, or the numbers alone, separated by commas.

    A header is checked. A cell without a number repeats the one above, and missing rows repeat the last one, up to
    LONGEST_GAP; after a longer gap the stream starts over. The answer reports this: `filled` lists the columns,
    `repeated` counts the rows. Rows must be in the order of their dates, which may have an offset from UTC.

    Args:
        model: a Forecast.
    """

    def __init__(self, model: Any):
        self._settings = model.settings
        self._time: datetime | None = None
        self._row: np.ndarray | None = None

    def frames(self, line: str) -> np.ndarray:
        row = self._read(line)[1]
        if empty := self._names(np.isnan(row)):
            raise LineError(f"{' and '.join(empty)} has no number; give what came above in its place")
        return row[None]

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        if not line.strip() or self._is_header(line):
            return None
        time, row = self._read(line)
        missing = self._missing(time)
        row_is_new = missing > LONGEST_GAP
        before = row if self._row is None or row_is_new else self._row
        empty = np.isnan(row)
        if np.isnan(filled := np.where(empty, before, row)).any():
            raise LineError("a number is missing, and there is none above to repeat")
        if row_is_new:
            stream.reset()
        gap = 0 if row_is_new else missing
        outputs = stream.process(np.concatenate([np.repeat(before[None], gap, axis=0), filled[None]]))
        self._time, self._row = time, filled
        told: dict[str, Any] = {"repeated": gap} if gap else {"begun_anew": True} if row_is_new else {}
        if filled_in := self._names(empty):
            told["filled"] = filled_in
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
            f"in {self._span(ahead)} {fans['mean'][ahead - 1]:.1f} ({fans['quantiles'][low][ahead - 1]:.1f} to "
            f"{fans['quantiles'][high][ahead - 1]:.1f})"
            for ahead in sorted({min(24, last), last})
        ]
        when = "" if answer["time"] is None else f"{answer['time'][:16]}  "
        if repeated := answer.get("repeated"):
            parts.append(f"{repeated} row{'s' * (repeated > 1)} before it repeated")
        if filled := answer.get("filled"):
            parts.append(f"{' and '.join(filled)} as before")
        return f"{when}{target} now {fans['now']:.1f}; {', '.join(parts)}"

    def told(self, output: np.ndarray) -> dict[str, Any]:
        """The answer for one output: mean and quantiles of every column."""
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

    def _names(self, where: np.ndarray) -> list[str]:
        return [name for name, of in zip(self._settings.columns, where, strict=True) if of]

    def _is_header(self, line: str) -> bool:
        names, wanted = [cell.strip() for cell in cells_of(line)], list(self._settings.columns)
        is_header = names in (wanted, [names[0], *wanted]) and date_of(names[0]) is None
        if any(_is_number(name) for name in names) or date_of(names[0]) is not None:
            # Columns may be named by numbers, such as years.
            return is_header and self._row is None
        if is_header:
            return True
        if self._row is not None:
            return False
        raise ValueError(
            f"the table's columns are {', '.join(names)[:200]}; this model forecasts {', '.join(wanted)}, in this "
            "order. Put them in order, or train a model on this table: streamrnn train forecast --data TABLE."
        )

    def _read(self, line: str) -> tuple[datetime | None, np.ndarray]:
        cells, columns = cells_of(line), len(self._settings.columns)
        time = date_of(cells[0]) if len(cells) == columns + 1 else None
        if len(cells) == columns + 1 and time is None:
            raise LineError(f"{cells[0][:40]!r} is no date; write it like 2018-06-26 19:00:00")
        return time, numbers_of(cells[-columns:] if time else cells, columns, "a row of this model")

    def _missing(self, time: datetime | None) -> int:
        """Number of rows missing between the last one and this."""
        if time is None or self._time is None:
            return 0
        if (seconds := _seconds(self._time, time)) <= 0:
            raise LineError(f"its date {time} is not after {self._time}, that of the row before")
        intervals = seconds * self._settings.frames_per_s
        # Dates are whole microseconds at best, and often no more than milliseconds.
        if abs(intervals - round(intervals)) > min(0.1, 1e-6 + 1e-3 * self._settings.frames_per_s):
            raise LineError(f"its date {time} is no whole number of intervals of {self._span(1)} after {self._time}")
        return max(round(intervals), 1) - 1

    def _span(self, rows: int) -> str:
        """The duration of that many rows, as text."""
        interval = 1 / self._settings.frames_per_s
        units = [(86400, "d")] * (interval >= 86400) + [(3600, "h"), (60, "min"), (1, "s")]
        seconds = round(rows * interval, 3)
        size, unit = next(((size, unit) for size, unit in units if seconds % size < 1e-3), units[-1])
        return f"{seconds / size:g} {unit}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _seconds(earlier: datetime, later: datetime) -> float:
    """Seconds between two dates. With an offset from UTC, they are unaffected by daylight saving time."""
    if earlier.tzinfo is None or later.tzinfo is None:
        earlier, later = earlier.replace(tzinfo=None), later.replace(tzinfo=None)
    return (later - earlier).total_seconds()


__all__ = ["LONGEST_GAP", "ForecastLines"]
