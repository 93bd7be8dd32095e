"""Lines of a text: what was expected, what may come, and characters that nobody taught."""

from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import TextLines

SYMBOLS = ("\n", " ", "a", "b", "e")


class Reciting:
    """A stream that expects a word: ab after everything, then a blank."""

    def __init__(self):
        self.heard = []

    def process(self, ids):
        outputs = []
        for (number,) in ids:
            self.heard.append(SYMBOLS[number])
            expected = {"a": "b", "b": " "}.get(SYMBOLS[number], "a")
            outputs.append([0.6 if symbol == expected else 0.1 for symbol in SYMBOLS])
        return np.array(outputs).reshape(-1, 5)

    def snapshot(self):
        return list(self.heard)

    def restore(self, heard):
        self.heard = heard


@pytest.fixture
def lines():
    return TextLines(SimpleNamespace(settings=SimpleNamespace(symbols=SYMBOLS)))


def test_a_line_is_completed_and_the_stream_stays_where_it_was(lines):
    stream = Reciting()
    answer = lines.answer(stream, "a")
    assert answer["completion"] == "b "
    assert max(answer["next"], key=answer["next"].get) == "b" and len(answer["next"]) == 3
    assert stream.heard == ["a", "\n"]


def test_nats_are_of_what_came_beginning_with_the_line_before(lines):
    stream = Reciting()
    assert lines.answer(stream, "a")["nats_per_character"] is None
    answer = lines.answer(stream, "ab")
    assert answer["nats_per_character"] == pytest.approx(-np.log(0.6), abs=1e-4)
    assert lines.said(answer) == "ab[ ab ]  0.51 nats per character"


def test_an_empty_line_is_fed_and_not_answered(lines):
    stream = Reciting()
    assert lines.answer(stream, "") is None
    assert stream.heard == ["\n"]


def test_unknown_characters_are_the_letter_within_or_a_blank_and_named(lines):
    stream = Reciting()
    answer = lines.answer(stream, "éa\u20ac\u00e9")
    assert answer["unknown"] == ["é", "\u20ac"]
    assert stream.heard == ["e", "a", " ", "e", "\n"]


def test_typographic_signs_are_those_of_a_keyboard_and_accents_belong_to_their_letters():
    symbols = ("\n", " ", "a", "e", "'")
    lines = TextLines(SimpleNamespace(settings=SimpleNamespace(symbols=symbols)))
    ids, unknown = lines.known("ae\u0301 a\u2019e")
    assert "".join(symbols[number] for number in ids[:, 0]) == "ae a'e" and unknown == ["\u00e9", "\u2019"]
    # A model that was taught accents as characters of their own keeps them.
    apart = TextLines(SimpleNamespace(settings=SimpleNamespace(symbols=(*symbols, "\u0301"))))
    assert apart.known("e\u0301\u20ac")[0][:, 0].tolist() == [3, 5, 1]
