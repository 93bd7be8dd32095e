"""Evaluation of keywords: classification of clips with a word, and false alarms in sound without one."""

import dataclasses
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.data import Clip
from streamrnn.data.labels import warn_of_other_labels
from streamrnn.data.word_rows import label_of
from streamrnn.decisions import (
    DetectionPoint,
    accuracy,
    accuracy_per_class,
    bootstrap_interval,
    clip_class,
    detection_curve,
    peak_scores,
    smooth_posteriors,
    word_classes,
)
from streamrnn.decisions.keywords import UNKNOWN
from streamrnn.evaluation.judging import OnProgress, judge_all, require, require_judged, scan_clip, stream_clip
from streamrnn.models import Model

THRESHOLDS = tuple(percent / 100 for percent in range(5, 100, 5))


@dataclass(frozen=True)
class Hearing:
    """A model's result for a clip, of a streaming or an offline run.

    Attributes:
        label: the class of the highest smoothed posterior.
        word_score: highest smoothed posterior of the clip's own word; None for a clip without a word.
        alarms: scores of the false alarms in a clip without a word.
    """

    label: str
    word_score: float | None
    alarms: tuple[float, ...]


@dataclass(frozen=True)
class JudgedClip:
    clip: Clip
    streaming: Hearing
    offline: Hearing
    duration_s: float


def evaluate_keywords(
    model: Model,
    folders: Sequence[Path],
    clips: Sequence[Clip],
    progress: OnProgress | None = None,
    negatives: Sequence[Clip] = (),
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate.

    A clip's class is that of its highest smoothed posterior after its end. Clips of `folders` whose label is none of
    the words count as "unknown", and an AudioWarning names these labels. Another one counts clips and negatives that
    are left out, as one of the words is said in their talk. Figures: accuracy, accuracy_interval
    (95 %, bootstrap over speakers, or over clips if speakers are unknown), per_class
    (label -> accuracy), confusions (label -> what was heard -> clips) and detection: the hours of sound without a word
    (clips of unknown words, and negatives), and the curve: for each threshold the share of words missed, false alarms
    per hour, and without false alarms the 95 % upper bound of their rate.

    Raises:
        ValueError: it is not a keyword model, or no clip has one of its words as label.
        AudioError: no clip, or none of a word, could be read.
    """
    require(model, "keyword", "evaluate keywords", "a keyword model")
    words = words_of(model)
    if not any(clip.label in words for clip in clips):
        labels = ", ".join(sorted({clip.label for clip in clips if clip.label})[:20]) or "none"
        raise ValueError(
            f"No clip has one of the model's words as label. Words: {', '.join(words)}. Labels of the "
            f"clips: {labels}. Pass recordings of these words, or the --model that knows these labels."
        )
    clips, negatives = _without_talk_of(words, clips), _without_talk_of(words, negatives)
    warn_of_other_labels(clips, words, "count")
    judged, left_out = judge_all([*clips, *negatives], lambda clip: _judge(model, clip), progress)
    require_judged(any(one.streaming.word_score is not None for one in judged), left_out, "a word")
    return {
        "clips": len(judged),
        "streaming": _figures([(clip, clip.streaming) for clip in judged], set(clips)),
        "offline": _figures([(clip, clip.offline) for clip in judged], set(clips)),
        **left_out,
    }


def _without_talk_of(words: Sequence[str], clips: Sequence[Clip]) -> list[Clip]:
    """Leaves out talk that contains a word: detecting it there is not wrong, but it is no clip of the word either."""
    numbers = dict.fromkeys(words, 0)
    kept = [clip for clip in clips if label_of(clip, numbers, is_of_words=False) is not None]
    if len(kept) < len(clips):
        told = f"{len(clips) - len(kept)} of {len(clips)} recordings are left out, as a word is said in their talk."
        warnings.warn(told, AudioWarning, stacklevel=3)
    return kept


def words_of(model: Model) -> list[str]:
    """The words of a keyword model, exported ones too: all of its labels that can be detected."""
    return [model.labels[number] for number in word_classes(model.labels)]


def _judge(model: Model, clip: Clip) -> JudgedClip:
    streamed, _, duration_s = stream_clip(model, clip)
    return JudgedClip(clip, _heard(model, clip, streamed), _heard(model, clip, scan_clip(model, clip)), duration_s)


def _heard(model: Model, clip: Clip, posteriors: np.ndarray) -> Hearing:
    decision, labels = model.decision, model.labels
    smoothing = decision.smoothing_frames(model.frame_s)
    smoothed = smooth_posteriors(posteriors, smoothing)
    heard = labels[clip_class(posteriors, smoothing)[0]]
    if clip.label in words_of(model):
        return Hearing(heard, float(smoothed[:, labels.index(clip.label)].max()), ())
    highest = smoothed[:, word_classes(labels)].max(axis=1)
    return Hearing(heard, None, tuple(peak_scores(highest, decision.refractory_frames(model.frame_s))))


def _figures(judged: Sequence[tuple[JudgedClip, Hearing]], classified: Collection[Clip]) -> dict[str, Any]:
    asked = [(j.clip, h) for j, h in judged if j.clip in classified]
    answers = [(h.label, UNKNOWN if h.word_score is None else clip.label) for clip, h in asked]
    heard, truth = ([answer[side] for answer in answers] for side in (0, 1))
    figures: dict[str, Any] = {
        "accuracy": accuracy(heard, truth),
        "accuracy_interval": list(bootstrap_interval(*_by_speaker([clip for clip, _ in asked], answers))),
        "per_class": accuracy_per_class(heard, truth),
        "confusions": confusions(heard, truth),
    }
    hours = sum(j.duration_s for j, h in judged if h.word_score is None) / 3600
    if hours > 0:
        scores = [h.word_score for _, h in judged if h.word_score is not None]
        alarms = [alarm for _, h in judged for alarm in h.alarms]
        curve = detection_curve(scores, alarms, hours, THRESHOLDS)
        figures["detection"] = {"hours": hours, "curve": [_point(point) for point in curve]}
    return figures


def confusions(heard: Sequence[str], truth: Sequence[str]) -> dict[str, dict[str, int]]:
    """For each true class, in alphabetical order, the clips by what was heard, the most frequent first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for label, answer in zip(truth, heard, strict=True):
        found[label][answer] += 1
    return {label: dict(found[label].most_common()) for label in sorted(found)}


def _by_speaker(clips: Sequence[Clip], answers: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Correct answers and clips of each speaker, since clips of one speaker are not independent."""
    right: dict[str | int, list[bool]] = defaultdict(list)
    for number, (clip, (heard, truth)) in enumerate(zip(clips, answers, strict=True)):
        right[clip.speaker or number].append(heard == truth)
    return [sum(of_speaker) for of_speaker in right.values()], [len(of_speaker) for of_speaker in right.values()]


def _point(point: DetectionPoint) -> dict[str, float | None]:
    return {
        **dataclasses.asdict(point),
        "false_alarms_per_hour": point.false_alarms_per_hour,
        "bound_per_hour": point.bound_per_hour,
    }


__all__ = ["confusions", "evaluate_keywords", "words_of"]
