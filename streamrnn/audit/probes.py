"""Probes: what a linear classifier can read out. If it reads a speaker out of a snapshot, so can others."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamrnn.audio import AudioFile, mono
from streamrnn.audit.telling import Floats
from streamrnn.data import Clip
from streamrnn.evaluation.judging import CHUNK_S, OnProgress, judge_all
from streamrnn.models import Model
from streamrnn.runtime import Stream

FOLDS = 5
CLIPS_OF_A_SPEAKER = 4
MOST_SPEAKERS, MOST_CLIPS = 40, 8
FEWEST_SPEAKERS = 4


def readable(x: Floats, classes: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """(accuracy, that of the most frequent class) of a ridge classifier of standardised x[n, features], in five folds.

    Each clip is classified without having been trained on.
    """
    names, target = np.unique(classes, return_inverse=True)
    right = predictions(x, np.eye(len(names))[target], np.random.default_rng(seed).permutation(len(x)) % FOLDS)
    chance = float(np.bincount(target).max() / len(target))
    return float(np.mean(right.argmax(axis=1) == target)), chance


def predictions(x: Floats, y: Floats, folds: np.ndarray) -> Floats:
    """Ridge regression of y[n, outputs] on standardised x[n, features], out of fold for each row."""
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    found = np.zeros_like(y, dtype=float)
    for fold in np.unique(folds):
        learnt, judged = folds != fold, folds == fold
        a, mean = x[learnt], y[learnt].mean(axis=0)
        # In the dual, since there are fewer clips than features.
        kernel = a @ a.T
        kernel[np.diag_indices_from(kernel)] += np.trace(kernel) / len(kernel)
        found[judged] = x[judged] @ a.T @ np.linalg.solve(kernel, y[learnt] - mean) + mean
    return found


def probe_snapshots(model: Model, clips: Sequence[Clip], progress: OnProgress | None = None) -> dict[str, Any] | str:
    """Whether the snapshot of a stream, at the end of a clip, reveals the speaker.

    Returns:
        accuracy of a ridge classifier that names the speaker, chance (the most frequent one), speakers, clips and
        numbers (in a snapshot); or a text that says why there is no result.
    """
    counts = Counter(clip.speaker for clip in clips if clip.speaker)
    known = [speaker for speaker, n in counts.most_common(MOST_SPEAKERS) if n >= CLIPS_OF_A_SPEAKER]
    if len(known) < FEWEST_SPEAKERS:
        return f"needs {FEWEST_SPEAKERS} speakers of {CLIPS_OF_A_SPEAKER} clips or more; there are {len(known)}"
    chosen = [clip for who in known for clip in [c for c in clips if c.speaker == who][:MOST_CLIPS]]
    judged, _ = judge_all(chosen, lambda clip: (clip.speaker, _state_after(model, clip)), progress)
    states = np.stack([state for _, state in judged])
    accuracy, chance = readable(states, [speaker for speaker, _ in judged])
    return {
        "accuracy": accuracy,
        "chance": chance,
        "speakers": len(known),
        "clips": len(judged),
        "numbers": states.shape[1],
    }


def _state_after(model: Model, clip: Clip) -> Floats:
    with AudioFile(clip.path) as file:
        stream = Stream(model, file.sample_rate, warm_up=False)
        for samples in mono(file.chunks(round(CHUNK_S * file.sample_rate), clip.start, clip.end), file.sample_rate):
            stream.process(samples)
        state = stream.snapshot().state
    return np.concatenate([leaf.ravel().astype(np.float64) for _, leaf in sorted(state.items())])


def sound_features(clip: Clip) -> Floats:
    """What a clip reveals without any model: log seconds, levels in dB, centre and spread of its spectrum."""
    with AudioFile(clip.path) as file:
        rate = file.sample_rate
    samples = clip.read(rate)
    frames = samples[: len(samples) // 400 * 400].reshape(-1, 400)
    levels_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-10) if len(frames) else np.array([-100.0])
    power = np.abs(np.fft.rfft(samples)) ** 2 + 1e-12
    octaves = np.log2(np.fft.rfftfreq(len(samples), 1 / rate)[1:])
    weights = power[1:] / power[1:].sum()
    centre = float(weights @ octaves)
    return np.array(
        [
            np.log(len(samples) / rate),
            levels_db.mean(),
            np.quantile(levels_db, 0.1),
            centre,
            np.sqrt(weights @ (octaves - centre) ** 2),
        ]
    )


__all__ = ["predictions", "probe_snapshots", "readable", "sound_features"]
