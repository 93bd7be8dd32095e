"""Descriptions of models (.json), checked before anything is built from them, since their source may not be trusted."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from flax import nnx

FORMAT = 1
# A description has a few kB and no integer above a million, so that constructors stay fast and small.
MOST_BYTES, MOST = 2**22, 2**20


def describe(path: Path) -> dict[str, Any]:
    """The .json beside a .safetensors file.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is not such a description, or has a newer format.
    """
    path = description_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs to the .safetensors file beside it. Copy both.")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{path} is no description of a model: it has {size:,} bytes. Save the model again.")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        settings, decision = dict(description["settings"]), dict(description["decision"])
        name, version = description["model"], description["format"]
        if not (isinstance(name, str) and _fits(version, int) and version > 0):
            raise ValueError(f"model {name!r} and format {version!r}, not a name and a number from 1 on")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no description of a model ({error!r:.200}). Save the model again.") from error
    if version > FORMAT:
        raise ValueError(f"{path} has format {version}; this version reads up to {FORMAT}. Upgrade streamrnn.")
    return {**description, "settings": settings, "decision": decision}


def description_path(path: Path) -> Path:
    """Where the description of a .safetensors file is: in the .json of its name, or as the Hub names the two."""
    own, hubs = path.with_suffix(".json"), path.with_name("config.json")
    return hubs if path.name == "model.safetensors" and hubs.is_file() and not own.is_file() else own


def as_settings(kind: type, values: dict[str, Any]) -> Any:
    """The dataclass of settings with these values from JSON.

    Raises:
        TypeError: a value has another type than the class declares, or a setting does not exist.
        ValueError: an integer is above a million, or the class itself refuses a value.
    """
    hints = _hints(kind)
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            declared = getattr(hints[name], "__name__", None) if isinstance(hints[name], type) else hints[name]
            raise TypeError(f"{name} is {value!r:.80}, which is no {declared} (numbers: up to {MOST:,})")
    # JSON has only lists; settings are frozen and have tuples.
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _hints(kind: type) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except (NameError, TypeError):
        # Annotations of a user's class may have names that are unknown here.
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has the declared type; true for types that settings do not use."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if origin is tuple and isinstance(value, list | tuple):
        each = parts[:1] * len(value) if parts[1:] == (...,) else parts
        return len(each) == len(value) and all(map(_fits, value, each))
    if hint is int:
        return type(value) is int and abs(value) <= MOST
    if hint is float:
        return _fits(value, int) or (type(value) is float and value == value)
    return isinstance(value, hint) if hint in (str, bool, NoneType) else origin is not tuple


class Draws(nnx.Rngs):
    """Random streams with a limited number of draws.

    Nearly every array of a model is drawn, so a model that draws far more often than its file has arrays does not fit.
    The limit stops it early, before a hundred thousand layers are built.
    """

    def __init__(self, most: int):
        super().__init__(0)
        self.left = most

    def __getattr__(self, name: str) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError("it asks for far more arrays than the .safetensors file beside it has")
        return super().__getattr__(name)


__all__ = ["FORMAT", "Draws", "as_settings", "describe", "description_path"]
