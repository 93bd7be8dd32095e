"""Models running live: streams, listeners, pools of them, whole recordings."""

from streamrnn.runtime.compiled import compiled_scan, compiled_step
from streamrnn.runtime.configure import configure, keep_memory
from streamrnn.runtime.enhance import Enhancer, EnhancerSnapshot, enhance_file
from streamrnn.runtime.files import run_file, run_file_events, speech_segments
from streamrnn.runtime.listener import Listener, ListenerSnapshot, listen
from streamrnn.runtime.pool import Answer, Pool, PooledStream, QueueFull
from streamrnn.runtime.pool_statistics import PoolStatistics
from streamrnn.runtime.stream import Latency, Snapshot, Stream
from streamrnn.runtime.utterances import speech_audio

__all__ = [
    "Answer",
    "Enhancer",
    "EnhancerSnapshot",
    "Latency",
    "Listener",
    "ListenerSnapshot",
    "Pool",
    "PoolStatistics",
    "PooledStream",
    "QueueFull",
    "Snapshot",
    "Stream",
    "compiled_scan",
    "compiled_step",
    "configure",
    "enhance_file",
    "keep_memory",
    "listen",
    "run_file",
    "run_file_events",
    "speech_audio",
    "speech_segments",
]
