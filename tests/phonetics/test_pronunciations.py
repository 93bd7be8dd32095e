import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.phonetics import PHONEMES, numerals, pronunciations
from streamrnn.phonetics.pronunciations import dictionary_ways, plain, ways_of, words_of


def test_words_are_said_as_the_dictionary_has_them_without_stress():
    hey, computer = words_of("Hey, COMPUTER!")
    assert hey.ways == (("HH", "EY"),)
    assert computer.ways == (("K", "AH", "M", "P", "Y", "UW", "T", "ER"),)


def test_variants_are_kept_in_their_order():
    (the,) = words_of("the")
    assert the.ways[:2] == (("DH", "AH"), ("DH", "IY"))
    assert ways_of(words_of("the the"))[0] == ("DH", "AH", "DH", "AH")


@pytest.mark.parametrize(
    "text, said",
    [
        ("channel 42", "channel forty two"),
        ("1,250", "one thousand two hundred fifty"),
        ("3.05", "three point zero five"),
        ("007", "zero zero seven"),
        ("the 2ND of 21st and 20th", "the second of twenty first and twentieth"),
        ("1,000th and/or 5s", "one thousandth and or five s"),
        ("café-au-lait & 5%", "cafe au lait and five percent"),
        ("‘Don’t’ — stop...", "don't stop"),
        ("hey /n ow v ah/", "hey /n ow v ah/"),
    ],
)
def test_a_text_is_read_as_it_is_said(text, said):
    assert plain(text) == said


def test_sounds_between_slashes_are_taken_as_they_are():
    assert words_of("hey /N OW1 v ah0/")[1].ways == (("N", "OW", "V", "AH"),)


@pytest.mark.parametrize(
    "text, told",
    [
        ("hey zorblaxian", "'zorblaxian' in 'hey zorblaxian' is not in the dictionary"),
        ("привет", "CYRILLIC SMALL LETTER PE"),
        ("你好", "CJK UNIFIED IDEOGRAPH"),
        ("...", "no word to be said"),
        ("", "no word to be said"),
        ("/XX AH/", "'XX' in '/XX AH/' is no sound of English"),
        ("/ /", "slashes without sounds"),
        ("hey /N OW", "a slash at '/N' without its other half"),
        ("hey/N OW V AH/", "a slash at 'AH/' without its other half, or without a blank beside it"),
        ("$20", "'$' in '$20' is not said as it is written"),
        ("½ cup", "'½' in '½ cup' is not said as it is written"),
        (f"{10**12}", "can't be spelt"),
        # Within the second that a test may take, and without Python's own advice.
        (100_000 * "1", "11111... (100000 digits) can't be spelt"),
        (50_000 * "1," + "1st", "can't be spelt"),
    ],
)
def test_what_cannot_be_said_is_refused_and_named(text, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        words_of(text)


def test_a_missing_dictionary_names_its_extra(monkeypatch):
    monkeypatch.setattr(pronunciations, "find_spec", lambda name: None)
    pronunciations._dictionary.cache_clear()
    with pytest.raises(ImportError, match=re.escape("streamrnn[phrases]")):
        dictionary_ways("hello")
    monkeypatch.undo()
    pronunciations._dictionary.cache_clear()
    assert dictionary_ways("hello")


@pytest.mark.parametrize("number", [*range(1, 101), 1000, 1_000_000])
def test_every_ordinal_is_a_word_of_the_dictionary(number):
    assert words_of(numerals.ordinal(number)) == words_of(f"{number}th")


@given(st.integers(0, numerals.LARGEST - 1))
def test_every_number_is_spelt_in_words_that_can_be_said(number):
    said = numerals.cardinal(number)
    assert numerals.spelt(str(number)) == said
    assert all(sound in PHONEMES for word in words_of(said) for way in word.ways for sound in way)
