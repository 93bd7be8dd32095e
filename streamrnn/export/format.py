"""What exported files say of themselves, read back. Needs no JAX."""

from collections.abc import Mapping
from typing import Any

import numpy as np

FORMAT = 1
# The entry of an ONNX file's metadata that holds the JSON.
KEY = "streamrnn"

STEP, RECORDING = "step", "recording"


def require_format(found: Mapping[str, Any], path: Any, kind: str) -> None:
    """Raises ValueError unless this version can run what the file holds, and it is of that kind."""
    name = found.get("name") or "MODEL"
    if found.get("format") != FORMAT:
        raise ValueError(
            f"{path} has export format {found.get('format')}; this version of streamrnn runs format {FORMAT}. "
            f"Export the model again: streamrnn export {name} {path}"
        )
    if found.get("kind") != kind:
        scan = "" if kind == STEP else " --scan"
        raise ValueError(
            f"{path} holds a graph of kind {found.get('kind')!r}; needed is {kind!r}. "
            f"Export the model again: streamrnn export {name} {path}{scan}"
        )


def initial_state(described: Mapping[str, Any], batch_size: int = 1) -> np.ndarray:
    """The array of fresh streams for an entry of `states`: [batch, *shape]."""
    shape = (batch_size, *described["shape"])
    return np.broadcast_to(np.asarray(described.get("initial", 0), described["dtype"]), shape).copy()


__all__ = ["FORMAT", "KEY", "RECORDING", "STEP", "initial_state", "require_format"]
