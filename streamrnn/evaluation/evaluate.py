"""Evaluation of a model on folders of labelled recordings, live and offline."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from streamrnn.audio import AudioWarning
from streamrnn.data import Clip
from streamrnn.data.contents import warn_of_twins
from streamrnn.data.layouts import KINDS
from streamrnn.data.recordings import find_recordings, without
from streamrnn.pretrained import load
from streamrnn.tasks import task_of

Folder = str | PathLike[str]


def evaluate(
    task: str,
    data: Folder | Sequence[Folder],
    model_name_or_path: Folder = "vad",
    split: str | Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    negatives: Sequence[Folder] = (),
    exclude: Sequence[str] = (),
    decision: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates a model on the recordings of some folders; the result is ready for JSON.

    Args:
        task: name of the model's task, one of streamrnn.tasks.
        data: folders of recordings in any layout of streamrnn.data.read_folder, with the labels of the task: for
            vad, vad_segments.csv (path, start, end of speech in samples at the recording's own rate); for keywords,
            the column label, or a folder per word. Recordings may have any sample rate from 8 to 96 kHz and any format
            that libsndfile reads. As in training, folders named noise*, music* and rir*, and a class named
            _background_noise_, are not evaluated; if a folder defines no splits, split valid is the part that training
            holds out.
        model_name_or_path: a shipped model's name, or the path of a saved one.
        split: evaluate only recordings of this split, or of these splits; default: all. Of a task of lines, one part
            of its data; default: "test".
        progress: called with (recordings done, recordings) after each recording.
        negatives: for keywords, wake and phrases: folders of sound without any of the words, such as noise, music and
            other talk, whatever their names. All detections there are false alarms. Clips of split train are left out
            with an AudioWarning, as they may be training data; in a folder without splits, those are all but the part
            that training holds out.
        exclude: names of recordings to leave out, such as those with wrong labels: the last parts of their paths,
            with or without the ending.
        decision: decision settings that override the model's, such as {"grammar": text} for phrases.

    Returns:
        task, model, data and split as given; clips: number of evaluated recordings; streaming and offline: the figures
        of live runs in chunks of 100 ms, and of run_file (see the evaluate_... of the task). Recordings that cannot be
        evaluated are left out, counted and named in an AudioWarning; left_out then has the reason for each of them.

    Raises:
        FileNotFoundError: no such model, or a table is missing.
        ValueError: an unknown task or split, a model of another task, labels of one class alone, only noise, music or
            rooms, all negatives of split train, or no recording has a name in `exclude`.
        AudioError: no recording could be evaluated.
    """
    asked_of = task_of(task)
    measure = asked_of.resolve("evaluate")
    if negatives and "negatives" not in inspect.signature(measure).parameters:
        raise ValueError(f"{task} takes no negatives, as keywords, wake and phrases do. Leave them out.")
    places = [data] if isinstance(data, str | PathLike) else list(data)
    if asked_of.lines is not None:
        if exclude or (split is not None and not isinstance(split, str)):
            raise ValueError(
                f"{task} is judged on one part of its data, as a whole. Leave exclude and other splits out."
            )
        part = split or "test"
        figures = measure(
            load(model_name_or_path, **(decision or {})), [Path(place) for place in places], part, progress
        )
        return {**_asked(task, model_name_or_path, data, part), **figures}
    speech = speech_of([Path(place) for place in places])
    found = [clip for clips in speech.values() for clip in clips]
    if split is None:
        _warn_of_trained(found)
    else:
        warn_of_twins(found)
    clips, model = without(of_splits(found, split), exclude), load(model_name_or_path, **(decision or {}))
    extra = {"negatives": _untrained(negatives)} if negatives else {}
    figures = measure(model, list(speech), clips, progress, **extra)
    asked = _asked(task, model_name_or_path, data, split)
    return asked | ({"excluded": list(exclude)} if exclude else {}) | figures


def _asked(
    task: str, model: Folder, data: Folder | Sequence[Folder], split: str | Sequence[str] | None
) -> dict[str, Any]:
    named = str(data) if isinstance(data, str | PathLike) else [str(place) for place in data]
    return {"task": task, "model": str(model), "data": named, "split": split}


def speech_of(places: Sequence[Path]) -> dict[Path, list[Clip]]:
    """The recordings that training uses as speech, by folder.

    Raises:
        FileNotFoundError, ValueError: see find_recordings; there are none.
    """
    speech = {folder: clips for folder, clips in find_recordings(places).speech.items() if clips}
    if not speech:
        raise ValueError(
            f"{', '.join(map(str, places))} has nothing to judge: folders named {'*, '.join(KINDS)}* are noise, music "
            "and rooms. Pass recordings with labels, or give their folder another name."
        )
    return speech


def _warn_of_trained(clips: list[Clip]) -> None:
    trained = sum(clip.split == "train" for clip in clips)
    # Composed test sets have no splits; a folder with a test split also tells which recordings are training data.
    if trained and any(clip.split == "test" for clip in clips):
        warnings.warn(
            f"{trained} of {len(clips)} recordings are of split train, which training may have heard. Judge those of "
            "the others alone: --split test.",
            AudioWarning,
            stacklevel=3,
        )


def of_splits(clips: list[Clip], split: str | Sequence[str] | None) -> list[Clip]:
    """The clips of a split, or of several; None: all.

    Raises:
        ValueError: none is of one of the splits.
    """
    if split is None:
        return clips
    wanted, known = [split] if isinstance(split, str) else list(split), {clip.split for clip in clips}
    if unknown := [name for name in wanted if name not in known]:
        listed = ", ".join(sorted(known - {""})) or "none"
        raise ValueError(f"There is no recording of split {', '.join(map(repr, unknown))}; the splits are: {listed}.")
    return [clip for clip in clips if clip.split in wanted]


def _untrained(negatives: Sequence[Folder]) -> list[Clip]:
    found = find_recordings([Path(place) for place in negatives]).clips
    kept = [clip for clip in found if clip.split != "train"]
    advice = "To judge recordings that no training heard, write a manifest.csv that says split test beside them."
    if not kept:
        raise ValueError(f"All negatives are of split train, which training may have heard. {advice}")
    if len(kept) < len(found):
        warnings.warn(
            f"{len(found) - len(kept)} of {len(found)} negatives are of split train, which training may have heard, "
            f"and left out. {advice}",
            AudioWarning,
            stacklevel=3,
        )
    return kept


__all__ = ["evaluate", "of_splits", "speech_of"]
