"""Recordings to learn from: their layouts and stores, augmentation, and mixtures composed on the fly."""

from streamrnn.data.augment import Augment, AugmentSettings
from streamrnn.data.clips import Clip, prefetch, read_clips, read_manifest
from streamrnn.data.layouts import find_folders, read_folder
from streamrnn.data.store import ClipStore
from streamrnn.data.tables import read_table, reading_outside

__all__ = [
    "Augment",
    "AugmentSettings",
    "Clip",
    "ClipStore",
    "find_folders",
    "prefetch",
    "read_clips",
    "read_folder",
    "read_manifest",
    "read_table",
    "reading_outside",
]
