"""Train once, stream forever: recurrent speech models that learn from whole recordings and run live, block by block.

Importing this package imports no JAX; names are fetched from their rooms when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrnn.contract import Layer, aligned
    from streamrnn.decisions import Event, Segment, segments
    from streamrnn.models import Model
    from streamrnn.pretrained import load, save
    from streamrnn.runtime import (
        Enhancer,
        Listener,
        Pool,
        Stream,
        configure,
        enhance_file,
        listen,
        run_file,
        speech_audio,
        speech_segments,
    )

_ROOMS = {
    "contract": ("Layer", "aligned"),
    "decisions": ("Event", "Segment", "segments"),
    "models": ("Model",),
    "pretrained": ("load", "save"),
    "runtime": (
        "Enhancer",
        "Listener",
        "Pool",
        "Stream",
        "configure",
        "enhance_file",
        "listen",
        "run_file",
        "speech_audio",
        "speech_segments",
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'streamrnn' has no attribute {name!r}")
    return getattr(import_module(f"streamrnn.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Enhancer",
    "Event",
    "Layer",
    "Listener",
    "Model",
    "Pool",
    "Segment",
    "Stream",
    "aligned",
    "configure",
    "enhance_file",
    "listen",
    "load",
    "run_file",
    "save",
    "segments",
    "speech_audio",
    "speech_segments",
]
