"""Tables of people and spreadsheets: what is no whole row is told by its line, and nothing is lost in silence."""

import warnings

import pytest

from streamrnn.batch import find_batch
from streamrnn.data.choices import read_people
from streamrnn.data.examples import read_examples
from streamrnn.data.series import read_table
from streamrnn.models import ChoicesSettings, ForecastSettings
from streamrnn.recipes.choices import ChoicesRecipe, ChoicesTraining
from streamrnn.recipes.forecast import completed


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return [path]

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('date,a\n1,2\n"2,3\n3,4\n', "line 4 is no row of a CSV file .* Check its quotes"),
        ('date,a\n"1,2\n' + "2,3\n" * 40_000, "field larger than field limit .* Check its quotes"),
        ("date,a\n1,2\n2,\n", "line 3: a is '', which is no number up to 1e.18"),
        ("date,a\n1,2\n2,inf\n", "line 3: a is 'inf', which is no number up to 1e.18"),
        ("date,a\n1,2\n2,-3.4e38\n", "line 3: a is '-3.4e38', which is no number up to 1e.18"),
        ("date,a\n1,2\n2\n", "line 3 has 1 cells; the header has 2"),
        ("2020-01-01,2\n2020-01-02,3\n2020-01-03,4\n", "its first line must name the columns"),
        ("", "is no table with a header"),
    ],
)
def test_a_series_that_is_damaged_is_refused_by_its_line(written, text, said):
    with pytest.raises(ValueError, match=said):
        read_table(written(text))


def test_names_of_columns_have_no_spaces_around_them_and_empty_lines_are_none(written):
    found = read_table(written("date, a , b\n1, 2, 3\n\n2, 3, 4\n\n"))
    assert found.columns == ("a", "b") and found.values.tolist() == [[2, 3], [3, 4]] and found.interval_s is None


def dated(dates):
    return "date,a\n" + "".join(f"{date},1\n" for date in dates)


@pytest.mark.parametrize(
    ("dates", "interval_s"),
    [
        ([f"2020-01-{day:02}" for day in range(1, 20)], 86400),
        ([f"2020-01-01 00:{minute:02}" for minute in range(0, 60, 15)], 900),
        ([f"2020-01-01T00:00:00.{tenth}00" for tenth in range(10)], 0.1),
        # The clock is put forward, and then a day is missing.
        ([f"2020-03-29T0{h}:00+0{1 + (h > 1)}:00" for h in (0, 1, 3, 4, 5)] + ["2020-03-30T05:00+02:00"], 3600),
    ],
)
def test_the_interval_of_rows_is_that_of_most_dates(written, dates, interval_s):
    table = read_table(written(dated(dates)))
    assert table.interval_s == interval_s
    assert completed(ForecastSettings(), table).frames_per_s == pytest.approx(1 / interval_s)
    if interval_s != 3600:
        with pytest.raises(ValueError, match="Leave it out: it is taken from the dates"):
            completed(ForecastSettings(frames_per_s=5.0), table)


def test_dates_without_an_interval_are_warned_of(written):
    with pytest.warns(UserWarning, match="its dates come at no equal interval"):
        table = read_table(written(dated([f"2020-{month:02}-01" for month in range(1, 13)])))
    assert table.interval_s is None and completed(ForecastSettings(), table).frames_per_s == 1 / 3600
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(written("row,a\n" + "".join(f"{n},1\n" for n in range(9)))).interval_s is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ann,1,5\n"bob,2,6\nbob,3,7\n', "Check its quotes"),
        ("ann,1,5\nbob\n", "line 3 has 1 cells; the header has 3"),
        ("ann,1,5,6\n", "line 2 has 4 cells; the header has 3"),
        ("ann,inf,5\n", "choices are 1, 2, 3 and so on"),
        ("ann,1,-5\n", "with a reward from 0 to 1e.18; got 1 and -5"),
        ("ann,1,1e20\n", "with a reward from 0 to 1e.18"),
        ("ann,1,\n", "has the choice '1' and the reward ''"),
    ],
)
def test_choices_that_are_damaged_are_refused_by_their_line(written, text, said):
    with pytest.raises(ValueError, match=said):
        read_people(written("user,choice,reward\n" + text))


def test_columns_of_choices_are_there_once(written):
    assert read_people(written(" user, choice, reward\nann, 1, 5\n")).parts["train"][0].tolist() == [[1, 5]]
    with pytest.raises(ValueError, match="2 columns 'choice'"):
        read_people(written("user,choice,choice,reward\nann,1,2,5\n"))


def test_rewards_that_a_live_stream_would_refuse_are_not_trained_on(written):
    people = "".join(f"{n},1,{150 if n == 3 else 5}\n" * 2 for n in range(10))
    path = written("user,choice,reward\n" + people)
    with pytest.raises(ValueError, match=r"rewards up to 150; the model has --highest 100\. .* Pass --highest 150"):
        ChoicesRecipe(path, ChoicesTraining())
    ChoicesRecipe(path, ChoicesTraining(ChoicesSettings(highest=150)))


def test_a_quote_without_end_hides_no_recordings_of_a_list(tmp_path):
    (tmp_path / "list.csv").write_text('path,text\na.wav,"so\nb.wav,\nc.wav,\n')
    with pytest.raises(ValueError, match="Check its quotes"):
        find_batch([tmp_path / "list.csv"], tmp_path / "out")
    for name in "abc":
        (tmp_path / f"{name}.wav").touch()
    (tmp_path / "list.tsv").write_text('text\tpath\n"so\ta.wav\n"Yes," she said\tb.wav\n"\tc.wav\n')
    assert [one.path.name for one in find_batch([tmp_path / "list.tsv"], tmp_path / "out")] == [
        "a.wav",
        "b.wav",
        "c.wav",
    ]


def test_an_example_that_is_too_long_is_refused_by_its_line(tmp_path):
    (tmp_path / "train.tsv").write_text(f'say "{"word " * 30_000}\tlong\n')
    with pytest.raises(ValueError, match=r"train\.tsv, line 1"):
        read_examples([tmp_path])


def test_hidden_files_and_folders_of_the_name_of_a_table_are_none(tmp_path):
    for folder in (".checkpoints", "old.csv"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".checkpoints" / "a.csv").write_text("another,table\n")
    (tmp_path / "._A.csv").write_bytes(b"\0\5\x16\7")
    (tmp_path / "A.CSV").write_text("user,choice,reward\nann,1,5\n")
    assert [path.name for path in read_people([tmp_path]).files.paths] == ["A.CSV"]
