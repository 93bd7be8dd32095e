"""What lies in the folders of recordings that a recipe was given: speech, noise, music and rooms."""

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.training.data import Clip, named
from streamrnn.training.layouts import find_folders, read_folder
from streamrnn.training.store import ClipStore

KINDS = ("noise", "music", "rir")
BACKGROUND_NOISE = "_background_noise_"
SPLITS = ("train", "valid", "test")
# How many kinds a warning counts.
KINDS_COUNTED = 6


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


def recordings_to_train_on(data: Sequence[Path], exclude: Sequence[str] = ()) -> Recordings:
    """find_recordings, but for those to `exclude`: see without.

    An AudioWarning counts recordings of other splits than train, valid and test.
    """
    found = find_recordings(data)
    clips = [*(clip for clips in found.speech.values() for clip in clips), *found.noise, *found.music, *found.rooms]
    if exclude:
        clips = without(clips, exclude)
        found = _of_these(found, set(clips))
    strange = Counter(clip.split for clip in clips if clip.split not in SPLITS)
    if strange:
        warnings.warn(
            f"{strange.total()} recordings are not used, because of their splits: {counted(strange)}. Training knows "
            f"{', '.join(SPLITS)}.",
            AudioWarning,
            stacklevel=3,
        )
    return found


def without(clips: Sequence[Clip], exclude: Sequence[str]) -> list[Clip]:
    """The clips but for those of these names: the last parts of their paths, with or without the ending.

    Raises:
        ValueError: no clip has one of the names, or all clips do.
    """
    if missing := set(exclude) - {name for clip in clips for name in (clip.path.name, clip.path.stem)}:
        example = f" Pass file names, such as {clips[0].path.name}." if clips else ""
        raise ValueError(f"exclude names {', '.join(sorted(missing))}, but there is no such recording.{example}")
    kept = [clip for clip in clips if clip.path.name not in exclude and clip.path.stem not in exclude]
    if not kept:
        raise ValueError(f"exclude leaves none of {len(clips)} recordings. Leave some in.")
    return kept


def _of_these(found: Recordings, clips: set[Clip]) -> Recordings:
    speech = {folder: [clip for clip in of if clip in clips] for folder, of in found.speech.items()}
    noise, music, rooms = ([clip for clip in of if clip in clips] for of in (found.noise, found.music, found.rooms))
    return replace(found, speech=speech, noise=noise, music=music, rooms=rooms)


def counted(counts: Mapping[str, int]) -> str:
    """Names with how often each comes, for a message: "banana (12), maybe (3) and 9 more"."""
    return named((f"{name} ({count:,})" for name, count in counts.items()), KINDS_COUNTED)


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


@dataclass(frozen=True)
class Sounds(Sequence[np.ndarray]):
    """Recordings, int16[n] each, that are decoded when they are drawn and held as far as memory goes: see ClipStore.

    Attributes:
        places: each one's store, and its index there.
    """

    places: tuple[tuple[ClipStore, int], ...] = ()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        store, place = self.places[index]
        return store[place][1]

    def __add__(self, other: "Sounds") -> "Sounds":
        return Sounds(self.places + other.places)


def sounds_of(clips: Sequence[Clip], sample_rate: int) -> Sounds:
    """The sound of clips, which may be hours of it. Those that can't be read are left out with a warning."""
    store = ClipStore(clips, sample_rate)
    return Sounds(tuple((store, place) for place in range(len(store))))


def rooms_of(clips: Sequence[Clip], sample_rate: int) -> list[np.ndarray]:
    """Impulse responses, int16[n] each. Those that can't be read, or are silent, are left out with a warning."""
    read = list(ClipStore(clips, sample_rate))
    if silent := [str(clip.path) for clip, samples in read if not samples.any()]:
        told = f"{len(silent)} of {len(read)} impulse responses of rooms are silent and left out: {named(silent)}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    return [samples for _, samples in read if samples.any()]


__all__ = [
    "Recordings",
    "Sounds",
    "counted",
    "find_recordings",
    "held_out",
    "of_split",
    "recordings_to_train_on",
    "rooms_of",
    "sounds_of",
    "without",
]
