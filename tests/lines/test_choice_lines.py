"""Choices as lines: each is guessed before it is known, and a choice alone is one of a game."""

from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import Bandit, ChoiceLines, LineError

SETTINGS = SimpleNamespace(options=4, highest=100.0)


class Repeating:
    """A stream of a model that expects the last choice again."""

    def __init__(self):
        self.fed: list = []

    def process(self, chunk):
        self.fed += chunk.tolist()
        return np.where(np.arange(1, 5) == chunk[:, :1], 0.7, 0.1)

    def reset(self):
        self.fed.clear()


@pytest.fixture
def lines():
    return ChoiceLines(SimpleNamespace(settings=SETTINGS))


def test_a_choice_is_compared_with_the_guess_that_was_made_before_it(lines):
    stream = Repeating()
    answers = [lines.answer(stream, line) for line in ("2,50", "2, 60", "3,10", "nan,0")]
    assert [answer["guessed"] for answer in answers] == [None, 2, 2, 3]
    assert [(answer["right"], answer["guesses"]) for answer in answers] == [(0, 0), (1, 1), (1, 2), (1, 2)]
    assert answers[1]["probability"] == pytest.approx(0.7) and answers[2]["probability"] == pytest.approx(0.1)
    assert stream.fed == [[2, 50], [2, 60], [3, 10], [0, 0]]
    assert [lines.said(answer) for answer in answers] == [
        "2 gave 50",
        "2 gave 60; as I guessed (1 of 1 right)",
        "3 gave 10; not 2, as I guessed (1 of 2 right)",
        "no choice",
    ]


def test_an_empty_line_begins_anew_and_so_does_the_game(lines):
    stream = Repeating()
    first = [lines.answer(stream, "1")["reward"] for _ in range(5)]
    assert lines.answer(stream, " ") is None and stream.fed == []
    begun = lines.answer(stream, "1")
    assert begun["guesses"] == 0 and begun["reward"] == first[0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("5,10", "its choice is 5; it must be one of 1 to 4"),
        ("1.5,10", "its choice is 1.5"),
        ("0", "its choice is 0"),
        ("nan", "its choice is nan"),
        ("2,120", "its reward is 120; it must be from 0 to 100"),
        ("2,nan", "its reward is nan"),
        ("2,3,4", "it has 3 numbers"),
        ("two", "stands where a number belongs"),
    ],
)
def test_what_is_no_choice_is_refused_and_nothing_is_fed(lines, line, told):
    stream = Repeating()
    with pytest.raises(LineError, match=told):
        lines.answer(stream, line)
    assert stream.fed == []
    # The game did not go on, either.
    assert lines.answer(stream, "2")["reward"] == Bandit(4).pull(1)


def test_the_arms_of_the_game_wander_between_1_and_100():
    game = Bandit(4, seed=1)
    points = np.array([game.pull(n % 4) for n in range(2000)])
    assert points.min() >= 1 and points.max() <= 100 and points.mean() == pytest.approx(50, abs=5)
    # What an arm gives stays near what it gave, and is another after a hundred choices.
    of_arm = points[::4]
    assert np.corrcoef(of_arm[:-1], of_arm[1:])[0, 1] > 0.7 > abs(np.corrcoef(of_arm[:-100], of_arm[100:])[0, 1])


def test_cells_may_stand_in_quotes(lines):
    assert lines.answer(Repeating(), '"2", "50"')["reward"] == 50
    with pytest.raises(LineError, match="quotes do not match"):
        lines.answer(Repeating(), '"2,50')
