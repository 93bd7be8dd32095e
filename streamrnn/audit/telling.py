"""Per-clip results of a task, on which all audits are based."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamrnn.data import Clip, find_folders
from streamrnn.decisions import Event
from streamrnn.evaluation.evaluate import of_splits, speech_of
from streamrnn.evaluation.judging import OnProgress, judge_all
from streamrnn.models import Model
from streamrnn.pretrained import describe, load, locate
from streamrnn.tasks import Task, find_task, task_of, tasks

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Told:
    """The result of a model's run on one clip.

    Attributes:
        sums: float64[k], which add up over clips; the task's metric is computed from the totals.
        loss: how badly the model explains the clip's label, lower for a better fit; in the unit of the task's loss.
        confidences: scores of its answers in the clip, [answers], in [0, 1], by which a decoder hands over.
        right: whether these answers are correct, bool[answers].
    """

    sums: Floats
    loss: float
    confidences: Floats = field(default_factory=lambda: np.zeros(0))
    right: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))


class Teller(Protocol):
    """A task's only part in audits: made by (model, folders), called clip by clip.

    Attributes:
        figure: the name of the task's metric.
        higher_is_better: which way it is better.
        answers: what an answer is, such as "word"; "" for models that give no events.
    """

    figure: str
    higher_is_better: bool
    answers: str

    def tell(self, clip: Clip) -> Told | None:
        """Runs the model on the clip; None if the clip has no label for this task.

        Raises:
            AudioError, OSError: the clip cannot be read.
        """
        ...

    def of(self, sums: Floats) -> Floats:
        """The metric of sums[..., k], [...]; NaN where it is undefined."""
        ...


@dataclass(frozen=True, eq=False)
class Tellings:
    """The results on many clips.

    Attributes:
        task, model: their names.
        teller: that evaluated them.
        clips, told: one of each per clip.
        left_out: an entry {"left_out": reasons} for the report, or {}.
    """

    task: str
    model: str
    teller: Teller
    clips: list[Clip]
    told: list[Told]
    left_out: dict[str, Any]

    @property
    def sums(self) -> Floats:
        """float64[clips, k]."""
        return np.stack([told.sums for told in self.told])

    @property
    def losses(self) -> Floats:
        """float64[clips]."""
        return np.array([told.loss for told in self.told])

    @property
    def speakers(self) -> list[str]:
        """The speaker of each clip; "" if unknown."""
        return [clip.speaker for clip in self.clips]


def task_of_model(name_or_path: str | PathLike[str], model: Model, named: str | None = None) -> Task:
    """The task for auditing a model: the one named, that of its description, or the one of its class.

    Raises:
        ValueError: none is known, there is none of that name, or it does not support audits.
    """
    told = named or describe(locate(name_or_path)).get("task")
    task = task_of(named) if named else find_task(str(told)) if told else None
    if task is None:
        kind = type(model).__name__
        task = next((each for each in tasks() if each.model.endswith(f":{kind}")), None)
    if task is None or task.teller is None:
        known = ", ".join(each.name for each in tasks() if each.teller is not None)
        if task is not None and task.lines is not None:
            raise ValueError(f"{name_or_path} reads lines; audits are for tasks of sound: {known}.")
        raise ValueError(
            f"{name_or_path} is a model of the task {told or 'that it does not name'}, which tells nothing of clips. "
            f"Pass --task, one of {known}; or give the task a teller (see streamrnn.audit.telling)."
        )
    return task


def tell_all(
    name_or_path: str | PathLike[str],
    data: Sequence[Path],
    clips: Sequence[Clip],
    progress: OnProgress | None = None,
    task: str | None = None,
) -> Tellings:
    """Runs a model over clips of the folders `data`, and evaluates each with the task's teller.

    Raises:
        FileNotFoundError: there is no such model, or a table of the task is missing.
        ValueError: the task is unknown or does not support audits, or no clip has a label for it.
        AudioError: no clip could be read.
    """
    model = load(name_or_path)
    found = task_of_model(name_or_path, model, task)
    teller: Teller = found.resolve("teller")(model, find_folders(data))
    judged, left_out = judge_all(clips, lambda clip: (clip, teller.tell(clip)), progress)
    kept = [(clip, told) for clip, told in judged if told is not None]
    if not kept:
        raise ValueError(
            f"None of {len(judged)} clips has a truth for the task {found.name}. Pass recordings with its labels, as "
            f"for streamrnn evaluate {found.name}."
        )
    return Tellings(
        found.name, str(name_or_path), teller, [clip for clip, _ in kept], [told for _, told in kept], left_out
    )


def answers_of(model: Model, outputs: np.ndarray) -> list[Event]:
    """The events of a clip's outputs, float32[frames, out], by the model's decoder, nothing handed over."""
    never = {"hand_over": 0.0} if hasattr(model.decision, "hand_over") else {}
    decoder = model.decoder(**never)
    return decoder.push(outputs) + decoder.finish(len(outputs) * model.frame_s)


def clips_of(data: Sequence[Path], splits: Sequence[str] = ()) -> list[Clip]:
    """The clips that evaluate uses, of some splits or all: no noise, music or rooms; if a folder has no splits, split
    valid is what training holds out.

    Raises:
        FileNotFoundError, ValueError: see speech_of; there is no clip of any of these splits.
    """
    found = [clip for clips in speech_of(data).values() for clip in clips]
    there = [split for split in splits if any(clip.split == split for clip in found)]
    return of_splits(found, there or splits or None)


def drawn(clips: Sequence[Clip], most: int | None, seed: int = 0) -> list[Clip]:
    """Draws at most so many of the clips, keeping their order, with as many speakers as possible."""
    if most is None or len(clips) <= most:
        return list(clips)
    rng = np.random.default_rng(seed)
    turns: dict[str, int] = {}
    rank = np.zeros(len(clips))
    for number in rng.permutation(len(clips)):
        speaker = clips[number].speaker or f"clip {number}"
        turns[speaker] = turns.get(speaker, 0) + 1
        rank[number] = turns[speaker] + rng.random()
    return [clips[number] for number in sorted(np.argsort(rank, kind="stable")[:most].tolist())]


__all__ = ["Teller", "Tellings", "Told", "answers_of", "clips_of", "drawn", "task_of_model", "tell_all"]
