"""Lines of one continuous text: how likely each was, and how it might continue."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamrnn.lines.line import TYPED, Feeding

# Letters of the longest completion.
LONGEST_COMPLETION = 24
# Replaces unknown characters that have no known base character.
BLANK = " "


class TextLines:
    """The lines of a text, in order. The answer has the characters that may come next, the most likely rest of the
    word, and the line's nats per character.

    Unknown characters are replaced by their base letter (é by e), by the keyboard's equivalent (’ by '), or by a blank;
    the answer lists them.

    Args:
        model: a NextItem of characters.
    """

    def __init__(self, model: Any):
        self.symbols: tuple[str, ...] = model.settings.symbols
        self._ids = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._expected: np.ndarray | None = None

    def frames(self, line: str) -> np.ndarray:
        return self.known(line)[0]

    def known(self, text: str) -> tuple[np.ndarray, list[str]]:
        """The ids of a text, int32[characters, 1], and its unknown characters."""
        text = self.composed(text)
        unknown = self._unknown(text)
        plain = {character: self._plain(character) for character in unknown}
        ids = [self._ids[plain.get(character, character)] for character in text]
        return np.array(ids, np.int32).reshape(-1, 1), unknown

    def composed(self, text: str) -> str:
        """The text in the form that is read: separate combining accents, which would become blanks within words if
        unknown, are composed with their letters.
        """
        unknown, composed = self._unknown(text), unicodedata.normalize("NFC", text)
        return composed if unknown and len(self._unknown(composed)) <= len(unknown) else text

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        ids, unknown = self.known(line)
        end = self.known("\n")[0]
        outputs = stream.process(ids)
        said = None if not line else self._told(stream, line, ids, outputs, unknown)
        self._expected = stream.process(end)[-1]
        return said

    def said(self, answer: Mapping[str, Any]) -> str:
        nats = answer["nats_per_character"]
        told = "" if nats is None else f"  {nats:.2f} nats per character"
        return f"{answer['line']}[{answer['completion']}]{told}"

    def completion(self, stream: Feeding, expected: np.ndarray) -> str:
        """The most likely rest of the word, with the blank that ends it; the stream is left unchanged."""
        before, text = stream.snapshot(), ""
        while len(text) < LONGEST_COMPLETION:
            best = int(np.argmax(expected))
            symbol = self.symbols[best]
            if symbol == "\n":
                break
            text += symbol
            # If a blank comes first, the word is complete, and the next one begins.
            if not (symbol.isalnum() or symbol == "'") and len(text) > 1:
                break
            expected = stream.process(np.array([[best]], np.int32))[-1]
        stream.restore(before)
        return text

    def _told(
        self, stream: Feeding, line: str, ids: np.ndarray, outputs: np.ndarray, unknown: Sequence[str]
    ) -> dict[str, Any]:
        first = [] if self._expected is None else [self._expected]
        expected = np.concatenate([np.reshape(first, (-1, outputs.shape[1])), outputs[:-1]])
        likely = expected[np.arange(len(expected)), ids[len(ids) - len(expected) :, 0]]
        nats = float(-np.log(np.maximum(likely, 1e-30)).mean()) if len(likely) else None
        next_ones = np.argsort(-outputs[-1])[:3]
        return {
            "line": line,
            "completion": self.completion(stream, outputs[-1]),
            "next": {self.symbols[n]: round(float(outputs[-1][n]), 4) for n in next_ones},
            "nats_per_character": None if nats is None else round(nats, 4),
            **({"unknown": list(unknown)} if unknown else {}),
        }

    def _unknown(self, text: str) -> list[str]:
        return [character for character in dict.fromkeys(text) if character not in self._ids]

    def _plain(self, character: str) -> str:
        for part in unicodedata.normalize("NFKD", TYPED.get(character, character)):
            if part in self._ids:
                return part
        return BLANK if BLANK in self._ids else self.symbols[0]


__all__ = ["LONGEST_COMPLETION", "TextLines"]
