"""Training, generic over tasks: recordings, losses, the loop and its checkpoints."""

from streamrnn.training.augment import Augment, AugmentSettings
from streamrnn.training.data import Clip, prefetch, read_clips, read_manifest, read_table
from streamrnn.training.layouts import find_folders, read_folder
from streamrnn.training.loop import fit
from streamrnn.training.settings import TrainingSettings
from streamrnn.training.store import ClipStore

__all__ = [
    "Augment",
    "AugmentSettings",
    "Clip",
    "ClipStore",
    "TrainingSettings",
    "find_folders",
    "fit",
    "prefetch",
    "read_clips",
    "read_folder",
    "read_manifest",
    "read_table",
]
