"""Running a model over clips, live and offline, for all evaluations."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource, mono
from streamrnn.data import Clip
from streamrnn.data.clips import NAMED, SHORTEST_S, at_place
from streamrnn.decisions import Event, EventKind
from streamrnn.decisions.outlets import Gives
from streamrnn.models import Model
from streamrnn.runtime import Stream, run_file

CHUNK_S = 0.1

Judged = TypeVar("Judged")
OnProgress = Callable[[int, int], None]


def require(model: Model, needed: EventKind | Gives, what: str, kind_of_model: str) -> None:
    """Raises ValueError, on behalf of `what`, if the model lacks the needed kind of events, or outputs no sound."""
    outlet = model.outlet()
    if needed not in (outlet.gives, *outlet.kinds):
        raise unfit(what, model, kind_of_model)


def unfit(what: str, model: Any, kind_of_model: str) -> ValueError:
    """The error for a model that is not of the needed kind."""
    name = type(model).__name__
    return ValueError(f"{what} got {'an' if name[0] in 'AEIOU' else 'a'} {name}; it needs {kind_of_model}. Pass one.")


def judge_all(
    clips: Sequence[Clip], judge: Callable[[Clip], Judged], progress: OnProgress | None = None
) -> tuple[list[Judged], dict[str, Any]]:
    """The results of `judge` for each clip, and the report's entry about clips without a result.

    Clips for which it raises AudioError or OSError are left out: an AudioWarning counts them and names the first three.
    The entry of the report is {"left_out": the reason for each}, or {} if there are none.

    Raises:
        ValueError: there are no clips.
        AudioError: no clip could be evaluated.
    """
    judged: list[Judged] = []
    errors: list[str] = []
    for number, clip in enumerate(clips, start=1):
        try:
            judged.append(judge(clip))
        except (AudioError, OSError) as error:
            errors.append(str(at_place(clip, error)))
        if progress is not None:
            progress(number, len(clips))
    if not clips:
        raise ValueError("There is no recording to judge. Pass one or more.")
    if not judged:
        raise AudioError(f"None of {len(clips)} recordings could be judged. The first: {errors[0]}")
    if errors:
        reasons = "; ".join(error.rstrip(".") for error in errors[:NAMED])
        told = f"{len(errors)} of {len(clips)} recordings could not be judged and are left out: {reasons}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    return judged, {"left_out": errors} if errors else {}


def require_judged(found: bool, left_out: dict[str, Any], what: str) -> None:
    """Raises AudioError if no clip of `what`, such as "a word", is among those that could be evaluated."""
    if not found:
        raise AudioError(f"No recording of {what} could be judged. The first: {left_out['left_out'][0]}")


def stream_clip(model: Model, clip: Clip, chunk_s: float = CHUNK_S) -> tuple[np.ndarray, int, float]:
    """Runs a model live over a clip: (outputs float32[frames, out], the recording's sample rate, clip's duration_s).

    Raises:
        FileNotFoundError, AudioError: the clip cannot be read, or is shorter than 10 ms.
    """
    with AudioFile(clip.path) as file:
        stream = Stream(model, file.sample_rate, warm_up=False)
        chunks = file.chunks(round(chunk_s * file.sample_rate), clip.start, clip.end)
        outputs = [stream.process(samples) for samples in mono(chunks, file.sample_rate)]
        outputs.append(stream.flush())
        if stream.duration_s < SHORTEST_S:
            raise AudioError(
                f"{clip.path} lasts {1000 * stream.duration_s:.2g} ms. Leave it out, or correct its bounds."
            )
        return np.concatenate(outputs), file.sample_rate, stream.duration_s


def scan_clip(model: Model, clip: Clip) -> np.ndarray:
    """Runs a model offline over a clip: outputs float32[frames, out].

    Raises:
        FileNotFoundError, AudioError: the clip cannot be read.
    """
    with AudioFile(clip.path) as file:
        return run_file(model, ChunkSource(file.chunks(file.sample_rate, clip.start, clip.end), file.sample_rate))


def decided(model: Model, outputs: np.ndarray, duration_s: float) -> list[Event]:
    """The events of a whole clip, from the model's outputs[frames, out]."""
    decoder = model.decoder()
    return decoder.push(outputs) + decoder.finish(duration_s)


__all__ = ["OnProgress", "decided", "judge_all", "require", "require_judged", "scan_clip", "stream_clip", "unfit"]
