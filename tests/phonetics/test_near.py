import numpy as np

from streamrnn.phonetics.near import near_phrases, near_words, phoneme_distance

COMPUTER = ("K", "AH", "M", "P", "Y", "UW", "T", "ER")


def test_the_distance_counts_sounds_that_change_and_less_those_that_are_alike():
    assert phoneme_distance(COMPUTER, COMPUTER) == 0
    assert phoneme_distance(("B", "AE", "D"), ("P", "AE", "D")) == 0.5 / 3
    assert phoneme_distance(("B", "AE", "D"), ("B", "AE")) == phoneme_distance(("B", "AE"), ("B", "AE", "D")) == 1 / 3
    assert phoneme_distance(("S",), ("M",)) == 1


def test_near_words_sound_alike_and_none_has_the_word_in_it():
    found = near_words(COMPUTER, 20)
    assert len(found) == 20 and {"commuter", "compute"} <= {*found}
    assert not {"computer", "computers", "minicomputer"} & {*found}


def test_near_phrases_have_its_parts_and_other_words_in_its_places():
    found = near_phrases("hey computer", 40, np.random.default_rng(0))
    assert {"hey", "computer", "computer hey"} <= {*found} and "hey computer" not in found
    assert any(
        one.startswith("hey ") and one != "hey computer"
        for one in near_phrases("hey computer", 120, np.random.default_rng(0))
    )
    assert "commuter" in near_phrases("computer", 10, np.random.default_rng(0))
