"""Words and their pronunciations."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamrnn.data.series import Files, files_in
from streamrnn.data.tables import read_lines

PARTS = {"train": "train", "dev": "valid", "valid": "valid", "test": "test"}
# Percentages of words for validation and test, for dictionaries without parts.
VALIDATED, TESTED = 1, 4


@dataclass(frozen=True)
class Pronunciations:
    """The words of each part, "train", "valid" and "test", each with all its pronunciations."""

    parts: dict[str, dict[str, list[tuple[str, ...]]]]
    files: Files


def read_pronunciations(places: Sequence[Path]) -> Pronunciations:
    """Reads CMUdict, or tables such as SIGMORPHON's: dut_train.tsv, dut_dev.tsv and dut_test.tsv, each line a word, a
    tab, and phonemes separated by spaces.

    CMUdict has no parts: its words are split by a hash. Stress marks are removed, and words with other characters than
    letters and apostrophes are left out.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: a line has no phonemes, or the name of a table is not that of a part.
    """
    files = files_in(
        places, lambda path: path.name == "cmudict" or path.suffix == ".tsv", "a dictionary (cmudict, .tsv)"
    )
    parts: dict[str, dict[str, list[tuple[str, ...]]]] = {"train": {}, "valid": {}, "test": {}}
    for path in files.paths:
        for part, word, phonemes in _table(path) if path.suffix == ".tsv" else _dictionary(path):
            said = parts[part].setdefault(word, [])
            if phonemes not in said:
                said.append(phonemes)
    return Pronunciations(parts, files)


def _dictionary(path: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not (fields := line.lower().split()):
            continue
        # Other editions lack the number, and would lose the first phoneme of each word.
        if len(fields) < 3 or not fields[1].isdecimal():
            raise ValueError(
                f"{path}, line {number} is not of the CMUdict that NLTK has: a word, a number, and phonemes. Take that "
                "one, or write a table, train.tsv: a word, a tab, and phonemes."
            )
        word, _, *phonemes = fields
        if re.fullmatch(r"[a-z']*[a-z][a-z']*", word):
            drawn = zlib.crc32(word.encode()) % 100
            part = "valid" if drawn < VALIDATED else "test" if drawn < VALIDATED + TESTED else "train"
            yield part, word, tuple(phoneme.strip("012").upper() for phoneme in phonemes)


def _table(path: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    part = PARTS.get(path.stem.rpartition("_")[2])
    if part is None:
        raise ValueError(f"{path} names no part. Call it train.tsv, valid.tsv or test.tsv, or dut_train.tsv and so on.")
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        word, _, phonemes = line.partition("\t")
        word = word.strip()
        if not word or not phonemes.split():
            raise ValueError(f"{path}, line {number} has no word, a tab and phonemes.")
        yield part, word, tuple(phonemes.split())


__all__ = ["Pronunciations", "read_pronunciations"]
