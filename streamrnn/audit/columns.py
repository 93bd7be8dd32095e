"""Metadata of clips beyond what training needs: sex, age, accent, microphone, room, noise level."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from streamrnn.audit.telling import drawn
from streamrnn.data import Clip, find_folders
from streamrnn.data.tables import read_table, recording_of

OF_CLIPS = ("speaker", "label", "split")


def column_of(data: Sequence[Path], clips: Sequence[Clip], column: str, about: Path | None = None) -> list[str]:
    """The value of a column for each clip, "" if there is none.

    Args:
        data: the folders of the clips; the column is one of their manifest.csv, or speaker, label or split.
        clips: to look up.
        column: its name.
        about: instead, a table of speakers with the columns speaker and `column`. A speaker is found there by the whole
            name, or by what follows its last underscore, as corpora's own numbers do ("ls_19" is 19).

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: no table has the column, or it is empty for all clips; the message names the existing columns.
    """
    found = _of_speakers(about, clips, column) if about is not None else _of_clips(data, clips, column)
    if not any(found):
        where = str(about) if about is not None else ", ".join(map(str, data))
        raise ValueError(
            f"The column {column!r} says nothing of any of {len(clips)} clips in {where}. Its speakers and paths must "
            "be those of the recordings."
        )
    return found


def _of_speakers(about: Path, clips: Sequence[Clip], column: str) -> list[str]:
    told = {row["speaker"]: row[column] for row in read_table(about, ("speaker", column))}
    return [told.get(clip.speaker) or told.get(clip.speaker.rpartition("_")[2], "") for clip in clips]


def _of_clips(data: Sequence[Path], clips: Sequence[Clip], column: str) -> list[str]:
    told, columns = {}, set()
    for table in (folder / "manifest.csv" for folder in find_folders(data)):
        if table.is_file():
            rows = read_table(table, ("path",))
            columns |= rows[0].keys()
            told |= {
                (recording_of(table.parent, row), int(row.get("start") or 0)): row[column]
                for row in rows
                if column in row
            }
    if not told and column not in OF_CLIPS:
        known = ", ".join(sorted(columns - {"path", "start", "end"})) or "none"
        raise ValueError(
            f"No manifest.csv has the column {column!r}; columns are: {known}. Choose one of them, add it, or pass "
            f"--about TABLE with the columns speaker and {column}."
        )
    return [told.get((clip.path, clip.start), "") or getattr(clip, column, "") for clip in clips]


def sources_of(data: Sequence[Path], clips: Sequence[Clip]) -> list[str]:
    """The source of each clip: the column source, or else the name of the folder of `data` that it is in."""
    folders = find_folders(data)
    try:
        told = column_of(data, clips, "source")
    except ValueError:
        told = [""] * len(clips)
    return [
        source or next((folder.name for folder in folders if folder in clip.path.parents), "")
        for source, clip in zip(told, clips, strict=True)
    ]


def alike(sides: Sequence[Sequence[Clip]], data: Sequence[Path], most: int | None = None) -> list[list[Clip]]:
    """Matches the sources of both sides: as many clips of each, from as many speakers as possible; about `most` a side.

    Raises:
        ValueError: the sides have no source in common.
    """
    by_source: list[dict[str, list[Clip]]] = [{} for _ in sides]
    for found, clips in zip(by_source, sides, strict=True):
        for source, clip in zip(sources_of(data, clips), clips, strict=True):
            found.setdefault(source, []).append(clip)
    common = [source for source in by_source[0] if all(source in found for found in by_source)]
    if not common:
        raise ValueError(
            "Members and others have no source in common, so that none can be compared. Leave --match out."
        )
    least = {source: min(len(found[source]) for found in by_source) for source in common}
    part = min(1.0, (most or len(sides[0])) / sum(least.values()))
    return [
        [clip for source in common for clip in drawn(found[source], max(1, round(part * least[source])))]
        for found in by_source
    ]


def cut(values: Sequence[str], bounds: Sequence[float]) -> list[str]:
    """Groups of a column of numbers: "below 5", "5 to 15", "15 and more"; "" stays.

    Raises:
        ValueError: bounds do not rise, or an entry is no number.
    """
    if not all(low < high for low, high in pairwise(bounds)) or any(map(math.isnan, bounds)):
        raise ValueError(f"--cuts are {', '.join(f'{bound:g}' for bound in bounds)}; they must rise.")
    names = [f"below {bounds[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(bounds))]
    names.append(f"{bounds[-1]:g} and more")
    return [names[sum(_number(value) >= bound for bound in bounds)] if value else "" for value in values]


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"--cuts need numbers, and the column has {value!r}. Leave --cuts out.") from None
    if math.isnan(number):
        raise ValueError(f"--cuts need numbers, and the column has {value!r}. Leave such fields empty.")
    return number


__all__ = ["alike", "column_of", "cut", "sources_of"]
