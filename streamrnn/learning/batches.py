"""The names of a batch's rows, which it may have beside its arrays."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np


def without_names(batch: Any) -> tuple[Any, Sequence[str]]:
    """(the batch's arrays, the names of its rows); names are the entry "names" of a dict; other batches have none."""
    if not isinstance(batch, dict) or "names" not in batch:
        return batch, ()
    return {key: value for key, value in batch.items() if key != "names"}, batch["names"]


def suspects(batch: Any) -> Sequence[str]:
    """Names of the rows with NaN or infinity; if there are none, of all rows, since any may be the cause."""
    arrays, names = without_names(batch)
    broken = [name for row, name in enumerate(names) if not _is_finite(arrays, row)]
    return broken or names


def _is_finite(arrays: Any, row: int) -> bool:
    rows = [np.asarray(leaf)[row] for leaf in jax.tree.leaves(arrays) if np.ndim(leaf)]
    return all(np.all(np.isfinite(values)) for values in rows)


__all__ = ["suspects", "without_names"]
