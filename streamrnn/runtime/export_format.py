"""Reads and checks the metadata of exported files. Does not need JAX."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamrnn.signals import Signal, Sound, signal_from

# Formats of graphs that take sound and of graphs that take another signal; a reader supports all up to the last.
SOUND_FORMAT, SERIES_FORMAT = 1, 2
# The key of the JSON in an ONNX file's metadata.
KEY = "streamrnn"

# Graphs of one block, of whole recordings, and of one block with the signature of Silero VAD.
STEP, RECORDING, SILERO = "step", "recording", "silero"
# The dtypes of state arrays.
DTYPES = ("float32", "int32")
# Limit of one stream's state, a gigabyte. More is a mistake or an attempt to exhaust memory.
MOST_NUMBERS = 2**28
# name -> smallest allowed value.
WHOLE = {"warm_up_frames": 0, "out_features": 1}


def read_metadata(text: str, path: Any, kind: str) -> dict[str, Any]:
    """A file's metadata, checked before anything is built from it.

    Raises:
        ValueError: it is damaged, or of another format or kind; the message names the file.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({error!r:.100})") from error
    if not isinstance(found, dict):
        raise _damaged(path, f"it is {found!r:.40}, not an object")
    require_format(found, path, kind)
    takes = {"sample_rate": 1, "block_samples": 1} if found["format"] == SOUND_FORMAT else {"stride": 1}
    for name, least in (WHOLE | takes).items():
        if not _is_whole(found.get(name), least):
            raise _damaged(path, f"{name} is {found.get(name)!r:.40}, not a whole number of {least} or more")
    states = found.get("states")
    if not isinstance(states, list) or not all(map(_is_state, states)):
        raise _damaged(path, "states is not a list of arrays, each with name, next, shape and dtype (float32 or int32)")
    block, late = _block_numbers(found, path), found["warm_up_frames"] + 1
    if max(block * late, found["out_features"], sum(math.prod(each["shape"]) for each in states)) > MOST_NUMBERS:
        raise _damaged(path, f"a stream would take more than {MOST_NUMBERS:,} numbers")
    return found


def signal_of(metadata: Mapping[str, Any]) -> tuple[Signal, int]:
    """The signal that a graph takes, and the number of its frames per block.

    Raises:
        ValueError: the metadata do not describe a signal.
    """
    if metadata["format"] == SOUND_FORMAT:
        # A block of a graph is one frame of its input, whatever the model made of it.
        return Sound(metadata["sample_rate"], metadata["block_samples"]), 1
    return signal_from(metadata["signal"]), metadata["stride"]


def _block_numbers(found: dict[str, Any], path: Any) -> int:
    try:
        signal, stride = signal_of(found)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its signal is invalid ({error!r:.100})") from error
    return signal.features * stride


def _damaged(path: Any, what: str) -> ValueError:
    return ValueError(f"{path} has damaged metadata: {what}. Export the model again.")


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= MOST_NUMBERS


def _is_state(each: Any) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("shape"), list) or len(each["shape"]) > 16:
        return False
    if not all(_is_whole(size, 1) for size in each["shape"]) or each.get("dtype") not in DTYPES:
        return False
    if math.prod(each["shape"]) > MOST_NUMBERS or not all(isinstance(each.get(n), str) for n in ("name", "next")):
        return False
    try:
        initial = np.asarray(each.get("initial", 0))
    except ValueError:
        return False
    kinds, limits = ("i", np.iinfo(np.int32)) if each["dtype"] == "int32" else ("if", np.finfo(np.float32))
    if initial.dtype.kind not in kinds or not initial.size:
        return False
    fits = float(limits.min) <= initial.min() <= initial.max() <= float(limits.max)
    return bool(fits) and initial.shape in ((), tuple(each["shape"]))


def require_format(found: Mapping[str, Any], path: Any, kind: str) -> None:
    """Raises ValueError unless this version can run the file and it is of the given kind."""
    name = found["name"] if isinstance(found.get("name"), str) else "MODEL"
    version = found.get("format")
    if type(version) is not int or not SOUND_FORMAT <= version <= SERIES_FORMAT:
        is_later = type(version) is int and version > SERIES_FORMAT
        upgrade = "Upgrade streamrnn, or export" if is_later else "Export"
        raise ValueError(
            f"{path} has export format {version!r:.40}; this version of streamrnn runs formats up to {SERIES_FORMAT}. "
            f"{upgrade} the model again: streamrnn export {name} {path}"
        )
    if found.get("kind") != kind:
        scan = "" if kind == STEP else " --scan"
        raise ValueError(
            f"{path} holds a graph of kind {found.get('kind')!r}; needed is {kind!r}. "
            f"Export the model again: streamrnn export {name} {path}{scan}"
        )


def initial_state(described: Mapping[str, Any], batch_size: int = 1) -> np.ndarray:
    """The initial array for an entry of `states`: [batch, *shape]."""
    shape = (batch_size, *described["shape"])
    return np.broadcast_to(np.asarray(described.get("initial", 0), described["dtype"]), shape).copy()


__all__ = [
    "DTYPES",
    "KEY",
    "RECORDING",
    "SERIES_FORMAT",
    "SILERO",
    "SOUND_FORMAT",
    "STEP",
    "initial_state",
    "read_metadata",
    "require_format",
    "signal_of",
]
