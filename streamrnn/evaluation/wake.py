"""Evaluation of wake words, live: missed words against false alarms per hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.data.spoken import clip_says
from streamrnn.decisions.detection import detection_curve, peak_scores
from streamrnn.decisions.keywords import smooth_posteriors
from streamrnn.evaluation.judging import OnProgress, judge_all, require, require_judged, stream_clip
from streamrnn.models import Model

# False alarms per hour for which thresholds are evaluated, besides the model's own threshold.
RATES_PER_HOUR = (0, 0.2, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Hearing:
    """A clip: whether it contains the word, its highest smoothed posterior, and the scores of its false alarms."""

    clip: Clip
    has_word: bool
    highest: float
    peaks: tuple[float, ...]
    duration_s: float


def evaluate_wake(
    model: Model,
    folders: Sequence[Path],
    clips: Sequence[Clip],
    progress: OnProgress | None = None,
    negatives: Sequence[Clip] = (),
) -> dict[str, Any]:
    """The clips and streaming entries of streamrnn.evaluation.evaluate; hours of sound are only processed live.

    Clips with a word of the model in their transcript, or label if they have none, are of that word; all others, and
    negatives, are sound without it, where every detection is a false alarm. Figures: words, their number; detection:
    the hours without words and the curve, by threshold: the share of words missed, false alarms, their rate, and
    without one the 95 % upper bound of the rate; by_source: the false alarms at the model's own threshold, by folder.

    Raises:
        ValueError: it is not a model of words, or no clip is of its word.
        AudioError: no clip, or none of its word, could be read.
    """
    require(model, "keyword", "evaluate wake", "a wake word model")
    words = model.labels[1:]
    if not any(clip_says(clip, words) for clip in clips):
        raise ValueError(f"No clip has {' or '.join(words)} as label or transcript. Pass recordings of it.")
    judged, left_out = judge_all([*clips, *negatives], lambda clip: _judge(model, clip, words), progress)
    require_judged(any(one.has_word for one in judged), left_out, " or ".join(words))
    return {"clips": len(judged), "streaming": _figures(model, judged)} | left_out


def _judge(model: Model, clip: Clip, words: Sequence[str]) -> Hearing:
    outputs, _, duration_s = stream_clip(model, clip)
    decision, has_word = model.decision, clip_says(clip, words)
    highest = smooth_posteriors(outputs, decision.smoothing_frames(model.frame_s))[:, 1:].max(axis=1, initial=0)
    peaks = () if has_word else tuple(peak_scores(highest, decision.refractory_frames(model.frame_s)))
    return Hearing(clip, has_word, float(highest.max(initial=0)), peaks, duration_s)


def _figures(model: Model, judged: Sequence[Hearing]) -> dict[str, Any]:
    said = [one.highest for one in judged if one.has_word]
    others = [one for one in judged if not one.has_word]
    hours, own = sum(one.duration_s for one in others) / 3600, model.decision.threshold
    figures: dict[str, Any] = {"words": len(said), "miss_rate": float(np.mean(np.array(said) < own))}
    if hours > 0:
        alarms = sorted((peak for one in others for peak in one.peaks), reverse=True)
        at = {own} | {_above(alarms, round(rate * hours)) for rate in RATES_PER_HOUR}
        curve = detection_curve(said, alarms, hours, sorted(at))
        points = [
            {**vars(p), "false_alarms_per_hour": p.false_alarms_per_hour, "bound_per_hour": p.bound_per_hour}
            for p in curve
        ]
        figures["detection"] = {"hours": hours, "curve": points}
        figures["by_source"] = _by_source(others, own)
    return figures


def _above(alarms: Sequence[float], allowed: int) -> float:
    """The lowest threshold with no more than so many alarms."""
    return float(np.nextafter(alarms[allowed], 2)) if allowed < len(alarms) else float(min(alarms, default=0.5))


def _by_source(others: Sequence[Hearing], threshold: float) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for one in others:
        of = found.setdefault(one.clip.path.parent.name, {"hours": 0.0, "false_alarms": 0})
        of["hours"] += one.duration_s / 3600
        of["false_alarms"] += sum(peak >= threshold for peak in one.peaks)
    return found


__all__ = ["evaluate_wake"]
