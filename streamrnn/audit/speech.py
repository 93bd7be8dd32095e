"""Voice activity models in audits: scores of 10 ms cells."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioFile
from streamrnn.audit.telling import Floats, Told, answers_of
from streamrnn.data import Clip
from streamrnn.data.speech_labels import TABLE, read_speech_labels
from streamrnn.evaluation.judging import require, scan_clip
from streamrnn.evaluation.voice_activity import CELL_S, cell_scores, speech_truth
from streamrnn.models import Model

# Bins of the log-odds, narrow enough that the area under the curve is exact to four digits.
EDGES = np.linspace(-12, 12, 481)
SURE = 1e-6


class SpeechTeller:
    """Reports the area under the ROC curve over all cells, from sums that are histograms of scores by class.

    The loss is the binary cross-entropy, nats per cell. An answer is a segment found by the decoder; it is right if at
    least half of it is speech. Cells labelled unknown do not count.
    """

    figure, higher_is_better, answers = "roc_auc", True, "segment"

    def __init__(self, model: Model, folders: Sequence[Path]):
        require(model, "speech_start", "an audit of vad", "a voice activity model")
        self.model = model
        read = [read_speech_labels(folder / TABLE) for folder in folders if (folder / TABLE).is_file()]
        if not read:
            raise FileNotFoundError(f"None of {', '.join(map(str, folders))} has {TABLE} (path, start, end of speech).")
        self.labels = {path: labels for table in read for path, labels in table.items()}

    def tell(self, clip: Clip) -> Told | None:
        if clip.path not in self.labels:
            return None
        outputs = scan_clip(self.model, clip)
        with AudioFile(clip.path) as file:
            rate = file.sample_rate
        duration_s = len(outputs) * self.model.frame_s
        labels = self.labels[clip.path]
        truth, unknown = (speech_truth(clip, of, rate, duration_s) for of in (labels.speech, labels.unknown))
        if unknown.all():
            return None
        ends = [event for event in answers_of(self.model, outputs) if event.kind == "speech_end"]
        spans = [(e.score, slice(round(e.start_s / CELL_S), round((e.end_s or 0) / CELL_S))) for e in ends]
        answers = [(score, truth[at][~unknown[at]].mean() >= 0.5) for score, at in spans if not unknown[at].all()]
        told = speech_told(cell_scores(outputs[:, 0], self.model.frame_s, len(truth))[~unknown], truth[~unknown])
        scores, right = np.array([score for score, _ in answers]), np.array([right for _, right in answers], bool)
        return replace(told, confidences=scores, right=right)

    def of(self, sums: Floats) -> Floats:
        without, with_speech = np.split(sums, 2, axis=-1)
        below = np.cumsum(without, axis=-1) - without / 2
        pairs = without.sum(axis=-1) * with_speech.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (below * with_speech).sum(axis=-1) / pairs


def speech_told(scores: np.ndarray, truth: np.ndarray) -> Told:
    """Evaluates probabilities of speech against labels, both [cells]."""
    p = np.clip(scores.astype(np.float64), SURE, 1 - SURE)
    bins = np.digitize(np.log(p / (1 - p)), EDGES)
    sums = np.concatenate([np.bincount(bins[truth == there], minlength=len(EDGES) + 1) for there in (False, True)])
    loss = -np.mean(np.where(truth, np.log(p), np.log(1 - p)))
    return Told(sums.astype(np.float64), float(loss))


__all__ = ["SpeechTeller", "speech_told"]
