"""Situations on disk: tables that list recordings with their ground truth, and how they are read."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrnn.audio import read_audio
from streamrnn.data.tables import Row, read_span, read_table, recording_of
from streamrnn.suggestions import did_you_mean

CONTENTS, SEGMENTS, WORDS = "situations.csv", "vad_segments.csv", "words.csv"


@dataclass(frozen=True)
class Recording:
    """A composed recording, float32[n], and its ground truth.

    Attributes:
        segments: speech, (start, end) in samples.
        words: spoken words, (start, end, word); empty if not transcribed.
        judged_from: sound before this sample only leads up to what is evaluated.
        kind: which of several sounds it is.
        compared: decisions are to be compared with those of a stream that begins at judged_from.
    """

    samples: np.ndarray
    sample_rate: int
    segments: Sequence[tuple[int, int]]
    words: Sequence[tuple[int, int, str]]
    judged_from: int
    kind: str
    compared: bool


@dataclass(frozen=True)
class SituationFolder:
    """One situation on disk."""

    name: str
    folder: Path
    compared: bool

    def recordings(self) -> Iterator[Recording]:
        """Yields its recordings, in order.

        Raises:
            FileNotFoundError, AudioError, ValueError: a table or a recording is missing or not valid.
        """
        segments = {path: [read_span(row) for row in rows] for path, rows in _rows_of(self.folder / SEGMENTS).items()}
        words = {
            path: [(*read_span(row), row["word"]) for row in rows]
            for path, rows in _rows_of(self.folder / WORDS, "word").items()
        }
        for row in read_table(self.folder / "manifest.csv", ("path", "label", "judged_from")):
            path = recording_of(self.folder, row)
            samples, sample_rate = read_audio(path)
            spoken, said = segments.get(path, []), words.get(path, [])
            yield Recording(
                samples, sample_rate, spoken, said, int(row["judged_from"]), row["label"], compared=self.compared
            )


def read_situations(folder: Path, only: Sequence[str] = ()) -> list[SituationFolder]:
    """Reads the situations in a folder, in the order of its table.

    Args:
        only: names of situations; default: all.

    Raises:
        FileNotFoundError: the folder has no situations.csv.
        ValueError: `only` names an unknown one.
    """
    rows = read_table(folder / CONTENTS, ("situation", "says", "compared"))
    names = [row["situation"] for row in rows]
    if unknown := sorted(set(only) - set(names)):
        meant = did_you_mean(unknown[0], names)
        raise ValueError(f"{folder} has no situation {', '.join(unknown)}.{meant} It has: {', '.join(names)}.")
    return [
        SituationFolder(row["situation"], folder / row["situation"], row["compared"] == "1")
        for row in rows
        if not only or row["situation"] in only
    ]


def _rows_of(table: Path, *columns: str) -> dict[Path, list[Row]]:
    """The rows of a table by recording; none if the table has only a header, as for recordings without speech."""
    rows: dict[Path, list[Row]] = defaultdict(list)
    with table.open("rb") as file:
        empty = sum(1 for _, _ in zip(file, range(2), strict=False)) < 2
    for row in [] if empty else read_table(table, ("path", "start", "end", *columns)):
        rows[recording_of(table.parent, row)].append(row)
    return rows


__all__ = ["CONTENTS", "SEGMENTS", "WORDS", "Recording", "SituationFolder", "read_situations"]
