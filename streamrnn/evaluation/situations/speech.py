"""Voice activity in situations: false speech, missed speech, and delays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from streamrnn.data.situations import Recording
from streamrnn.decisions import SpeechDecoder, SpeechSettings, cell_truth, roc_auc, segments
from streamrnn.evaluation.judging import CHUNK_S, require
from streamrnn.evaluation.voice_activity import CELL_S, cell_count, cell_scores
from streamrnn.models import Model
from streamrnn.runtime import Stream

# Decisions this close to speech depend on label boundaries and reverberation.
COLLAR_CELLS = 25
# Shorter pauses belong to the utterance around them.
PAUSE_S = 0.3


@runtime_checkable
class SpeechDetector(Protocol):
    """Scores recordings, and defines how scores become decisions."""

    @property
    def frame_s(self) -> float:
        """Seconds per score."""
        ...

    @property
    def decision(self) -> SpeechSettings:
        """The settings by which scores become starts and ends of speech."""
        ...

    def hear(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """float32[n] in [-1, 1] -> float[ceil(n / frame)], higher where speech is likelier. Each call starts afresh."""
        ...


class LiveDetector:
    """One of our models, run live in chunks of 100 ms at the recording's own rate."""

    def __init__(self, model: Model):
        require(model, "speech_start", "evaluate vad", "a voice activity model")
        self.frame_s, self.decision = model.frame_s, model.decision
        self._model = model
        self._streams: dict[int, Stream] = {}

    def hear(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        stream = self._streams.setdefault(sample_rate, Stream(self._model, sample_rate, warm_up=False))
        stream.reset()
        chunk = round(CHUNK_S * sample_rate)
        outputs = [stream.process(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
        return np.concatenate([*outputs, stream.flush()])[:, 0]


@dataclass
class Heard:
    """A detector's results on one recording, from where its evaluation starts.

    Attributes:
        truth, decided: bool[cells]: where there is speech, and where the detector reports it.
        starts: cells at which the detector reports a start of speech.
        scores: float[cells].
        kind: which of several sounds it is.
        changed: the share of cells that a fresh stream decides differently; None if not requested.
    """

    truth: np.ndarray
    decided: np.ndarray
    starts: np.ndarray
    scores: np.ndarray
    kind: str
    changed: float | None


class SpeechJudge:
    """Evaluates a detector, one situation after the other."""

    def __init__(self, detector: SpeechDetector):
        self.detector = detector
        self._heard: list[Heard] = []

    def hear(self, recording: Recording) -> None:
        """Runs the detector on a recording and, if decisions are to be compared, on its evaluated part alone."""
        detector, rate = self.detector, recording.sample_rate
        truth = cell_truth(
            [(a / rate, b / rate) for a, b in recording.segments], cell_count(len(recording.samples) / rate), CELL_S
        )
        first = round(recording.judged_from / rate / CELL_S)
        frames = detector.hear(recording.samples, rate)
        scores = cell_scores(frames, detector.frame_s, len(truth))[first:]
        starts, decided = _decided(detector, frames, len(truth))
        changed = self._changed(recording, scores) if recording.compared else None
        later = starts[starts >= first] - first
        self._heard.append(Heard(truth[first:], decided[first:], later, scores, recording.kind, changed))

    def _changed(self, recording: Recording, scores: np.ndarray) -> float:
        alone = self.detector.hear(recording.samples[recording.judged_from :], recording.sample_rate)
        fresh = cell_scores(alone, self.detector.frame_s, len(scores))
        threshold = self.detector.decision.threshold
        return float(np.mean((scores >= threshold) != (fresh >= threshold)))

    def row(self) -> dict[str, Any]:
        """The metrics since the last row; those without suitable sound are left out.

        false_starts_per_hour and false_speech_s_per_hour count in sound that is more than 0.25 s away from speech, as
        does recordings_with_false_start, a share; speech_found is the share of speech that lies in what is decided to
        be speech; first_ms_lost_median and _p90 are from where an utterance begins to where it is found (all of it,
        where it is not); utterances_missed, a share; decisions_changed, a share; roc_auc of the scores.
        """
        heard, self._heard = self._heard, []
        silence = [~_widened(h.truth, COLLAR_CELLS) for h in heard]
        truth, hours = np.concatenate([h.truth for h in heard]), float(sum(map(np.sum, silence))) * CELL_S / 3600
        figures: dict[str, Any] = {"recordings": len(heard), "minutes": len(truth) * CELL_S / 60}
        if hours:
            false = [int(np.sum(quiet[h.starts])) for quiet, h in zip(silence, heard, strict=True)]
            wrong = sum(int(np.sum(quiet & h.decided)) for quiet, h in zip(silence, heard, strict=True))
            figures["false_starts_per_hour"] = sum(false) / hours
            figures["false_speech_s_per_hour"] = wrong * CELL_S / hours
            figures["recordings_with_false_start"] = float(np.mean([count > 0 for count in false]))
            figures |= _by_kind([h.kind for h in heard], false)
        if truth.any():
            figures |= _of_speech(heard, truth)
        if changed := [h.changed for h in heard if h.changed is not None]:
            figures["decisions_changed"] = float(np.mean(changed))
        return figures


def speech_judge(model: Model) -> SpeechJudge:
    """The judge of a voice activity model.

    Raises:
        ValueError: it is not a voice activity model.
    """
    return SpeechJudge(LiveDetector(model))


def utterances(truth: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) in cells of what is spoken with pauses of up to 0.3 s, but for what begins before the first cell.

    Args:
        truth: bool[cells].
    """
    edges = np.flatnonzero(np.diff(truth.astype(np.int8), prepend=0, append=0))
    joined: list[tuple[int, int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if joined and start - joined[-1][1] <= round(PAUSE_S / CELL_S):
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return [(start, end) for start, end in joined if start > 0]


def _by_kind(kinds: Sequence[str], counts: Sequence[int]) -> dict[str, dict[str, int]]:
    by_kind = dict.fromkeys(sorted(kinds), 0)
    for kind, count in zip(kinds, counts, strict=True):
        by_kind[kind] += count
    return {"false_starts_by_kind": by_kind} if len(by_kind) > 1 else {}


def _of_speech(heard: Sequence[Heard], truth: np.ndarray) -> dict[str, float]:
    decided, lost, lengths = np.concatenate([h.decided for h in heard]), [], []
    for h in heard:
        for start, end in utterances(h.truth):
            found = np.flatnonzero(h.decided[start:end])
            lost.append(int(found[0]) if len(found) else end - start)
            lengths.append(end - start)
    figures = {"speech_found": float(np.mean(decided[truth]))}
    if lost:
        figures["first_ms_lost_median"] = float(1000 * CELL_S * np.median(lost))
        figures["first_ms_lost_p90"] = float(1000 * CELL_S * np.quantile(lost, 0.9))
        figures["utterances_missed"] = float(np.mean(np.array(lost) == lengths))
    if not truth.all():
        figures["roc_auc"] = roc_auc(np.concatenate([h.scores for h in heard]), truth)
    return figures


def _decided(detector: SpeechDetector, frames: np.ndarray, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The cells in which speech starts, and bool[cells] of speech."""
    decoder = SpeechDecoder(detector.decision, detector.frame_s)
    duration_s = len(frames) * detector.frame_s
    found = segments([*decoder.push(frames), *decoder.finish(duration_s)], duration_s)
    starts = np.array([min(round(speech.start_s / CELL_S), n_cells - 1) for speech in found], int)
    decided = np.zeros(n_cells, bool)
    for start, speech in zip(starts, found, strict=True):
        decided[start : round(speech.end_s / CELL_S)] = True
    return starts, decided


def _widened(truth: np.ndarray, by: int) -> np.ndarray:
    return np.convolve(truth, np.ones(2 * by + 1))[by : by + len(truth)] > 0


__all__ = ["Heard", "LiveDetector", "SpeechDetector", "SpeechJudge", "speech_judge", "utterances"]
