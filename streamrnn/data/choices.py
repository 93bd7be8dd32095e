"""Choices of people and their rewards: tables with one row per choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamrnn.data.series import Files, files_in
from streamrnn.data.tables import clean, read_rows
from streamrnn.signals import LARGEST

COLUMNS = ("user", "choice", "reward")
MISSED = ("", "nan", "na")


@dataclass(frozen=True)
class People:
    """Sequences of choices by person, in parts that share no person.

    Attributes:
        parts: "train", "valid" and "test": for each person float32[choices, 2], the choice, from 1 on (0: none was
            made), and the reward.
        files: the source files.
    """

    parts: dict[str, list[np.ndarray]]
    files: Files

    def part(self, name: str) -> list[np.ndarray]:
        """The people of a part. Raises ValueError if there are none, or none has a choice after the first row."""
        people = self.files.part_of(self.parts, name)
        if not any(person[1:, 0].any() for person in people):
            raise ValueError(
                f"Of the {len(people)} people of the part {name!r} none has made a choice after the first, so that "
                f"nothing comes next. All rows of a person need the same user in {self.files.paths[0]}."
            )
        return people


def read_people(places: Sequence[Path]) -> People:
    """Reads a CSV with a header and the columns user, choice and reward, each person's choices in order; other columns
    are ignored. Of every ten people, in the order of the table, two are for the test and one is for validation.

    Raises:
        FileNotFoundError: there is no table.
        ValueError: there is more than one, a column is missing or duplicated, a row is incomplete, or a cell is not a
            number.
    """
    files = files_in(places, lambda path: path.suffix.lower() == ".csv", "a table of choices (.csv)")
    path, *others = files.paths
    if others:
        raise ValueError(f"{1 + len(others)} tables: {path}, {others[0]} and so on. Pass one of them.")
    people: dict[str, list[tuple[float, float]]] = {}
    rows = read_rows(path)
    header = [clean(name) for name in next(rows, ("", []))[1]]
    for name in COLUMNS:
        if (count := header.count(name)) != 1:
            has = f"{count} columns" if count else "no column"
            raise ValueError(f"{path} has {has} {name!r}. It needs a header with {', '.join(COLUMNS)}.")
    for place, cells in rows:
        if len(cells) != len(header):
            raise ValueError(f"{place} has {len(cells)} cells; the header has {len(header)}. Mend it.")
        row = dict(zip(header, map(clean, cells), strict=True))
        people.setdefault(row["user"], []).append(_choice(row, place))
    parts: dict[str, list[np.ndarray]] = {"train": [], "valid": [], "test": []}
    for number, choices in enumerate(people.values()):
        name = "test" if number % 10 in (4, 9) else "valid" if number % 10 == 6 else "train"
        parts[name].append(np.array(choices, np.float32))
    return People(parts, files)


def _choice(row: dict[str, str], where: str) -> tuple[float, float]:
    if row["choice"].lower() in MISSED:
        return 0.0, 0.0
    try:
        choice, reward = float(row["choice"]), float(row["reward"])
    except ValueError:
        raise ValueError(
            f"{where} has the choice {row['choice']!r} and the reward {row['reward']!r}. Mend it."
        ) from None
    if not (choice >= 1 and choice.is_integer() and 0 <= reward <= LARGEST):
        raise ValueError(
            f"{where}: choices are 1, 2, 3 and so on, with a reward from 0 to {LARGEST:g}; got {choice:g} and "
            f"{reward:g}."
        )
    return choice, reward


__all__ = ["People", "read_people"]
