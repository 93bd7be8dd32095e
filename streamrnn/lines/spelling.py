"""Spelt words and their phonemes."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamrnn.lines.line import TYPED, Feeding, LineError

# Frames per letter, the first of which has its id: a letter can yield that many phonemes.
FRAMES_PER_LETTER = 2
# Hypotheses that the search keeps.
BEAM = 8


class SpellingLines:
    """A line is one or more words, each a stream of its own. The answer has the phonemes of each word.

    Unknown signs are dropped; unknown letters lose their accents, and ligatures become their letters.

    Args:
        model: a Speller.
    """

    def __init__(self, model: Any):
        settings = model.settings
        self._phonemes: tuple[str, ...] = settings.phonemes
        self._ids = {letter: number for number, letter in enumerate(settings.letters, start=1)}

    def frames(self, line: str) -> np.ndarray:
        ids = [self._ids[letter] for letter in self._letters(line)]
        if not ids:
            raise LineError(f"{line[:40]!r} has no letter that the model knows")
        frames = np.zeros((len(ids), FRAMES_PER_LETTER), np.int32)
        frames[:, 0] = ids
        return frames.reshape(-1, 1)

    def answer(self, stream: Feeding, line: str) -> dict[str, Any] | None:
        words = line.split()
        fed = [self.frames(word) for word in words]
        if not words:
            return None
        said = []
        for frames in fed:
            posteriors = np.concatenate([stream.process(frames), stream.flush()])
            stream.reset()
            said.append([self._phonemes[number - 1] for number in searched(posteriors)])
        return {"words": [{"word": word, "phonemes": of} for word, of in zip(words, said, strict=True)]}

    def said(self, answer: Mapping[str, Any]) -> str:
        return "  ".join(f"{of['word']}: {' '.join(of['phonemes'])}" for of in answer["words"])

    def _letters(self, word: str) -> str:
        known = "".join(letter for letter in word if letter in self._ids)
        if len(known) == len(word):
            return word
        composed = unicodedata.normalize("NFC", word.lower())
        return "".join(part for letter in composed for part in self._parts(letter) if part in self._ids)

    def _parts(self, letter: str) -> str:
        """A known letter itself; otherwise its parts: a ligature's letters, a syllable's sounds."""
        if letter in self._ids:
            return letter
        return unicodedata.normalize("NFKD", TYPED.get(letter, letter).casefold())


def searched(posteriors: np.ndarray, beam: int = BEAM) -> list[int]:
    """The most likely ids for posteriors [frames, 1 + ids], whose first is CTC's blank, by prefix beam search.

    Source: Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional
    recurrent DNNs", algorithm 1, without a language model.
    """
    # prefix -> probabilities of paths that end in the blank, and in the last id.
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for frame in posteriors.astype(float):
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        candidates = [int(number) for number in np.flatnonzero(frame > 1e-3) if number]
        for prefix, (blank, last) in prefixes.items():
            _add(grown, prefix, (blank + last) * frame[0], last * frame[prefix[-1]] if prefix else 0.0)
            for number in candidates:
                again = prefix and number == prefix[-1]
                _add(grown, (*prefix, number), 0.0, (blank if again else blank + last) * frame[number])
        best = sorted(grown.items(), key=lambda item: -sum(item[1]))[:beam]
        whole = math.fsum(sum(of) for _, of in best) or 1.0
        prefixes = {prefix: (blank / whole, last / whole) for prefix, (blank, last) in best}
    return list(max(prefixes.items(), key=lambda item: sum(item[1]))[0])


def _add(grown: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], blank: float, last: float) -> None:
    before = grown.get(prefix, (0.0, 0.0))
    grown[prefix] = (before[0] + blank, before[1] + last)


__all__ = ["BEAM", "FRAMES_PER_LETTER", "SpellingLines", "searched"]
