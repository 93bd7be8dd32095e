"""Models running live: streams, listeners, pools of them, whole recordings.

JAX is imported where a Model is compiled: exported models run without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamrnn.runtime.configure import configure, keep_memory
from streamrnn.runtime.cutting import Utterance
from streamrnn.runtime.enhance import Enhancer, enhance_file
from streamrnn.runtime.files import run_file, run_file_events, speech_segments
from streamrnn.runtime.generate import draw, generate
from streamrnn.runtime.listener import Listener, listen
from streamrnn.runtime.pool import Answer, Pool, PooledStream
from streamrnn.runtime.pool_statistics import PoolStatistics
from streamrnn.runtime.queues import QueueFull
from streamrnn.runtime.snapshots import Snapshot
from streamrnn.runtime.steps import Step
from streamrnn.runtime.stream import Latency, Stream
from streamrnn.runtime.turns import Utterances, utterances

if TYPE_CHECKING:
    from streamrnn.runtime.compiled import compiled_scan, compiled_step
    from streamrnn.runtime.enrolling import enrol
    from streamrnn.runtime.exported import OnnxModel

_MODULE_OF = {"OnnxModel": "exported", "compiled_scan": "compiled", "compiled_step": "compiled", "enrol": "enrolling"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'streamrnn.runtime' has no attribute {name!r}")
    return getattr(import_module(f"streamrnn.runtime.{_MODULE_OF[name]}"), name)


__all__ = [
    "Answer",
    "Enhancer",
    "Latency",
    "Listener",
    "OnnxModel",
    "Pool",
    "PoolStatistics",
    "PooledStream",
    "QueueFull",
    "Snapshot",
    "Step",
    "Stream",
    "Utterance",
    "Utterances",
    "compiled_scan",
    "compiled_step",
    "configure",
    "draw",
    "enhance_file",
    "enrol",
    "generate",
    "keep_memory",
    "listen",
    "run_file",
    "run_file_events",
    "speech_segments",
    "utterances",
]
