"""Evaluation of stream classifiers: the last answer, the answers along the way, and rejection of out-of-scope input."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.clips import named
from streamrnn.data.examples import items_of, read_examples, wanted_of
from streamrnn.decisions.metrics import best_f1
from streamrnn.evaluation.judging import OnProgress, unfit
from streamrnn.lines import LabelLines, PenLines, QueryLines, WordLines
from streamrnn.models import Classifier, Model
from streamrnn.runtime import Stream

ROWS = 256
ALONG = (0.25, 0.5, 0.75)


def evaluate_classifier(
    model: Model, places: Sequence[Path], split: str = "test", progress: OnProgress | None = None
) -> dict[str, Any]:
    """The lines, streaming and offline entries of streamrnn.evaluation.evaluate. Each example is a stream of its own.

    Metrics, if examples have one label: accuracy of the last answer, whatever its posterior, without out-of-scope
    examples; accuracy_after, that of the answers after a quarter, a half and three quarters of the items, rounded up;
    at the model's threshold: accuracy_given, where a missing answer counts as wrong, and stranger_recall, the share of
    out-of-scope examples without an answer. If they can have several: macro_f1 and micro_f1 of the last answers, with
    thresholds per label chosen on the part valid, and macro_f1_after.

    Raises:
        ValueError: it is not a classifier, the model lacks a label, there is no such part, or the part valid lacks a
            label, whose threshold is chosen there.
    """
    if not isinstance(model, Classifier):
        raise unfit("evaluate", model, "a classifier of streams")
    examples, lines = read_examples(places), _lines_of(model)
    judged = examples.part(split)
    frames, wanted = items_of(judged, lines.frames), wanted_of(judged, model.labels)
    figures = _several if model.settings.several else _one
    chosen: tuple[Any, ...] = ()
    if model.settings.several:
        valid = examples.part("valid")
        truth = wanted_of(valid, model.labels)
        if lacking := [model.labels[number] for number in np.flatnonzero(~truth.any(axis=0))]:
            raise ValueError(
                f"No example of the part valid, by which thresholds are chosen, has the label {named(lacking)}. Add "
                "some."
            )
        chosen = _scanned(model, items_of(valid, lines.frames)), truth
    ways = {"streaming": _streamed(model, frames, progress), "offline": _scanned(model, frames)}
    return {"lines": len(judged), **{name: figures(model, found, wanted, *chosen) for name, found in ways.items()}}


def _lines_of(model: Classifier) -> LabelLines:
    kind = WordLines if model.settings.several else QueryLines
    return (kind if model.settings.ids else PenLines)(model)


def _streamed(model: Classifier, frames: Sequence[np.ndarray], progress: OnProgress | None) -> list[np.ndarray]:
    stream, found = Stream(model), []
    for number, items in enumerate(frames, start=1):
        found.append(stream.process(items))
        stream.reset()
        if progress is not None:
            progress(number, len(frames))
    return found


def _scanned(model: Classifier, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    run = nnx.jit(lambda model, x: model.readout(aligned(model, x)))
    longest, found = max(map(len, frames)), []
    for begin in range(0, len(frames), ROWS):
        some = frames[begin : begin + ROWS]
        items = np.zeros((ROWS, longest, some[0].shape[1]), some[0].dtype)
        for row, of in zip(items, some, strict=False):
            row[: len(of)] = of
        posteriors = np.asarray(run(model, jnp.asarray(items)))
        found += [row[: len(of)] for row, of in zip(posteriors, some, strict=False)]
    return found


def _at(found: Sequence[np.ndarray], share: float) -> np.ndarray:
    """The answers after this share of the items."""
    return np.stack([answers[max(int(np.ceil(share * len(answers))), 1) - 1] for answers in found])


def _one(model: Classifier, found: Sequence[np.ndarray], wanted: np.ndarray) -> dict[str, Any]:
    known, posteriors = wanted.any(axis=1), _at(found, 1)

    def right(answers: np.ndarray) -> np.ndarray:
        return answers.argmax(axis=1)[known] == wanted.argmax(axis=1)[known]

    given = posteriors.max(axis=1) >= model.decision.threshold
    figures: dict[str, Any] = {}
    if known.any():
        figures["accuracy"] = float(right(posteriors).mean())
        figures["accuracy_after"] = {f"{share:g}": float(right(_at(found, share)).mean()) for share in ALONG}
        figures["accuracy_given"] = float((right(posteriors) & given[known]).mean())
    if not known.all():
        figures["stranger_recall"] = float(1 - given[~known].mean())
    return figures


def _several(
    model: Classifier, found: Sequence[np.ndarray], wanted: np.ndarray, valid: Sequence[np.ndarray], truth: np.ndarray
) -> dict[str, Any]:
    thresholds = np.array([best_f1(p, w)[1] for p, w in zip(_at(valid, 1).T, truth.T, strict=True)])

    def f1(answers: np.ndarray, axis: int | None) -> np.ndarray:
        given = answers >= thresholds
        return 2 * np.sum(given & wanted, axis) / np.maximum(np.sum(given, axis) + np.sum(wanted, axis), 1)

    last = _at(found, 1)
    return {
        "macro_f1": float(f1(last, 0).mean()),
        "micro_f1": float(f1(last, None)),
        "macro_f1_after": {f"{share:g}": float(f1(_at(found, share), 0).mean()) for share in ALONG},
        "per_label": {label: float(of) for label, of in zip(model.labels, f1(last, 0), strict=True)},
    }


__all__ = ["evaluate_classifier"]
