"""What lies in the folders of recordings that a recipe was given: speech, noise, music and rooms."""

import hashlib
from collections import defaultdict
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

    Where a folder says nothing of splits, some of its recordings are `held_out` as split valid.

    Raises:
        FileNotFoundError, ValueError: see find_folders and read_folder.
    """
    found = Recordings(tuple(data), {}, [], [], [])
    named = {"noise": found.noise, "music": found.music, "rir": found.rooms}
    for folder in find_folders(data):
        read = read_folder(folder)
        clips = [replace(clip, split=clip.split or "train") for clip in read]
        if not any(clip.split for clip in read):
            clips = held_out(clips)
        kind = next((kind for kind in KINDS if folder.name.startswith(kind)), None)
        if kind is not None:
            named[kind].extend(clips)
            continue
        found.speech[folder] = [clip for clip in clips if clip.label != BACKGROUND_NOISE]
        found.noise.extend(clip for clip in clips if clip.label == BACKGROUND_NOISE)
    return found


def held_out(clips: Sequence[Clip]) -> list[Clip]:
    """The same clips, with a valid split: where they have none, every tenth speaker joins it, the first among them.

    Of fewer than ten speakers, or where clips do not say who speaks, it is every tenth clip of a label instead; a
    label's only clip stays in train. So a handful of recordings can be trained on, and the figures are those of voices
    that training heard.
    """
    if any(clip.split == "valid" for clip in clips):
        return list(clips)
    speakers = list(dict.fromkeys(clip.speaker for clip in clips if clip.split == "train"))
    if "" in speakers or len(speakers) < 10:
        chosen = _every_tenth_of_a_label(clips)
    else:
        chosen = {number for number, clip in enumerate(clips) if clip.speaker in speakers[::10]}
    return [
        replace(clip, split="valid") if clip.split == "train" and number in chosen else clip
        for number, clip in enumerate(clips)
    ]


def _every_tenth_of_a_label(clips: Sequence[Clip]) -> set[int]:
    """Numbers of clips of split train."""
    of_label: dict[str, list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        if clip.split == "train":
            of_label[clip.label].append(number)
    return {number for numbers in of_label.values() if len(numbers) > 1 for number in numbers[::10]}


def of_split(clips: Sequence[Clip], split: str) -> list[Clip]:
    """The clips of one split."""
    return [clip for clip in clips if clip.split == split]


def samples_of(clips: Sequence[Clip], sample_rate: int) -> list[np.ndarray]:
    """The sound of clips, int16[n] each; those that can't be read are left out with a warning."""
    return [samples for _, samples in read_clips(list(clips), sample_rate)]


__all__ = ["Recordings", "find_recordings", "held_out", "of_split", "samples_of"]
