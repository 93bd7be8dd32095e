"""Models running live: streams, listeners, whole recordings."""

from streamrnn.runtime.compiled import compiled_scan, compiled_step
from streamrnn.runtime.configure import configure
from streamrnn.runtime.enhance import Enhancer, EnhancerSnapshot, enhance_file
from streamrnn.runtime.files import run_file, run_file_events, speech_segments
from streamrnn.runtime.listener import Listener, ListenerSnapshot, listen
from streamrnn.runtime.stream import Latency, Snapshot, Stream
from streamrnn.runtime.utterances import speech_audio

__all__ = [
    "Enhancer",
    "EnhancerSnapshot",
    "Latency",
    "Listener",
    "ListenerSnapshot",
    "Snapshot",
    "Stream",
    "compiled_scan",
    "compiled_step",
    "configure",
    "enhance_file",
    "listen",
    "run_file",
    "run_file_events",
    "speech_audio",
    "speech_segments",
]
