"""Evaluation of noise suppression against clean recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import AudioError, AudioFile, ChunkSource, mono, read_audio
from streamrnn.data import Clip
from streamrnn.data.tables import read_table, recording_of
from streamrnn.evaluation.judging import CHUNK_S, OnProgress, judge_all, require
from streamrnn.evaluation.quality import quality
from streamrnn.models import Model
from streamrnn.runtime import Enhancer, enhance_file

Figures = dict[str, float]


@dataclass(frozen=True)
class JudgedClip:
    """Figures of one recording: noisy, and enhanced by streaming and offline runs of a model."""

    noisy: Figures
    streaming: Figures
    offline: Figures


def evaluate_denoising(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, noisy, streaming and offline entries of streamrnn.evaluation.evaluate.

    Each folder's manifest.csv names the noisy recording (path) and the same recording without the noise (clean).
    Figures are means over the recordings: si_sdr_db; si_sdr_improvement_db, over that of the noisy recording; stoi; and
    pesq where that package is installed. If a metric finds no speech in a recording, or the ratio is infinite because
    the two recordings are equal, the recording does not count for it; a metric that counts in none is left out. noisy
    has the figures of the unprocessed recordings. Pairs in which the noisy or the clean recording is all silent have no
    ratio: they are left out, counted and named, like those that cannot be read.

    Raises:
        FileNotFoundError, ValueError: a manifest.csv, or its column clean, is missing; the model gives no sound.
        AudioError: there is no pair of readable recordings of the same rate and length with sound in them.
        ImportError: pystoi is not installed.
    """
    require(model, "sound", "evaluate denoise", "a model that gives sound")
    clean = {noisy: path for folder in folders for noisy, path in clean_recordings(folder).items()}
    judged, left_out = judge_all(clips, lambda clip: _judge(model, clip, clean[clip.path]), progress)
    ways = {way: [getattr(clip, way) for clip in judged] for way in ("noisy", "streaming", "offline")}
    return {"clips": len(judged), **{way: means(figures) for way, figures in ways.items()}, **left_out}


def clean_recordings(folder: Path) -> dict[Path, Path]:
    """Noisy recording -> clean recording, from the columns path and clean of `folder`/manifest.csv.

    Raises:
        FileNotFoundError, ValueError: see read_table and recording_of.
    """
    rows = read_table(folder / "manifest.csv", ("path", "clean"))
    return {recording_of(folder, row): recording_of(folder, row, "clean") for row in rows}


def read_pair(clip: Clip, clean_path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """(noisy, clean, sample rate), both float32[n] mono.

    Raises:
        FileNotFoundError, AudioError: one of them cannot be read, or they differ in rate or length.
    """
    noisy, rate = read_audio(clip.path, None, clip.start, clip.end)
    clean, clean_rate = read_audio(clean_path, None, clip.start, clip.end)
    if (len(noisy), rate) != (len(clean), clean_rate):
        raise AudioError(
            f"{clip.path} has {len(noisy)} samples at {rate} Hz, {clean_path} {len(clean)} at {clean_rate} Hz; they "
            "must be the same recording with noise and without. Correct the manifest."
        )
    return noisy, clean, rate


def means(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure over the recordings that have it; figures that no recording has are left out."""
    # A comparison with NaN is false too, so NaN is dropped as well.
    known = {name: [each[name] for each in figures if each[name] < np.inf] for name in figures[0]}
    return {name: float(np.mean(values)) for name, values in known.items() if values}


def _judge(model: Model, clip: Clip, clean_path: Path) -> JudgedClip:
    noisy, clean, rate = read_pair(clip, clean_path)
    if silent := [path for path, samples in ((clip.path, noisy), (clean_path, clean)) if not samples.any()]:
        raise AudioError(f"{silent[0]} is silent throughout, so that there is no ratio to measure")
    before = quality(noisy, clean, rate)

    def judged(estimate: np.ndarray) -> Figures:
        after = quality(estimate, clean, rate)
        # Without noise there is nothing to gain.
        gained = after["si_sdr_db"] - before["si_sdr_db"] if before["si_sdr_db"] < np.inf else np.nan
        return {"si_sdr_db": after.pop("si_sdr_db"), "si_sdr_improvement_db": gained, **after}

    return JudgedClip(before, judged(_streamed(model, clip)), judged(_scanned(model, clip)))


def _streamed(model: Model, clip: Clip) -> np.ndarray:
    with AudioFile(clip.path) as file:
        enhancer = Enhancer(model, file.sample_rate, warm_up=False)
        chunks = file.chunks(round(CHUNK_S * file.sample_rate), clip.start, clip.end)
        return np.concatenate([*map(enhancer.process, mono(chunks, file.sample_rate)), enhancer.flush()])


def _scanned(model: Model, clip: Clip) -> np.ndarray:
    with AudioFile(clip.path) as file:
        chunks = file.chunks(file.sample_rate, clip.start, clip.end)
        return enhance_file(model, ChunkSource(chunks, file.sample_rate))[0]


__all__ = ["clean_recordings", "evaluate_denoising", "means", "read_pair"]
