"""The share of recordings whose label is heard, live and offline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.evaluation.judging import OnProgress, judge_all, scan_clip, stream_clip
from streamrnn.models import Model


def evaluate_pitch(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate: accuracy."""

    def judge(clip: Clip) -> tuple[bool, bool]:
        ways = stream_clip(model, clip)[0], scan_clip(model, clip)
        streamed, scanned = (model.labels[int(np.argmax(outputs.mean(axis=0)))] == clip.label for outputs in ways)
        return streamed, scanned

    judged, left_out = judge_all(clips, judge, progress)
    streamed, scanned = np.mean(judged, axis=0)
    figures = {"streaming": {"accuracy": float(streamed)}, "offline": {"accuracy": float(scanned)}}
    return {"clips": len(judged), **figures, **left_out}


__all__ = ["evaluate_pitch"]
