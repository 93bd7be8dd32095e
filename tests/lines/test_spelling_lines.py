"""Spelling: letters as frames, and the search for phonemes."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import LineError, SpellingLines, searched


@pytest.fixture
def lines():
    return SpellingLines(SimpleNamespace(settings=SimpleNamespace(letters=tuple("abce'"), phonemes=("X", "Y"))))


class Echoing:
    """A stream of posteriors: X for every letter, Y for every frame after one."""

    def process(self, frames):
        return np.array([[0.1, 0.8, 0.1] if number else [0.1, 0.1, 0.8] for (number,) in frames])

    def flush(self):
        return np.zeros((0, 3))

    def reset(self):
        pass


def test_each_letter_has_two_frames(lines):
    np.testing.assert_array_equal(lines.frames("cab")[:, 0], [3, 0, 1, 0, 2, 0])


def test_unknown_letters_lose_their_accents_and_other_signs_are_left_out(lines):
    np.testing.assert_array_equal(lines.frames("Ça-bé!"), lines.frames("cabe"))
    with pytest.raises(LineError, match="'123' has no letter that the model knows"):
        lines.frames("123")


def test_every_word_of_a_line_is_said(lines):
    answer = lines.answer(Echoing(), "ab  c")
    assert answer["words"] == [
        {"word": "ab", "phonemes": ["X", "Y", "X", "Y"]},
        {"word": "c", "phonemes": ["X", "Y"]},
    ]
    assert lines.said(answer) == "ab: X Y X Y  c: X Y"
    assert lines.answer(Echoing(), " ") is None


def test_a_line_with_a_word_of_no_letters_feeds_nothing(lines):
    with pytest.raises(LineError):
        lines.answer(None, "ab 12")


def test_the_search_finds_the_likeliest_sum_over_all_paths():
    posteriors = np.random.default_rng(4).dirichlet(np.ones(3), size=5)
    sums: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=5):
        merged = [a for a, before in zip(path, (None, *path[:-1]), strict=True) if a != before]
        labels = tuple(number for number in merged if number)
        sums[labels] = sums.get(labels, 0) + np.prod(posteriors[np.arange(5), path])
    assert tuple(searched(posteriors, beam=100)) == max(sums, key=sums.get)
    assert searched(np.zeros((0, 3))) == []


def test_ligatures_syllables_and_typographic_apostrophes_lose_nothing():
    letters = (*"fineas'", "\u1112", "\u1161", "\u11ab")
    lines = SpellingLines(SimpleNamespace(settings=SimpleNamespace(letters=letters, phonemes=("X",))))
    for written, read in (
        ("\ufb01ne", "fine"),
        ("Fie\u00df", "fiess"),
        ("fin\u2019s", "fin's"),
        ("fine\u0301", "fine"),
        ("\ud55c", "\u1112\u1161\u11ab"),
    ):
        np.testing.assert_array_equal(lines.frames(written), lines.frames(read))
