"""What is compared with something that a file has kept: a run, a batch, a stream's settings."""

import json
from typing import Any


def as_kept(value: Any) -> Any:
    """The value as it comes back from JSON, in which tuples are lists and keys are text."""
    return json.loads(json.dumps(value))


__all__ = ["as_kept"]
