"""How well a model does on folders of labelled recordings, live and offline."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from streamrnn.evaluation.denoising import evaluate_denoising
from streamrnn.evaluation.keywords import evaluate_keywords
from streamrnn.evaluation.transcription import evaluate_transcription
from streamrnn.evaluation.voice_activity import evaluate_voice_activity
from streamrnn.pretrained import load
from streamrnn.training import Clip, find_folders, read_folder

EVALUATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "vad": evaluate_voice_activity,
    "keywords": evaluate_keywords,
    "digits": evaluate_transcription,
    "digits-transducer": evaluate_transcription,
    "denoise": evaluate_denoising,
}

Folder = str | PathLike[str]


def evaluate(
    task: str,
    data: Folder | Sequence[Folder],
    model_name_or_path: Folder = "vad",
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    negatives: Sequence[Folder] = (),
) -> dict[str, Any]:
    """The figures of a model on the recordings of some folders, ready for JSON.

    Args:
        task: what the model is for: one of EVALUATIONS.
        data: folders of recordings in any layout of streamrnn.training.read_folder, with the labels of the task: for
            vad, vad_segments.csv (path, start, end of speech in samples at the recording's own rate); for keywords,
            the column label, or a folder per word. Recordings may have any sample rate and any format that libsndfile
            reads.
        model_name_or_path: a shipped model's name, or the path of a saved one.
        split: judge the recordings of this split alone; default: all.
        progress: called with (recordings done, recordings) after each recording.
        negatives: for keywords: folders of sound without any of the words, such as noise, music and other talk. What
            is detected there is a false alarm. Clips of the split train are left out: training may have heard them.

    Returns:
        task, model, data and split as given; clips: how many recordings were judged; streaming and offline: the figures
        of the model run live in chunks of 100 ms, and of run_file (see the evaluate_... of the task). Recordings that
        cannot be read are left out, counted and named in an AudioWarning.

    Raises:
        FileNotFoundError: no such model, or a table is missing.
        ValueError: an unknown task or split, a model of another task, or labels of one class alone.
        AudioError: no recording could be read.
    """
    if task not in EVALUATIONS:
        raise ValueError(f"evaluate got the task {task!r}; it knows: {', '.join(EVALUATIONS)}. Pass one of these.")
    if negatives and task != "keywords":
        raise ValueError(f"negatives are for keywords; {task} takes none. Leave them out.")
    places = [data] if isinstance(data, str | PathLike) else list(data)
    folders = find_folders([Path(place) for place in places])
    clips, model = _clips(folders, split), load(model_name_or_path)
    extra = {"negatives": _untrained(negatives)} if negatives else {}
    figures = EVALUATIONS[task](model, folders, clips, progress, **extra)
    named = str(data) if isinstance(data, str | PathLike) else [str(place) for place in places]
    return {"task": task, "model": str(model_name_or_path), "data": named, "split": split, **figures}


def _clips(folders: Sequence[Path], split: str | None) -> list[Clip]:
    clips = [clip for folder in folders for clip in read_folder(folder)]
    chosen = clips if split is None else [clip for clip in clips if clip.split == split]
    if not chosen:
        known = ", ".join(sorted({clip.split for clip in clips if clip.split})) or "none"
        raise ValueError(f"There is no recording of split {split!r}; the splits are: {known}.")
    return chosen


def _untrained(negatives: Sequence[Folder]) -> list[Clip]:
    folders = find_folders([Path(place) for place in negatives])
    return [clip for folder in folders for clip in read_folder(folder) if clip.split != "train"]


__all__ = ["evaluate"]
