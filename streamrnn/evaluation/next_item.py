"""Evaluation of models of the next item: nats per item, and the keystrokes that completions save."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data.series import read_text
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.lines import TextLines
from streamrnn.models import Model, NextItem
from streamrnn.runtime import Stream, run_file

PIECE_ITEMS = 1000
# Completions are computed for each of these characters, which takes some steps.
TYPED_CHARACTERS = 4000


def evaluate_next_item(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate.

    The part is one stream, whose state is never reset. Figures: nats_per_item, the cross-entropy of what came next;
    keystrokes_saved, the share of the first 4,000 characters that nobody types who takes a completion, for one key,
    wherever it is right and longer than that key.

    Raises:
        ValueError: it is not such a model, there is no such part, or it is too short.
    """
    if not isinstance(model, NextItem):
        raise unfit("evaluate", model, "a model of the next item")
    text, lines = read_text(places), TextLines(model)
    part = text.files.part_of(text.parts, split)
    ids, stream, found = lines.frames(part), Stream(model), []
    if len(ids) < 2:
        told = f"Part {split!r} of the text has fewer than two characters, so that nothing comes next to be judged."
        raise ValueError(f"{told} Pass a longer text.")
    for begin in range(0, len(ids), PIECE_ITEMS):
        found.append(stream.process(ids[begin : begin + PIECE_ITEMS]))
        if progress is not None:
            progress(min(begin + PIECE_ITEMS, len(ids)), len(ids))
    live, saved = np.concatenate(found), keystrokes_saved(lines, Stream(model), part[:TYPED_CHARACTERS])
    return {
        "lines": part.count("\n"),
        "streaming": {"nats_per_item": _nats(live, ids), "keystrokes_saved": saved},
        "offline": {"nats_per_item": _nats(run_file(model, ids), ids)},
    }


def keystrokes_saved(lines: TextLines, stream: Stream, text: str) -> float:
    """The share of a text that need not be typed: see `evaluate_next_item`."""
    text = lines.composed(text)
    typed, place, ids = 0, 0, lines.frames(text)
    while place < len(text):
        typed += 1
        expected = stream.process(ids[place : place + 1])[-1]
        place += 1
        offered = lines.completion(stream, expected)
        if len(offered) > 1 and text.startswith(offered, place):
            typed += 1
            stream.process(ids[place : place + len(offered)])
            place += len(offered)
    return 1 - typed / max(len(text), 1)


def _nats(probabilities: np.ndarray, ids: np.ndarray) -> float:
    came = probabilities[np.arange(len(ids) - 1), ids[1:, 0]]
    return float(-np.log(np.maximum(came, 1e-30)).mean())


__all__ = ["evaluate_next_item", "keystrokes_saved"]
