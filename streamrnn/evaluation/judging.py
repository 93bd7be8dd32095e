"""Running a model over clips, live and offline, whatever is judged afterwards."""

import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource
from streamrnn.models import Model
from streamrnn.runtime import Stream, run_file
from streamrnn.training import Clip

CHUNK_S = 0.1

Judged = TypeVar("Judged")
Progress = Callable[[int, int], None]


def judge_all(clips: Sequence[Clip], judge: Callable[[Clip], Judged], progress: Progress | None = None) -> list[Judged]:
    """What `judge` says of each clip. Those that cannot be read are left out, counted and named in an AudioWarning.

    Raises:
        AudioError: no clip could be read.
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
        raise AudioError(f"None of {len(clips)} recordings could be read. The first: {errors[0]}")
    if errors:
        told = f"{len(errors)} of {len(clips)} recordings could not be read and are left out: {'; '.join(errors[:3])}"
        warnings.warn(told, AudioWarning, stacklevel=2)
    return judged


def stream_clip(model: Model, clip: Clip, chunk_s: float = CHUNK_S) -> tuple[np.ndarray, int, float]:
    """Runs a model live over a clip: (outputs float32[frames, out], the recording's sample rate, clip's duration_s).

    Raises:
        FileNotFoundError, AudioError: the clip cannot be read.
    """
    with AudioFile(clip.path) as file:
        stream = Stream(model, file.sample_rate, warm_up=False)
        chunks = file.chunks(round(chunk_s * file.sample_rate), clip.start, clip.end)
        outputs = [stream.process(chunk) for chunk in chunks]
        return np.concatenate([*outputs, stream.flush()]), file.sample_rate, stream.duration_s


def scan_clip(model: Model, clip: Clip) -> np.ndarray:
    """Runs a model offline over a clip: outputs float32[frames, out].

    Raises:
        FileNotFoundError, AudioError: the clip cannot be read.
    """
    with AudioFile(clip.path) as file:
        return run_file(model, ChunkSource(file.chunks(file.sample_rate, clip.start, clip.end), file.sample_rate))


__all__ = ["Progress", "judge_all", "scan_clip", "stream_clip"]
