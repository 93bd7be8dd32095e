"""Differentially private training: epsilon bounds how much one recording, or one speaker, can change the model.

The mechanism is DP-SGD (Abadi et al. 2016, "Deep learning with differential privacy"): the gradient of each unit is
clipped to a norm, Gaussian noise is added to the sum (optax.contrib.differentially_private_aggregate), and
dp-accounting composes the privacy loss of all updates.
"""

import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamrnn.learning.batches import Names, recordings_of, without_names
from streamrnn.learning.checkpoints import last_step
from streamrnn.learning.settings import TrainingSettings
from streamrnn.replacing import replace_file

SECRET, ROWS = "secret", "rows.jsonl"


def sampled_epsilon(share: float, noise: float, updates: int, delta: float) -> float:
    """Epsilon of updates in which each unit takes part with probability `share`, independently of all others.

    Assumes Poisson sampling and Gaussian noise of standard deviation `noise` times the clipping norm; neighbours differ
    by one unit. Holds against anyone who does not know which units took part.

    Raises:
        ImportError: dp-accounting is not installed.
    """
    events = _events()
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant()
    accountant.compose(events.PoissonSampledDpEvent(share, events.GaussianDpEvent(noise)), updates)
    return float(accountant.get_epsilon(delta))


def seen_epsilon(times: Counter[int], noise: float, delta: float) -> float:
    """Epsilon of a unit that is known to have been in certain updates: rows in an update -> number of such updates.

    Holds for any order of the data, even if it is known, so there is no amplification by sampling. In a neighbouring
    run, the rows with the unit contribute nothing.

    Raises:
        ImportError: dp-accounting is not installed.
    """
    _events()
    from dp_accounting import get_epsilon_gaussian

    # A sequence of Gaussian mechanisms is one, with their sensitivities combined (Dong, Roth and Su 2022).
    sensitivity = math.sqrt(_squared_rows(times))
    return float(get_epsilon_gaussian(noise / sensitivity, delta)) if sensitivity else 0.0


def _squared_rows(times: Counter[int]) -> int:
    return sum(rows**2 * updates for rows, updates in times.items())


class Ledger:
    """Accounts for the privacy loss of a training run, in files beside its checkpoints.

    Args:
        folder: of the run.
        settings: of the training; dp_noise is above 0.
        share: probability with which each unit is sampled into an update; None: rows are counted instead.
        speakers: speaker of each recording by path, if units are speakers; None: units are recordings.

    Raises:
        ImportError: dp-accounting is not installed.
        ValueError: the folder holds an earlier part of a run, and its secret is missing or damaged.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainingSettings,
        share: float | None = None,
        speakers: Mapping[str, Collection[str]] | None = None,
    ):
        _events()
        self.folder, self.settings, self.share, self.speakers = Path(folder), settings, share, speakers
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secret = self._secret()

    def noted(self, batches: Iterator[Any], start: int) -> Iterator[Any]:
        """Yields the batches from step `start` on, and records who is in them.

        Raises:
            ValueError: rows have no names, or units are speakers and a recording has none.
        """
        if self.share is not None:
            yield from batches
            return
        self._drop_incomplete_lines()
        with (self.folder / ROWS).open("a") as file:
            for step, batch in enumerate(batches, start=start):
                _, names = without_names(batch)
                if not names:
                    raise ValueError(
                        "The batches do not name what their rows are of, so nothing is known of whom they protect. "
                        "Let the recipe give them names, or train without --dp-noise."
                    )
                file.write(json.dumps([step, self._units(names)]) + "\n")
                file.flush()
                yield batch

    def statement(self) -> dict[str, Any]:
        """epsilon and delta, with everything they depend on, ready for JSON.

        Raises:
            ValueError: it is not recorded who was in some update.
        """
        s = self.settings
        told = {"unit": s.dp_unit, "clip": s.dp_clip, "noise": s.dp_noise, "delta": s.dp_delta}
        if self.share is not None:
            epsilon = sampled_epsilon(self.share, s.dp_noise, s.steps, s.dp_delta)
            how = {"sampling": "poisson", "share": self.share, "updates": s.steps}
        else:
            # Weights of any step reveal what all earlier updates did.
            times = self._times()
            empty: Counter[int] = Counter()
            worst = max(times.values(), key=_squared_rows, default=empty)
            epsilon = seen_epsilon(worst, s.dp_noise, s.dp_delta)
            how = {"sampling": "any order", "most_rows": sum(rows * n for rows, n in worst.items()), "updates": s.steps}
        return {"epsilon": epsilon, **told, **how}

    def forget(self) -> None:
        """Deletes the secret, with which the noise could be subtracted again."""
        (self.folder / SECRET).unlink(missing_ok=True)

    def _units(self, names: Sequence[Names]) -> list[list[str]]:
        return [sorted({unit for name in recordings_of(row) for unit in self._units_of(name)}) for row in names]

    def _units_of(self, name: str) -> Collection[str]:
        if self.speakers is None:
            return (name,)
        if not self.speakers.get(name):
            raise ValueError(
                f"{name} is in a row and has no speaker, so that none can be protected as a whole. Add it to the "
                "manifest with its speaker, or pass --dp-unit clip."
            )
        return self.speakers[name]

    def _times(self) -> dict[str, Counter[int]]:
        """For each unit: rows in an update -> number of such updates."""
        # A step that was repeated after a crash counts once.
        steps = dict(filter(None, map(_noted, (self.folder / ROWS).read_text().splitlines())))
        made = max(max(steps, default=-1) + 1, last_step(self.folder) or 0)
        if missing := sorted({*range(made)} - {*steps}):
            raise ValueError(
                f"{self.folder / ROWS} does not tell who was in update {missing[0] + 1}, so that epsilon is not known. "
                "Train into another --out."
            )
        times: dict[str, Counter[int]] = {}
        for rows in steps.values():
            for unit, n in Counter(unit for row in rows for unit in row).items():
                times.setdefault(unit, Counter())[n] += 1
        return times

    def _drop_incomplete_lines(self) -> None:
        path = self.folder / ROWS
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            replace_file(path, "".join(line for line in lines if line.endswith("\n") and _noted(line)).encode())

    def _secret(self) -> int:
        path = self.folder / SECRET
        if not path.exists():
            if (self.folder / "last").exists():
                raise ValueError(
                    f"{path} is missing: it is deleted at the end of a private run, and other runs have none. Nothing "
                    "private can go on from there. Train into another --out."
                )
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(str(secrets.randbits(64)))
        text = path.read_text()
        if not text.isdecimal():
            raise ValueError(f"{path} is damaged, so that this private run cannot go on. Train into another --out.")
        return int(text)


def _noted(line: str) -> tuple[int, list[list[str]]] | None:
    """(step, units of each row); None for the incomplete last line of a killed run, or of one with a full disk."""
    try:
        step, rows = json.loads(line)
    except ValueError:
        return None
    return step, rows


def _events() -> Any:
    try:
        from dp_accounting import dp_event
    except ImportError as error:
        raise ImportError(
            'Private training needs the package dp-accounting: pip install "streamrnn[privacy]"'
        ) from error
    return dp_event


__all__ = ["Ledger", "sampled_epsilon", "seen_epsilon"]
