"""What lies in the folders of recordings that a recipe was given: speech, noise, music and rooms."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from streamrnn.training.data import Clip, read_clips
from streamrnn.training.layouts import find_folders, read_folder

KINDS = ("noise", "music", "rir")
BACKGROUND_NOISE = "_background_noise_"


@dataclass(frozen=True)
class Recordings:
    """All clips of some folders, by what they are used as.

    Attributes:
        speech: clips of each folder that is none of the others, by folder.
        places: where these folders were looked for.
        noise, music, rooms: clips of the folders named noise*, music* and rir*; noise also from classes named
            _background_noise_, as Speech Commands has one.
    """

    places: tuple[Path, ...]
    speech: dict[Path, list[Clip]]
    noise: list[Clip]
    music: list[Clip]
    rooms: list[Clip]

    @cached_property
    def digest(self) -> str:
        """Tells recordings apart by all that their tables say, wherever they lie: 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        for clips in (*self.speech.values(), self.noise, self.music, self.rooms):
            for clip in clips:
                digest.update(repr((clip.path.name, *list(vars(clip).values())[1:])).encode())
        return digest.hexdigest()


def find_recordings(data: Sequence[Path]) -> Recordings:
    """Reads the tables of all folders of recordings in `data`; no sound yet.

    Raises:
        FileNotFoundError, ValueError: see find_folders and read_folder.
    """
    found = Recordings(tuple(data), {}, [], [], [])
    named = {"noise": found.noise, "music": found.music, "rir": found.rooms}
    for folder in find_folders(data):
        # Without a split, everything is for training.
        clips = [replace(clip, split=clip.split or "train") for clip in read_folder(folder)]
        kind = next((kind for kind in KINDS if folder.name.startswith(kind)), None)
        if kind is not None:
            named[kind].extend(clips)
            continue
        found.speech[folder] = [clip for clip in clips if clip.label != BACKGROUND_NOISE]
        found.noise.extend(clip for clip in clips if clip.label == BACKGROUND_NOISE)
    return found


def held_out(clips: Sequence[Clip]) -> list[Clip]:
    """The same clips, with a valid split: where they have none, every tenth clip of a label joins it,
    the first among them; a label's only clip stays in train.

    A handful of recordings without splits, or whose speakers all fell into train, can then be trained on; the figures
    are those of speakers who were heard in training.
    """
    if any(clip.split == "valid" for clip in clips):
        return list(clips)
    numbers: dict[str, int] = defaultdict(int)
    several = Counter(clip.label for clip in clips if clip.split == "train")
    split = []
    for clip in clips:
        if clip.split == "train" and several[clip.label] > 1:
            numbers[clip.label] += 1
            clip = replace(clip, split="valid" if numbers[clip.label] % 10 == 1 else "train")
        split.append(clip)
    return split


def of_split(clips: Sequence[Clip], split: str) -> list[Clip]:
    """The clips of one split."""
    return [clip for clip in clips if clip.split == split]


def samples_of(clips: Sequence[Clip], sample_rate: int) -> list[np.ndarray]:
    """The sound of clips, int16[n] each; those that can't be read are left out with a warning."""
    return [samples for _, samples in read_clips(list(clips), sample_rate)]


__all__ = ["Recordings", "find_recordings", "held_out", "of_split", "samples_of"]
