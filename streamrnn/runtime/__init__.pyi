from .compiled import compiled_scan, compiled_step
from .configure import configure, keep_memory
from .cutting import Utterance
from .enhance import Enhancer, enhance_file
from .enrolling import enrol
from .exported import OnnxModel
from .files import run_file, run_file_events, speech_segments
from .generate import draw, generate
from .listener import Listener, listen
from .pool import Answer, Pool, PooledStream
from .pool_statistics import PoolStatistics
from .queues import QueueFull
from .snapshots import Snapshot
from .steps import Step
from .stream import Latency, Stream
from .turns import Utterances, utterances

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
