"""Rows of a table as lines: headers, dates, gaps, and what is no number."""

from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import ForecastLines, LineError

SETTINGS = SimpleNamespace(columns=("load", "OT"), horizon=3, quantiles=(0.1, 0.9), frames_per_s=1 / 3600)


class Repeating:
    """A stream whose forecasts repeat the row; it remembers what it was fed."""

    def __init__(self):
        self.fed, self.resets = [], 0

    def process(self, rows):
        self.fed += rows.tolist()
        return np.repeat(rows, 9, axis=1)

    def reset(self):
        self.resets += 1


@pytest.fixture
def lines():
    return ForecastLines(SimpleNamespace(settings=SETTINGS))


@pytest.fixture
def stream():
    return Repeating()


def test_a_row_gives_a_fan_for_every_column(lines, stream):
    assert lines.answer(stream, "date,load,OT") is None
    answer = lines.answer(stream, "2018-06-26 19:00:00,1.5,-3")
    assert answer["time"] == "2018-06-26 19:00:00"
    assert answer["columns"]["load"] == {
        "now": 1.5,
        "mean": [1.5] * 3,
        "quantiles": {"0.1": [1.5] * 3, "0.9": [1.5] * 3},
    }
    assert lines.said(answer) == "2018-06-26 19:00  OT now -3.0; in 3 h -3.0 (-3.0 to -3.0)"


def test_rows_without_dates_and_empty_lines_are_fine(lines, stream):
    assert lines.answer(stream, "") is None
    assert lines.answer(stream, "1,2")["time"] is None
    assert stream.fed == [[1, 2]]


def test_what_is_missing_repeats_the_row_above(lines, stream):
    lines.answer(stream, "2018-01-01 00:00,1,2")
    answer = lines.answer(stream, "2018-01-01 03:00,,5")
    assert answer["repeated"] == 2
    assert stream.fed == [[1, 2], [1, 2], [1, 2], [1, 5]]


def test_after_a_long_gap_the_stream_begins_anew(lines, stream):
    lines.answer(stream, "2018-01-01 00:00,1,2")
    assert lines.answer(stream, "2018-03-01 00:00,3,4")["begun_anew"]
    assert (stream.fed, stream.resets) == ([[1, 2], [3, 4]], 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2018-01-01 01:00,1,cold", "'cold' stands where a number belongs"),
        ("2018-01-01 01:00,1", "'2018-01-01 01:00' stands where a number belongs"),
        ("2018-01-01 01:00,1,2,3", "it has 4 numbers; a row of this model needs 2"),
        ("yesterday,1,2", "'yesterday' is no date"),
        ("2018-01-01 00:00,1,2", "is not after 2018-01-01 00:00:00"),
        ("2017-12-31 00:00,1,2", "is not after 2018-01-01 00:00:00"),
        ("2018-01-01 00:30,1,2", "no whole number of intervals of 1 h"),
        ("2018-01-01 01:00,1,1e39", "1e39 is too large"),
    ],
)
def test_a_row_that_cannot_be_used_changes_nothing(lines, stream, line, said):
    lines.answer(stream, "2018-01-01 00:00,1,2")
    with pytest.raises(LineError, match=said):
        lines.answer(stream, line)
    assert "repeated" not in lines.answer(stream, "2018-01-01 01:00,3,4")
    assert stream.fed == [[1, 2], [3, 4]]


def test_a_first_row_with_gaps_is_refused(lines, stream):
    with pytest.raises(LineError, match="there is none above to repeat"):
        lines.answer(stream, "1,")


def test_a_table_of_other_columns_is_refused_as_a_whole(lines, stream):
    with pytest.raises(ValueError, match="columns are date, OT, load; this model forecasts load, OT") as error:
        lines.answer(stream, "date,OT,load")
    assert not isinstance(error.value, LineError)


def test_what_was_filled_is_told(lines, stream):
    lines.answer(stream, "2018-01-01 00:00,1,2")
    answer = lines.answer(stream, "2018-01-01 02:00,nan,5")
    assert (answer["repeated"], answer["filled"]) == (1, ["load"])
    assert lines.said(answer).endswith("(5.0 to 5.0), 1 row before it repeated, load as before")
    assert "filled" not in lines.answer(stream, "2018-01-01 03:00,1,5")


def test_cells_and_names_may_stand_in_quotes(stream):
    lines = ForecastLines(SimpleNamespace(settings=SimpleNamespace(**{**vars(SETTINGS), "columns": ("a, b", "OT")})))
    assert lines.answer(stream, '"date","a, b","OT"') is None
    assert lines.answer(stream, '"2018-01-01 00:00","1","2"')["columns"]["a, b"]["now"] == 1
    with pytest.raises(LineError, match="quotes do not match"):
        lines.answer(stream, '"2018-01-01 01:00,1,2')
    assert stream.fed == [[1, 2]]


def test_columns_may_be_called_by_numbers(stream):
    lines = ForecastLines(SimpleNamespace(settings=SimpleNamespace(**{**vars(SETTINGS), "columns": ("1", "2")})))
    assert lines.answer(stream, "date,1,2") is None and lines.answer(stream, "1,2") is None
    assert lines.answer(stream, "3,4") is not None and lines.answer(stream, "1,2") is not None
    assert stream.fed == [[3, 4], [1, 2]]


def test_where_clocks_are_changed_no_row_is_missing_and_none_comes_twice(lines, stream):
    for time in ("00:00+01:00", "01:00+01:00", "03:00+02:00"):
        answer = lines.answer(stream, f"2020-03-29 {time},1,2")
        assert "repeated" not in answer
    assert answer["time"] == "2020-03-29 03:00:00+02:00"
    lines.answer(stream, "2020-10-25 02:00+02:00,1,2")
    assert "repeated" not in lines.answer(stream, "2020-10-25 02:00+01:00,1,2")


@pytest.mark.parametrize(
    ("frames_per_s", "second", "span"),
    [
        (10, "00:00:00.100", "0.3 s"),
        (1 / 900, "00:15", "45 min"),
        (1 / 86400, "2018-01-02", "3 d"),
        (30, "00:00:00.033", "0.1 s"),
    ],
)
def test_intervals_may_be_of_any_length(stream, frames_per_s, second, span):
    lines = ForecastLines(SimpleNamespace(settings=SimpleNamespace(**{**vars(SETTINGS), "frames_per_s": frames_per_s})))
    lines.answer(stream, "2018-01-01 00:00,1,2")
    answer = lines.answer(stream, f"{second if '-' in second else f'2018-01-01 {second}'},3,4")
    assert "repeated" not in answer and f"; in {span} 4.0" in lines.said(answer)


def test_a_row_that_is_refused_after_a_long_gap_leaves_the_stream_as_it_was(lines, stream):
    lines.answer(stream, "2018-01-01 00:00,1,2")
    with pytest.raises(LineError, match="none above"):
        lines.answer(stream, "2018-03-01 00:00,3,")
    assert stream.resets == 0
