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
from streamrnn.recipes.recordings import KINDS, find_recordings, without
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
    split: str | Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    negatives: Sequence[Folder] = (),
    exclude: Sequence[str] = (),
) -> dict[str, Any]:
    """The figures of a model on the recordings of some folders, ready for JSON.

    Args:
        task: what the model is for: one of EVALUATIONS.
        data: folders of recordings in any layout of streamrnn.training.read_folder, with the labels of the task: for
            vad, vad_segments.csv (path, start, end of speech in samples at the recording's own rate); for keywords,
            the column label, or a folder per word. Recordings may have any sample rate and any format that libsndfile
            reads. As in training, folders named noise*, music* and rir* are none of them, and neither is a class named
            _background_noise_; and where a folder says nothing of splits, those are valid that training holds out.
        model_name_or_path: a shipped model's name, or the path of a saved one.
        split: judge the recordings of this split, or of these splits, alone; default: all.
        progress: called with (recordings done, recordings) after each recording.
        negatives: for keywords: folders of sound without any of the words, such as noise, music and other talk. What
            is detected there is a false alarm. Clips of the split train are left out: training may have heard them.
        exclude: names of recordings to leave out, such as those whose labels are wrong: the last parts of their paths,
            with or without the ending.

    Returns:
        task, model, data and split as given; clips: how many recordings were judged; streaming and offline: the figures
        of the model run live in chunks of 100 ms, and of run_file (see the evaluate_... of the task). Recordings that
        cannot be judged are left out, counted and named in an AudioWarning; left_out then says why each of them is.

    Raises:
        FileNotFoundError: no such model, or a table is missing.
        ValueError: an unknown task or split, a model of another task, labels of one class alone, only noise, music or
            rooms, or nothing is named what `exclude` says.
        AudioError: no recording could be judged.
    """
    if task not in EVALUATIONS:
        raise ValueError(f"evaluate got the task {task!r}; it knows: {', '.join(EVALUATIONS)}. Pass one of these.")
    if negatives and task != "keywords":
        raise ValueError(f"negatives are for keywords; {task} takes none. Leave them out.")
    places = [data] if isinstance(data, str | PathLike) else list(data)
    speech = _speech([Path(place) for place in places])
    found = [clip for clips in speech.values() for clip in clips]
    clips, model = without(_of_split(found, split), exclude), load(model_name_or_path)
    extra = {"negatives": _untrained(negatives)} if negatives else {}
    figures = EVALUATIONS[task](model, list(speech), clips, progress, **extra)
    named = str(data) if isinstance(data, str | PathLike) else [str(place) for place in places]
    asked = {"task": task, "model": str(model_name_or_path), "data": named, "split": split}
    return asked | ({"excluded": list(exclude)} if exclude else {}) | figures


def _speech(places: Sequence[Path]) -> dict[Path, list[Clip]]:
    """What training takes for speech, by folder."""
    speech = {folder: clips for folder, clips in find_recordings(places).speech.items() if clips}
    if not speech:
        raise ValueError(
            f"{', '.join(map(str, places))} has nothing to judge: folders named {'*, '.join(KINDS)}* are noise, music "
            "and rooms. Pass recordings with labels, or give their folder another name."
        )
    return speech


def _of_split(clips: list[Clip], split: str | Sequence[str] | None) -> list[Clip]:
    if split is None:
        return clips
    wanted, known = [split] if isinstance(split, str) else list(split), {clip.split for clip in clips}
    if unknown := [name for name in wanted if name not in known]:
        listed = ", ".join(sorted(known - {""})) or "none"
        raise ValueError(f"There is no recording of split {', '.join(map(repr, unknown))}; the splits are: {listed}.")
    return [clip for clip in clips if clip.split in wanted]


def _untrained(negatives: Sequence[Folder]) -> list[Clip]:
    folders = find_folders([Path(place) for place in negatives])
    return [clip for folder in folders for clip in read_folder(folder) if clip.split != "train"]


__all__ = ["evaluate"]
