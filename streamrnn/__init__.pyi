from .contract import Layer, aligned
from .decisions import Event, Segment, segments
from .laws import check_contract
from .models import Model, builder
from .pretrained import load, save
from .runtime import (
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
from .samples import sample

__version__: str

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
