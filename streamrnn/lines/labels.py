"""Each line is a whole stream, and the answer its label: words of a query or a comment, points of a pen."""

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from streamrnn.lines.line import TYPED, Feeding, LineError, cells_of, numbers_of

WORDS = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
# Lengths of a word's character n-grams, with its boundaries marked.
GRAMS = (3, 4)
# Number of labels whose posteriors are reported.
LIKELIEST = 10


class LabelLines:
    """Lines that are streams of their own. The answer has the label and its posterior, at the end and after each item.

    Attributes:
        of_events: event settings, which do not apply to answers.

    Args:
        model: a Classifier.
        threshold: posterior below which no label is given ("" in the answer); None: the model's own.
        others: further event settings, ignored.
    """

    of_events = ("off_threshold", "smoothing_ms", "hand_over")

    def __init__(self, model: Any, threshold: float | None = None, **others: Any):
        self._settings, self._labels = model.settings, model.labels
        self._threshold = model.decision.threshold if threshold is None else threshold

    def items(self, line: str) -> list[str]:
        """The items of a line as text. Raises LineError if they are not valid."""
        raise NotImplementedError

    def frames(self, line: str) -> np.ndarray:
        raise NotImplementedError

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        if not line.strip():
            return None
        frames = self.frames(line)
        posteriors = np.concatenate([stream.process(frames), stream.flush()])
        stream.reset()
        after = [
            {"item": item, **self._label(posterior)}
            for item, posterior in zip(self.items(line), posteriors, strict=True)
        ]
        return {"line": line, **self._label(posteriors[-1]), "after": after}

    def said(self, answer: Mapping[str, Any]) -> str:
        labels = ", ".join(answer["labels"]) if "labels" in answer else answer["label"] or self.nothing
        settled = len(answer["after"])
        while settled > 1 and _labels(answer["after"][settled - 2]) == _labels(answer):
            settled -= 1
        after = f"settled after {settled} of {len(answer['after'])} items"
        return f"{labels}  {answer['confidence']:.2f}  {after}  {answer['line']}"

    nothing = "none"

    def told(self, posterior: np.ndarray) -> dict[str, Any]:
        """The answer for one output: the label, its posterior, and those of the most likely labels."""
        likeliest = np.argsort(-posterior, kind="stable")[:LIKELIEST]
        return {
            **self._label(posterior),
            "posteriors": {self._labels[number]: round(float(posterior[number]), 4) for number in likeliest},
        }

    def _label(self, posterior: np.ndarray) -> dict[str, Any]:
        best = int(np.argmax(posterior))
        found = {"confidence": round(float(posterior[best]), 4)}
        if self._settings.several:
            given = np.flatnonzero(posterior >= self._threshold)
            return {"labels": [self._labels[number] for number in given], **found}
        return {"label": self._labels[best] if posterior[best] >= self._threshold else "", **found}


def _labels(answer: Mapping[str, Any]) -> Any:
    return answer["labels"] if "labels" in answer else answer["label"]


class WordLines(LabelLines):
    """Items are words and punctuation. Each has its own id and those of its character n-grams, all hashed, so that no
    word is unknown: int32[words, features], 0 where there are fewer.
    """

    def items(self, line: str) -> list[str]:
        # Separate combining accents would be words of their own.
        if not (words := WORDS.findall(unicodedata.normalize("NFC", line))):
            raise LineError("it has no words")
        return words

    def frames(self, line: str) -> np.ndarray:
        s = self._settings
        return np.stack([hashed(self.spelt(word), s.ids, s.features) for word in self.items(line)])

    def spelt(self, word: str) -> str:
        """A word in the form that is hashed."""
        return word


class QueryLines(WordLines):
    """Queries; those outside of the model's labels are handed to a person."""

    nothing = "a person"

    def spelt(self, word: str) -> str:
        # The training queries have an apostrophe where phones type a quotation mark.
        return "".join(TYPED.get(sign, sign) for sign in word)


class PenLines(LabelLines):
    """Items are points of a pen, numbers 0 to 100 separated by commas: x, y, x, y, ...; a seventeenth number after
    eight points is a label, as in the files of pendigits, and ignored.
    """

    def items(self, line: str) -> list[str]:
        return [f"{x:g},{y:g}" for x, y in self._points(line)]

    def frames(self, line: str) -> np.ndarray:
        return (self._points(line) - 50) / np.float32(50)

    def _points(self, line: str) -> np.ndarray:
        cells = cells_of(line.strip().rstrip(","))
        if len(cells) == 17:
            del cells[-1]
        if len(cells) % 2:
            raise LineError(
                f"it has {len(cells)} number{'s' * (len(cells) != 1)}; a point has two, and the last one is not whole"
            )
        points = numbers_of(cells, len(cells), "a stroke").reshape(-1, 2)
        if np.isnan(points).any() or np.abs(points).max() > 1000:
            raise LineError("a number is missing or far out of 0 to 100")
        return points


def hashed(word: str, ids: int, width: int) -> np.ndarray:
    """The ids of a word and its n-grams, 1 to ids - 1, int32[width]; padded with 0, or truncated."""
    found = list(_ids(_parts(word.lower()), ids))[:width]
    return np.array(found + [0] * (width - len(found)), np.int32)


def _ids(parts: Iterator[str], ids: int) -> Iterator[int]:
    return (1 + zlib.crc32(part.encode("utf-8", "surrogatepass")) % (ids - 1) for part in parts)


def _parts(word: str) -> Iterator[str]:
    marked = f"<{word}>"
    yield marked
    for size in GRAMS:
        yield from (marked[start : start + size] for start in range(len(marked) - size + 1) if len(marked) > size)


def labels_of(examples: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All labels of examples, sorted."""
    return tuple(sorted({label for labels in examples for label in labels}))


__all__ = ["LabelLines", "PenLines", "QueryLines", "WordLines", "hashed", "labels_of"]
