"""The output symbols of a transcribing model: characters, or whole words."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Alphabet:
    """Converts text to symbol ids and back. Id 0 is CTC's blank (a transducer's "no symbol"); ids of `symbols` start at
    1.

    If any symbol is longer than one character, symbols are whole words ("zero", "one", ...). Otherwise they are
    characters, and " " separates words, so texts of several words need it among the symbols.

    Case and the Unicode form of a text don't matter. Decoded text is spelled like the symbols.

    Attributes:
        symbols: all different, none empty; words contain no space.

    Raises:
        ValueError: a symbol is empty or repeated, or a word contains a space.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        unusable = [symbol for symbol in self.symbols if not symbol or (self.is_words and symbol.split() != [symbol])]
        if not self.symbols or unusable or len(self._ids) != len(self.symbols):
            raise ValueError(
                f"Alphabet got the symbols {self.symbols}; it needs at least one, all different regardless of case, "
                "and all of them characters or words without spaces. Drop or change the others."
            )

    @cached_property
    def is_words(self) -> bool:
        """Whether symbols are whole words: any of them is longer than one character."""
        return any(len(symbol) > 1 for symbol in self.symbols)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, from 1 on; words are separated by any white space.

        Raises:
            ValueError: the text has characters or words that are not symbols; the message names them.
        """
        words = _normalised(text).split()
        pieces = words if self.is_words else list(" ".join(words))
        unknown = [piece for piece in dict.fromkeys(pieces) if piece not in self._ids]
        if unknown:
            raise ValueError(
                f"Alphabet.encode got {text!r} with {', '.join(map(repr, unknown))}, not among its "
                f"{len(self.symbols)} symbols. Add them to the symbols, or omit such texts."
            )
        return [self._ids[piece] for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        """The text for ids from 1 on, words separated by single spaces.

        Raises:
            ValueError: an id is out of range; blanks have no text.
        """
        ids = list(ids)
        if not all(1 <= i <= len(self.symbols) for i in ids):
            raise ValueError(f"Alphabet.decode got the ids {ids}; they must be 1 to {len(self.symbols)}. Drop blanks.")
        text = (" " if self.is_words else "").join(self.symbols[i - 1] for i in ids)
        return " ".join(text.split())

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {_normalised(symbol): index for index, symbol in enumerate(self.symbols, start=1)}


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())


__all__ = ["Alphabet"]
