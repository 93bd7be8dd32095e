"""Speech labels of recordings: tables of segments, and the class of each cell of a clip."""

import math
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning
from streamrnn.data.clips import Clip, named
from streamrnn.data.live_scenes import SPEECH, UNKNOWN
from streamrnn.data.tables import read_span, read_table, recording_of

TABLE = "vad_segments.csv"
KINDS = ("speech", "unknown")
QUALITIES = ("A", "B")

Segments = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SpeechLabels:
    """The labels of one recording.

    Attributes:
        speech, unknown: (start, end) in samples at the recording's own rate; the rest is not speech.
        quality: A (clean) or B.
    """

    speech: Segments = ()
    unknown: Segments = ()
    quality: str = "A"

    def of(self, clip: Clip, length_samples: int, sample_rate: int) -> "SpeechLabels":
        """The labels of a clip of that recording, in samples at `sample_rate` from the start of the clip."""
        with AudioFile(clip.path) as file:
            scale = sample_rate / file.sample_rate
        speech, unknown = (_within(of, clip.start, scale, length_samples) for of in (self.speech, self.unknown))
        return SpeechLabels(speech, unknown, self.quality)

    def cells(self, length_samples: int, cell_samples: int) -> np.ndarray:
        """int8[length_samples // cell_samples]: NOISE, SPEECH or UNKNOWN, as in the middle of each cell."""
        line = np.zeros(length_samples, np.int8)
        for number, segments in ((SPEECH, self.speech), (UNKNOWN, self.unknown)):
            for start, end in segments:
                line[start:end] = number
        return line[cell_samples // 2 :: cell_samples][: length_samples // cell_samples]


def read_speech_labels(table: Path, folder: Path | None = None) -> dict[Path, SpeechLabels]:
    """Reads a table of segments; returns the labels by path of the recording.

    Columns: path, start, end (samples); optional: kind (speech, the default, or unknown), quality (A, the default,
    or B).

    Args:
        table: usually vad_segments.csv.
        folder: base of the paths; default: the folder of the table.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, there are no rows, an unknown kind or quality, two qualities of one recording,
            or not 0 <= start <= end in whole numbers.
    """
    found: dict[Path, tuple[list, list, str]] = {}
    for row in read_table(table, ("path", "start", "end")):
        kind, quality = row.get("kind") or "speech", row.get("quality") or "A"
        for name, value, known in (("kind", kind, KINDS), ("quality", quality, QUALITIES)):
            if value not in known:
                raise ValueError(f"{row.place}: {name} is {value!r}; it is one of {', '.join(known)}.")
        recording = recording_of(folder or table.parent, row)
        speech, unknown, said = found.setdefault(recording, ([], [], quality))
        if said != quality:
            raise ValueError(f"{row.place}: quality is {quality}, and an earlier row of {row['path']} says {said}.")
        (speech if kind == "speech" else unknown).append(read_span(row))
    return {
        path: SpeechLabels(tuple(speech), tuple(unknown), quality) for path, (speech, unknown, quality) in found.items()
    }


def labelled_clips(
    clips: Sequence[Clip], labels: dict[Path, SpeechLabels], qualities: Collection[str]
) -> list[tuple[Clip, SpeechLabels]]:
    """Clips of recordings that have labels of one of these qualities, with these labels."""
    found = ((clip, labels.get(clip.path)) for clip in clips)
    return [(clip, of) for clip, of in found if of is not None and of.quality in qualities]


def _within(segments: Segments, first: int, scale: float, length_samples: int) -> Segments:
    moved = ((round((start - first) * scale), round((end - first) * scale)) for start, end in segments)
    cut = ((max(start, 0), min(end, length_samples)) for start, end in moved)
    return tuple((start, end) for start, end in cut if start < end)


def warn_of_labels(table: Path, folder: Path | None = None) -> None:
    """Warns of segments in a vad_segments.csv whose recordings are missing, or end earlier."""
    missing, shorter = [], []
    for path, labels in read_speech_labels(table, folder).items():
        if not path.is_file():
            missing.append(str(path))
        elif max(end for _, end in labels.speech + labels.unknown) > _frames_of(path):
            shorter.append(str(path))
    if missing:
        told = f"{table} has segments of {len(missing)} recordings that are not there: {named(missing)}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    if shorter:
        warnings.warn(
            f"{table} has segments that end behind their recordings, {len(shorter)} in all: {named(shorter)}. Starts "
            "and ends are samples at a recording's own rate.",
            AudioWarning,
            stacklevel=2,
        )


def _frames_of(path: Path) -> float:
    try:
        with AudioFile(path) as file:
            return file.measured_frames()
    except AudioError:
        # The code that reads the recording reports what is wrong with it.
        return math.inf


__all__ = ["TABLE", "SpeechLabels", "labelled_clips", "read_speech_labels", "warn_of_labels"]
