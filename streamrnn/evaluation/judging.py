"""Running a model over clips, live and offline, whatever is judged afterwards."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource
from streamrnn.models import Model
from streamrnn.runtime import Stream, run_file
from streamrnn.training import Clip
from streamrnn.training.data import NAMED, SHORTEST_S

CHUNK_S = 0.1

Judged = TypeVar("Judged")
Progress = Callable[[int, int], None]


def judge_all(
    clips: Sequence[Clip], judge: Callable[[Clip], Judged], progress: Progress | None = None
) -> tuple[list[Judged], dict[str, Any]]:
    """What `judge` says of each clip, and what a report says of those of which it says nothing.

    Clips of which it raises AudioError or OSError are left out: an AudioWarning counts them and names the first three.
    The entry of the report is {"left_out": why each of them is}, or {} where there is none.

    Raises:
        AudioError: no clip could be judged.
    """
    judged: list[Judged] = []
    errors: list[str] = []
    for number, clip in enumerate(clips, start=1):
        try:
            judged.append(judge(clip))
        except (AudioError, OSError) as error:
            errors.append(str(error))
        if progress is not None:
            progress(number, len(clips))
    if not judged:
        raise AudioError(f"None of {len(clips)} recordings could be judged. The first: {errors[0]}")
    if errors:
        reasons = "; ".join(error.rstrip(".") for error in errors[:NAMED])
        told = f"{len(errors)} of {len(clips)} recordings could not be judged and are left out: {reasons}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    return judged, {"left_out": errors} if errors else {}


def stream_clip(model: Model, clip: Clip, chunk_s: float = CHUNK_S) -> tuple[np.ndarray, int, float]:
    """Runs a model live over a clip: (outputs float32[frames, out], the recording's sample rate, clip's duration_s).

    Raises:
        FileNotFoundError, AudioError: the clip cannot be read, or is shorter than 10 ms.
    """
    with AudioFile(clip.path) as file:
        stream = Stream(model, file.sample_rate, warm_up=False)
        chunks = file.chunks(round(chunk_s * file.sample_rate), clip.start, clip.end)
        outputs = [stream.process(chunk) for chunk in chunks]
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


__all__ = ["Progress", "judge_all", "scan_clip", "stream_clip"]
