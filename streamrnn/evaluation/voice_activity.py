"""Evaluation of voice activity against labelled speech, in cells of 10 ms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.data.speech_labels import TABLE, SpeechLabels, read_speech_labels, warn_of_labels
from streamrnn.decisions import best_f1, cell_truth, equal_error_rate, roc_auc, roc_auc_interval
from streamrnn.evaluation.judging import OnProgress, judge_all, require, scan_clip, stream_clip
from streamrnn.models import Model

CELL_S = 0.01
UNLABELLED = SpeechLabels()

Segments = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class JudgedClip:
    """A clip's labels, bool[cells], and the scores of streaming and offline runs, float32[cells], where labelled."""

    truth: np.ndarray
    streaming: np.ndarray
    offline: np.ndarray


def evaluate_voice_activity(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate.

    Figures are those of speech_figures over the 10 ms cells of all clips together. With two clips or more there is
    roc_auc_interval (95 %), which takes clips as independent. A recording without segments has no speech; cells in
    segments of kind unknown are left out. AudioWarnings name segments of missing recordings, or beyond a recording's
    end.

    Raises:
        FileNotFoundError: a folder has no vad_segments.csv.
        ValueError: it is not a voice activity model, or the clips have only speech or none.
        AudioError: no clip could be read.
    """
    require(model, "speech_start", "evaluate vad", "a voice activity model")
    labels = {path: of for folder in folders for path, of in _labels_of(folder).items()}
    judged, left_out = judge_all(clips, lambda clip: _judge(model, clip, labels.get(clip.path, UNLABELLED)), progress)
    return _figures(judged) | left_out


def _labels_of(folder: Path) -> dict[Path, SpeechLabels]:
    table = folder / TABLE
    warn_of_labels(table)
    return read_speech_labels(table)


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
    """Where the segments are in a clip, bool[cells], for every cell whose centre is within the clip's `duration_s`.

    Segments (start, end) are samples of the whole recording at its `sample_rate`; the clip may be a part of it.
    """
    spoken_s = [((start - clip.start) / sample_rate, (end - clip.start) / sample_rate) for start, end in segments]
    return cell_truth(spoken_s, cell_count(duration_s), CELL_S)


def cell_count(duration_s: float) -> int:
    """The number of 10 ms cells whose centre is within that time."""
    return max(0, int(np.ceil(duration_s / CELL_S - 0.5 - 1e-6)))


def cell_scores(scores: np.ndarray, frame_s: float, n_cells: int) -> np.ndarray:
    """Scores of frames, float[frames], on cells, float[n_cells]: each cell gets that of the frame at its centre."""
    centres_s = (np.arange(n_cells) + 0.5) * CELL_S
    # A centre on the border of two frames belongs to the later one, whatever the rounding of the division.
    return scores[np.floor(centres_s / frame_s + 1e-6).astype(int)]


def _judge(model: Model, clip: Clip, labels: SpeechLabels) -> JudgedClip:
    outputs, sample_rate, duration_s = stream_clip(model, clip)
    offline = scan_clip(model, clip)
    truth, unknown = (speech_truth(clip, of, sample_rate, duration_s) for of in (labels.speech, labels.unknown))
    streaming, offline = (cell_scores(y[:, 0], model.frame_s, len(truth))[~unknown] for y in (outputs, offline))
    return JudgedClip(truth[~unknown], streaming, offline)


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


__all__ = ["cell_count", "cell_scores", "evaluate_voice_activity", "speech_figures", "speech_truth"]
