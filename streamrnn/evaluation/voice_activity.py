"""Voice activity against labelled speech, in cells of 10 ms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.decisions import SpeechSettings, best_f1, cell_truth, equal_error_rate, roc_auc, roc_auc_interval
from streamrnn.evaluation.judging import Progress, judge_all, scan_clip, stream_clip
from streamrnn.models import Model
from streamrnn.recipes.voice_activity import read_segments, warn_of_labels
from streamrnn.training import Clip

CELL_S = 0.01

Segments = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class JudgedClip:
    """A clip's truth, bool[cells], and the scores of both ways of running a model, float32[cells]."""

    truth: np.ndarray
    streaming: np.ndarray
    offline: np.ndarray


def evaluate_voice_activity(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: Progress | None = None
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate.

    Figures are those of speech_figures over the 10 ms cells of all clips together, and of two clips or more
    roc_auc_interval, low and high end at 95 %, which takes clips for independent. A recording without segments is one
    in which nobody speaks. AudioWarnings name segments whose recordings are not there, or end before.

    Raises:
        FileNotFoundError: a folder has no vad_segments.csv.
        ValueError: the model is none for speech, or the clips hold only speech, or none.
        AudioError: no clip could be read.
    """
    if not isinstance(model.decision, SpeechSettings):
        raise ValueError(f"evaluate vad got a {type(model).__name__}; it needs a voice activity model. Pass one.")
    segments = {path: spoken for folder in folders for path, spoken in _segments_of(folder).items()}
    judged, left_out = judge_all(clips, lambda clip: _judge(model, clip, segments.get(clip.path, ())), progress)
    return _figures(judged) | left_out


def _segments_of(folder: Path) -> dict[Path, list[tuple[int, int]]]:
    table = folder / "vad_segments.csv"
    warn_of_labels(table)
    return read_segments(table)[0]


def speech_figures(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """roc_auc, eer, best_f1 and best_f1_threshold of float[cells] against bool[cells] (see streamrnn.decisions).

    Raises:
        ValueError: truth has only one class.
    """
    if not truth.any() or truth.all():
        raise ValueError(
            f"Of {truth.size} cells of 10 ms {'all' if truth.any() else 'none'} are speech; figures need speech and "
            "non-speech. Add recordings, or check that vad_segments.csv has the paths of manifest.csv."
        )
    f1, threshold = best_f1(scores, truth)
    return {
        "roc_auc": roc_auc(scores, truth),
        "eer": equal_error_rate(scores, truth),
        "best_f1": f1,
        "best_f1_threshold": threshold,
    }


def speech_truth(clip: Clip, segments: Segments, sample_rate: int, duration_s: float) -> np.ndarray:
    """Where somebody speaks in a clip, bool[cells]: every cell whose centre lies in the clip's `duration_s`.

    Segments (start, end) are samples of the whole recording at its `sample_rate`; the clip may be a part of it.
    """
    spoken_s = [((start - clip.start) / sample_rate, (end - clip.start) / sample_rate) for start, end in segments]
    n_cells = max(0, int(np.ceil(duration_s / CELL_S - 0.5 - 1e-6)))
    return cell_truth(spoken_s, n_cells, CELL_S)


def cell_scores(scores: np.ndarray, frame_s: float, n_cells: int) -> np.ndarray:
    """Scores of frames, float[frames], on cells, float[n_cells]: each cell has that of the frame over its centre."""
    centres_s = (np.arange(n_cells) + 0.5) * CELL_S
    # A centre on the border of two frames belongs to the later one, whatever the division rounds to.
    return scores[np.floor(centres_s / frame_s + 1e-6).astype(int)]


def _judge(model: Model, clip: Clip, segments: Segments) -> JudgedClip:
    outputs, sample_rate, duration_s = stream_clip(model, clip)
    offline = scan_clip(model, clip)
    truth = speech_truth(clip, segments, sample_rate, duration_s)
    streaming, offline = (cell_scores(y[:, 0], model.frame_s, len(truth)) for y in (outputs, offline))
    return JudgedClip(truth, streaming, offline)


def _figures(judged: Sequence[JudgedClip]) -> dict[str, Any]:
    streaming, offline, truths = (
        [getattr(clip, name) for clip in judged] for name in ("streaming", "offline", "truth")
    )
    truth = np.concatenate(truths)
    return {
        "clips": len(judged),
        "streaming": _with_interval(speech_figures(np.concatenate(streaming), truth), streaming, truths),
        "offline": _with_interval(speech_figures(np.concatenate(offline), truth), offline, truths),
    }


def _with_interval(
    figures: dict[str, float], scores: Sequence[np.ndarray], truth: Sequence[np.ndarray]
) -> dict[str, Any]:
    return figures if len(scores) < 2 else figures | {"roc_auc_interval": list(roc_auc_interval(scores, truth))}


__all__ = ["cell_scores", "evaluate_voice_activity", "speech_figures", "speech_truth"]
