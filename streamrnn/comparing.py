"""What is compared with something that a file has kept: a run, a batch, a stream's settings."""

import json
from typing import Any


def as_kept(value: Any) -> Any:
    """The value as it comes back from JSON, in which tuples are lists, keys are text and NumPy's numbers are plain.

    Raises:
        TypeError: JSON cannot hold it.
    """
    return json.loads(json.dumps(value, default=_plain))


def _plain(number: Any) -> Any:
    """A number of NumPy, such as one of np.arange, as Python's. Raises TypeError where it is none."""
    if getattr(number, "ndim", None) == 0 and hasattr(number, "item"):
        return number.item()
    raise TypeError(f"{type(number).__name__} cannot be stored as JSON. Pass numbers, strings, lists and dicts.")


__all__ = ["as_kept"]
