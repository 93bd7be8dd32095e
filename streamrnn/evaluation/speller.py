"""Evaluation of spelling models: word and phoneme error rates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.pronunciations import read_pronunciations
from streamrnn.decisions.errors import ErrorRate, token_errors
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.lines import SpellingLines, searched
from streamrnn.models import Model, Speller
from streamrnn.runtime import Stream

ROWS = 256


def evaluate_speller(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate.

    Figures: word_error_rate, the share of words whose phonemes are none of the word's pronunciations; and
    phoneme_error_rate, the edits to the closest one per phoneme of it.

    Raises:
        ValueError: it is not such a model, or there is no such part.
    """
    if not isinstance(model, Speller):
        raise unfit("evaluate", model, "a model of spelling")
    found, lines = read_pronunciations(places), SpellingLines(model)
    part = found.files.part_of(found.parts, split)
    words, said = list(part), list(part.values())
    stream, live = Stream(model), []
    for number, word in enumerate(words, start=1):
        answer = lines.answer(stream, word)
        # For an entry of several words, all of them.
        live.append(tuple(phoneme for of in (answer or {"words": ()})["words"] for phoneme in of["phonemes"]))
        if progress is not None:
            progress(number, len(words))
    return {
        "lines": len(words),
        "streaming": _figures(live, said),
        "offline": _figures(_scanned(model, [lines.frames(word) for word in words]), said),
    }


def _scanned(model: Speller, frames: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
    run = nnx.jit(lambda model, x: model.readout(aligned(model, x)))
    longest, found = max(map(len, frames)), []
    for begin in range(0, len(frames), ROWS):
        some = frames[begin : begin + ROWS]
        letters = np.zeros((ROWS, longest, 1), np.int32)
        for row, of in zip(letters, some, strict=False):
            row[: len(of)] = of
        posteriors = np.asarray(run(model, jnp.asarray(letters)))
        for row, of in zip(posteriors, some, strict=False):
            found.append(tuple(model.settings.phonemes[number - 1] for number in searched(row[: len(of)])))
    return found


def _figures(found: Sequence[tuple[str, ...]], said: Sequence[list[tuple[str, ...]]]) -> dict[str, Any]:
    edits = ErrorRate()
    for phonemes, ways in zip(found, said, strict=True):
        edits += min((token_errors(way, phonemes) for way in ways), key=lambda errors: errors.rate)
    wrong = [phonemes not in ways for phonemes, ways in zip(found, said, strict=True)]
    return {"word_error_rate": float(np.mean(wrong)), "phoneme_error_rate": edits.rate}


__all__ = ["evaluate_speller"]
