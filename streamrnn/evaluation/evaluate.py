"""How well a model does on a folder of labelled recordings, live and offline."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from streamrnn.evaluation.voice_activity import evaluate_voice_activity
from streamrnn.pretrained import load
from streamrnn.training import read_manifest

EVALUATIONS: dict[str, Callable[..., dict[str, Any]]] = {"vad": evaluate_voice_activity}


def evaluate(
    task: str,
    data: str | PathLike[str],
    model_name_or_path: str | PathLike[str] = "vad",
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The figures of a model on the recordings of a folder, ready for JSON.

    Args:
        task: what the model is for: "vad".
        data: a folder with manifest.csv (path relative to it; optional: start and end in samples at the recording's own
            rate, split) and the labels of the task: for vad, vad_segments.csv (path, start, end of speech in samples at
            the recording's own rate). Recordings may have any sample rate and any format that libsndfile reads.
        model_name_or_path: a shipped model's name, or the path of a saved one.
        split: judge the recordings of this split alone; default: all.
        progress: called with (recordings done, recordings) after each recording.

    Returns:
        task, model, data and split as given; clips: how many recordings were judged; streaming and offline: the figures
        of the model run live in chunks of 100 ms, and of run_file (see evaluate_voice_activity). Recordings that cannot
        be read are left out, counted and named in an AudioWarning.

    Raises:
        FileNotFoundError: no such model, or a table is missing.
        ValueError: an unknown task or split, a model of another task, or labels of one class alone.
        AudioError: no recording could be read.
    """
    if task not in EVALUATIONS:
        raise ValueError(f"evaluate got the task {task!r}; it knows: {', '.join(EVALUATIONS)}. Pass one of these.")
    data = Path(data)
    clips, model = read_manifest(data, split), load(model_name_or_path)
    figures = EVALUATIONS[task](model, data, clips, progress)
    return {"task": task, "model": str(model_name_or_path), "data": str(data), "split": split, **figures}


__all__ = ["evaluate"]
