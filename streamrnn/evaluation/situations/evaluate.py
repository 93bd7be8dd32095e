"""Evaluation of models, and other detectors, in the situations of a folder: one row of metrics each."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from streamrnn.data.situations import Recording, read_situations
from streamrnn.pretrained import load
from streamrnn.tasks import task_of

Rows = dict[str, dict[str, Any]]


@runtime_checkable
class Judge(Protocol):
    """Runs a detector over recordings, and evaluates it."""

    def hear(self, recording: Recording) -> None:
        """Processes the next recording of a situation."""
        ...

    def row(self) -> dict[str, Any]:
        """The metrics over the recordings since the last row."""
        ...


def evaluate_situations(
    task: str,
    situations: str | PathLike[str],
    model_name_or_path: str | PathLike[str] = "vad",
    only: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    decision: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Evaluates a model, run live in chunks of 100 ms, in situations; the result is ready for JSON.

    Args:
        task: what the model is for: vad, keywords or digits.
        situations: a folder as `streamrnn compose situations` writes it.
        model_name_or_path: a shipped model's name, or the path of a saved one.
        only: names of situations; default: all.
        progress: called with (situations done, situations) after each.
        decision: decision settings that override the model's, such as {"threshold": 0.7}.

    Returns:
        task, model, situations as given, and rows: figures by the name of the situation. See SpeechJudge.row and
        WordJudge.row.

    Raises:
        FileNotFoundError: no such model, or no situations.
        TypeError, ValueError: see load; an unknown task, one that is not judged in situations, a model of another one,
            or `only` names a situation that is not there.
    """
    judge: Judge = task_of(task).resolve("situations")(load(model_name_or_path, **(decision or {})))
    rows = judge_situations({"": judge}, Path(situations), only, progress)
    asked = {"task": task, "model": str(model_name_or_path), "situations": str(situations)}
    return asked | {"rows": {name: row[""] for name, row in rows.items()}}


def judge_situations(
    judges: Mapping[str, Judge],
    situations: Path,
    only: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Rows]:
    """The metrics of several judges, by situation and then by name; all process a recording before the next one.

    Raises:
        FileNotFoundError, ValueError: see evaluate_situations.
    """
    found = read_situations(situations, only)
    rows: dict[str, Rows] = {}
    for done, situation in enumerate(found, start=1):
        for recording in situation.recordings():
            for judge in judges.values():
                judge.hear(recording)
        rows[situation.name] = {name: judge.row() for name, judge in judges.items()}
        if progress is not None:
            progress(done, len(found))
    return rows


__all__ = ["Judge", "Rows", "evaluate_situations", "judge_situations"]
