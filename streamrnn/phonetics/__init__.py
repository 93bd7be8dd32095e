"""Phonetics of English: the phonemes, and pronunciations of texts."""

from streamrnn.phonetics.pronunciations import Word, plain, ways_of, words_of
from streamrnn.phonetics.symbols import BLANK, IDS, PHONEMES, VOWELS

__all__ = ["BLANK", "IDS", "PHONEMES", "VOWELS", "Word", "plain", "ways_of", "words_of"]
