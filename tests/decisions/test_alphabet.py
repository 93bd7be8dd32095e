"""Texts to symbol ids and back."""

import hypothesis
import hypothesis.strategies as st
import pytest

from streamrnn.decisions import Alphabet

DIGITS = Alphabet(("zero", "one", "two"))
LETTERS = Alphabet(("a", "b", "'", " "))


def test_ids_count_from_one_because_zero_is_the_blank():
    assert DIGITS.encode("zero one two") == [1, 2, 3]
    assert LETTERS.encode("ab a'") == [1, 2, 4, 1, 3]


def test_symbols_longer_than_a_character_are_words():
    assert DIGITS.is_words
    assert not LETTERS.is_words
    assert Alphabet(("a", "be")).encode("a be a") == [1, 2, 1]


@hypothesis.given(st.lists(st.integers(1, 3)))
def test_ids_of_words_survive_the_way_through_text(ids):
    assert DIGITS.encode(DIGITS.decode(ids)) == ids


@hypothesis.given(st.lists(st.integers(1, 4)))
def test_the_text_of_characters_is_normal_whatever_the_ids(ids):
    text = LETTERS.decode(ids)
    assert text == " ".join(text.split())
    assert LETTERS.decode(LETTERS.encode(text)) == text


def test_case_and_unicode_form_do_not_matter_and_text_comes_back_as_the_symbols_are_spelled():
    names = Alphabet(("Zoe\u0308", "IDA"))
    assert names.encode("ZO\u00cb ida\n") == [1, 2]
    assert names.decode([1, 2]) == "Zoe\u0308 IDA"


def test_unknown_words_and_characters_are_named_once_each():
    with pytest.raises(ValueError, match=r"'one nine nine ten' with 'nine', 'ten', not among its 3 symbols"):
        DIGITS.encode("one nine nine ten")
    with pytest.raises(ValueError, match="with 'c', '7', not"):
        LETTERS.encode("a c7c")


def test_several_words_of_characters_need_a_space_among_the_symbols():
    with pytest.raises(ValueError, match="with ' ', not"):
        Alphabet(("a", "b")).encode("a b")


@pytest.mark.parametrize("ids", [[0], [1, 4], [-1]])
def test_ids_out_of_range_have_no_text(ids):
    with pytest.raises(ValueError, match="must be 1 to 3"):
        DIGITS.decode(ids)


@pytest.mark.parametrize("symbols", [(), ("a", ""), ("one", "One"), ("one", "two three"), ("one", " ")])
def test_symbols_that_are_ambiguous_are_refused(symbols):
    with pytest.raises(ValueError, match="Alphabet got the symbols"):
        Alphabet(symbols)
