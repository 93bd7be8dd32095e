"""Lines that are whole streams: words by hashed n-grams, points of a pen, and what is answered."""

from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.lines import LineError, PenLines, QueryLines, WordLines, hashed


def made(kind, *, several=False, threshold=0.5, labels=("a", "b")):
    settings = SimpleNamespace(several=several, ids=500, features=6)
    model = SimpleNamespace(settings=settings, labels=labels, decision=SimpleNamespace(threshold=0.9))
    return kind(model, threshold=threshold)


class Growing:
    """A stream that is surer of the first label with every item."""

    def process(self, items):
        sure = np.arange(1, len(items) + 1) / len(items) * 0.8
        return np.stack([sure, 1 - sure], axis=1)

    def flush(self):
        return np.zeros((0, 2))

    def reset(self):
        self.was_reset = True


def test_a_word_has_its_own_id_and_those_of_its_parts():
    ids = hashed("Walked", 10_000, 20)
    assert np.array_equal(ids, hashed("walked", 10_000, 20))
    # The word, 6 n-grams of three of <walked> and 5 of four.
    assert np.count_nonzero(ids) == 1 + 6 + 5 and ids.max() < 10_000
    assert len(set(ids[ids > 0]) & set(hashed("walker", 10_000, 20))) == 4 + 3
    assert np.count_nonzero(hashed("a", 10_000, 20)) == 1


def test_words_and_signs_are_items_whatever_is_in_them():
    lines = made(WordLines)
    found = lines.items("Don't, \u201cNaïve\u201d 3.5 \ufffd!")
    assert found == ["Don't", ",", "\u201c", "Naïve", "\u201d", "3", ".", "5", "\ufffd", "!"]
    assert lines.frames("new words 東京 zzzz").shape == (4, 6)
    for empty in ("\u00a0\u3000", "  "):
        with pytest.raises(LineError, match="it has no words"):
            lines.frames(empty)
    assert lines.answer(Growing(), "  ") is None


def test_the_answer_has_the_label_after_every_item():
    stream, lines = Growing(), made(QueryLines)
    answer = lines.answer(stream, "send a card")
    assert (answer["label"], answer["confidence"], stream.was_reset) == ("a", 0.8, True)
    assert [(after["item"], after["label"]) for after in answer["after"]] == [("send", "b"), ("a", "a"), ("card", "a")]
    assert lines.said(answer) == "a  0.80  settled after 2 of 3 items  send a card"


def test_a_query_that_is_no_known_one_goes_to_a_person():
    lines = made(QueryLines, threshold=0.81)
    answer = lines.answer(Growing(), "what is love")
    assert answer["label"] == "" and lines.said(answer).startswith("a person  0.80")


def test_a_threshold_that_was_not_given_is_the_model_s():
    assert made(QueryLines, threshold=None).answer(Growing(), "hello")["label"] == ""


def test_several_labels_are_all_that_reach_the_threshold():
    answer = made(WordLines, several=True, threshold=0.15).answer(Growing(), "well well")
    assert answer["labels"] == ["a", "b"] and answer["after"][0]["labels"] == ["a", "b"]
    assert "a, b" in made(WordLines, several=True).said(answer)


def test_points_are_read_with_and_without_the_digit_behind_them():
    lines, row = made(PenLines), "0,100, 50,50," + ",".join(["25"] * 12)
    np.testing.assert_array_equal(lines.frames(row)[:3], [[-1, 1], [0, 0], [-0.5, -0.5]])
    assert lines.frames(row).shape == lines.frames(row + ",8").shape == (8, 2)
    assert lines.answer(Growing(), "0,0,10,20")["after"][1]["item"] == "10,20"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,3", "a point has two, and the last one is not whole"),
        ("1,up", "'up' stands where a number belongs"),
        ("1,,2,3", "missing or far out of 0 to 100"),
        ("1,2000", "missing or far out of 0 to 100"),
    ],
)
def test_a_stroke_that_is_none_says_what_is_wrong(line, said):
    with pytest.raises(LineError, match=said):
        made(PenLines).frames(line)


def test_words_are_the_same_however_their_accents_and_apostrophes_were_typed():
    lines = made(QueryLines)
    assert lines.items("cafe\u0301 near me") == ["caf\u00e9", "near", "me"]
    np.testing.assert_array_equal(lines.frames("what\u2019s up"), lines.frames("what's up"))


def test_points_in_quotes_are_read_as_in_tables():
    np.testing.assert_array_equal(made(PenLines).frames('"0","100"'), made(PenLines).frames("0,100"))
