"""Training, generic over tasks: recordings, losses, the loop and its checkpoints."""

from streamrnn.training.data import Clip, prefetch, read_clips, read_manifest, read_table
from streamrnn.training.loop import TrainingSettings, fit

__all__ = ["Clip", "TrainingSettings", "fit", "prefetch", "read_clips", "read_manifest", "read_table"]
