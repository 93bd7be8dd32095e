"""Train once, stream forever: recurrent speech models that learn from whole recordings and run live, block by block.

Importing this package imports no JAX; names are fetched from their rooms when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamrnn.contract import Layer, aligned
    from streamrnn.decisions import Event, Segment, segments
    from streamrnn.laws import check_contract
    from streamrnn.models import Model, builder
    from streamrnn.pretrained import load, save
    from streamrnn.runtime import (
        Enhancer,
        Listener,
        Pool,
        Snapshot,
        Stream,
        Utterances,
        configure,
        enhance_file,
        generate,
        listen,
        run_file,
        speech_segments,
        utterances,
    )
    from streamrnn.samples import sample

_ROOMS = {
    "contract": ("Layer", "aligned"),
    "decisions": ("Event", "Segment", "segments"),
    "laws": ("check_contract",),
    "models": ("Model", "builder"),
    "pretrained": ("load", "save"),
    "runtime": (
        "Enhancer",
        "Listener",
        "Pool",
        "Snapshot",
        "Stream",
        "Utterances",
        "configure",
        "enhance_file",
        "generate",
        "listen",
        "run_file",
        "speech_segments",
        "utterances",
    ),
    "samples": ("sample",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__version__ = "0.2.0"


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
    "Snapshot",
    "Stream",
    "Utterances",
    "aligned",
    "builder",
    "check_contract",
    "configure",
    "enhance_file",
    "generate",
    "listen",
    "load",
    "run_file",
    "sample",
    "save",
    "segments",
    "speech_segments",
    "utterances",
]
