"""Keyword models in audits: which word they detect in a clip of one word."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.audit.telling import Floats, Told, answers_of
from streamrnn.data import Clip
from streamrnn.decisions import smooth_posteriors, word_classes
from streamrnn.decisions.keywords import UNKNOWN
from streamrnn.evaluation.judging import require, scan_clip
from streamrnn.evaluation.keywords import words_of
from streamrnn.models import Model

SURE, MOST_TOLD = 1e-6, 3


class WordTeller:
    """Reports the accuracy. A clip's class is that of its highest smoothed posterior, as in evaluation; labels that are
    not words of the model count as unknown.

    The probabilities of a clip are the highest smoothed posteriors of all classes but silence, normalised to sum to 1;
    the loss is their cross-entropy, in nats. An answer is the most confident word of a clip, if it reaches the
    threshold.
    """

    figure, higher_is_better, answers = "accuracy", True, "word"

    def __init__(self, model: Model, folders: Sequence[Path]):
        require(model, "keyword", "an audit of keywords", "a keyword model")
        self.model, self.labels = model, model.labels
        self.smoothing = model.decision.smoothing_frames(model.frame_s)
        self.words, self._others = words_of(model), set[str]()

    def _warn(self, label: str) -> None:
        """Warns once for each label that is not a word, as long as they are few."""
        if label in (*self.words, UNKNOWN, *self._others) or len(self._others) == MOST_TOLD:
            return
        self._others.add(label)
        warnings.warn(
            f"{label!r} is none of the model's words and counts as {UNKNOWN!r}: right is that none of them is heard. "
            "How well it is heard, only a model tells that knows it.",
            AudioWarning,
            stacklevel=3,
        )

    def tell(self, clip: Clip) -> Told | None:
        if not clip.label:
            return None
        truth = self.labels.index(clip.label if clip.label in self.words else UNKNOWN) - 1
        self._warn(clip.label)
        smoothed = smooth_posteriors(scan_clip(self.model, clip), self.smoothing)
        highest, words = smoothed.max(axis=0), word_classes(self.labels)
        word = max(words, key=lambda each: highest[each])
        told = class_told(highest[1:], truth)
        if highest[word] < self.model.decision.threshold:
            return told
        return replace(told, confidences=highest[[word]], right=np.array([self.labels[word] == clip.label]))

    def of(self, sums: Floats) -> Floats:
        return ratio(sums)


class LabelTeller:
    """Reports the accuracy of models of labels (LabelSettings): a clip's class is that of the highest mean posterior.

    Clips of other labels are left out. The loss is that of WordTeller; an answer is a label that the decoder emits.
    """

    figure, higher_is_better, answers = "accuracy", True, "label"

    def __init__(self, model: Model, folders: Sequence[Path]):
        require(model, "label", "an audit of labels", "a model that gives labels")
        self.model = model

    def tell(self, clip: Clip) -> Told | None:
        if clip.label not in self.model.labels:
            return None
        outputs = scan_clip(self.model, clip)
        told = class_told(outputs.mean(axis=0), self.model.labels.index(clip.label))
        found = [event for event in answers_of(self.model, outputs) if event.answers]
        right = np.array([event.label == clip.label for event in found], bool)
        return replace(told, confidences=np.array([event.score for event in found]), right=right)

    def of(self, sums: Floats) -> Floats:
        return ratio(sums)


def class_told(scores: np.ndarray, truth: int) -> Told:
    """Evaluates class scores, [classes], each in [0, 1], against the true class."""
    p = np.clip(np.asarray(scores, np.float64), SURE, 1)
    p = p / p.sum()
    heard = int(np.argmax(p))
    return Told(np.array([heard == truth, 1.0]), -float(np.log(p[truth])))


def ratio(sums: Floats) -> Floats:
    """sums[..., 0] / sums[..., 1]: a mean, a share or an error rate."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


__all__ = ["LabelTeller", "WordTeller", "class_told", "ratio"]
