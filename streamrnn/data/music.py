"""Pieces of music as rolls of 88 keys: collections in MATLAB's format, or your own texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from streamrnn.data.series import Files, files_in, require_once
from streamrnn.data.tables import read_lines
from streamrnn.lines import LineError, MusicLines

PARTS = {"traindata": "train", "validdata": "valid", "testdata": "test"}
TEXTS = {"train.txt": "train", "valid.txt": "valid", "test.txt": "test"}
KEYS, LOWEST_MIDI = 88, 21


@dataclass(frozen=True)
class Pieces:
    """Pieces in parts, each float32[frames, 88], and their source files."""

    parts: dict[str, list[np.ndarray]]
    files: Files

    def part(self, name: str) -> list[np.ndarray]:
        """The pieces of a part. Raises ValueError if there are none, or all have a single frame."""
        pieces = self.files.part_of(self.parts, name)
        if all(len(piece) < 2 for piece in pieces):
            raise ValueError(
                f"The {len(pieces)} pieces of the part {name!r} have one frame each, after which nothing comes. An "
                "empty line ends a piece: leave out those between frames."
            )
        return pieces


def read_pieces(places: Sequence[Path]) -> Pieces:
    """Reads a collection such as JSB_Chorales.mat (traindata, validdata and testdata), or your own train.txt, valid.txt
    and test.txt: a line per frame, such as "C3 G3 E4 C5", and an empty line between pieces.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is more than one collection, two texts have the same name, or a file is damaged.
    """
    what = "a collection of music (.mat), or train.txt, valid.txt and test.txt"
    files = files_in(places, lambda path: path.suffix == ".mat" or path.name in TEXTS, what)
    collections = [path for path in files.paths if path.suffix == ".mat"]
    if len(collections) > 1 or (collections and len(files.paths) > 1):
        told = ", ".join(path.name for path in files.paths)
        raise ValueError(f"There is more than one collection: {told}. Pass one of these files.")
    require_once(files, places)
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    for path in files.paths:
        if path.suffix == ".mat":
            parts |= _collection(path)
        elif path.name in TEXTS:
            parts[TEXTS[path.name]] = _text(path)
        else:
            raise ValueError(f"{path} is no {what}.")
    return Pieces(parts, files)


def _collection(path: Path) -> dict[str, list[np.ndarray]]:
    from scipy.io import loadmat

    try:
        found = loadmat(path)
        parts = {PARTS[name]: [np.asarray(piece, np.float32) for piece in found[name].flat] for name in PARTS}
    except Exception as error:
        raise ValueError(f"{path} can't be read ({error!r}). Fetch it again.") from error
    if any(piece.ndim != 2 or piece.shape[1] != KEYS for pieces in parts.values() for piece in pieces):
        raise ValueError(f"{path} has pieces that are no rolls of {KEYS} keys.")
    if not all(np.isin(piece, (0, 1)).all() for pieces in parts.values() for piece in pieces):
        raise ValueError(
            f"{path} has other numbers than 0 and 1: a key sounds or does not. Write 1 for all that sounds."
        )
    return parts


def _text(path: Path) -> list[np.ndarray]:
    lines = MusicLines(SimpleNamespace(settings=SimpleNamespace(keys=KEYS, lowest_midi=LOWEST_MIDI)))
    pieces: list[list[np.ndarray]] = [[]]
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            pieces.append([])
            continue
        try:
            pieces[-1].append(lines.frames(line))
        except LineError as error:
            raise ValueError(f"{path}, line {number}: {error}.") from None
    return [np.concatenate(piece) for piece in pieces if piece]


__all__ = ["KEYS", "LOWEST_MIDI", "Pieces", "read_pieces"]
