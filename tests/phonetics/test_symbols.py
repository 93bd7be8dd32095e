from streamrnn.phonetics import BLANK, IDS, PHONEMES, VOWELS


def test_there_are_39_phonemes_with_ids_after_the_blank_s():
    assert len(PHONEMES) == 39 and list(PHONEMES) == sorted(PHONEMES)
    assert sorted([BLANK, *IDS.values()]) == list(range(40))
    assert all(PHONEMES[number - 1] == phoneme for phoneme, number in IDS.items())
    assert len(VOWELS) == 15 and set(PHONEMES) >= VOWELS
