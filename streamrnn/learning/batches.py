"""Names of a batch's rows, which may accompany its arrays: a row's name, or those of all its recordings."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

Names = str | Sequence[str]

# Name in messages for a row without recordings.
NAMELESS = "sound without a voice"


def without_names(batch: Any) -> tuple[Any, Sequence[Names]]:
    """(the batch's arrays, the names of its rows); names are the entry "names" of a dict; other batches have none."""
    if not isinstance(batch, dict) or "names" not in batch:
        return batch, ()
    return {key: value for key, value in batch.items() if key != "names"}, batch["names"]


def recordings_of(names: Names) -> tuple[str, ...]:
    """The recordings in a row, from its entry in "names": a str is a single one, whatever characters it contains."""
    return (names,) if isinstance(names, str) else tuple(names)


def suspects(batch: Any) -> list[str]:
    """The names of rows with NaN or infinity; if there are none, of all rows, since any may be the cause."""
    arrays, names = without_names(batch)
    told = [", ".join(recordings_of(of_row)) or NAMELESS for of_row in names]
    broken = [name for row, name in enumerate(told) if not _is_finite(arrays, row)]
    return broken or told


def _is_finite(arrays: Any, row: int) -> bool:
    rows = [np.asarray(leaf)[row] for leaf in jax.tree.leaves(arrays) if np.ndim(leaf)]
    return all(np.all(np.isfinite(values)) for values in rows)


__all__ = ["Names", "recordings_of", "suspects", "without_names"]
