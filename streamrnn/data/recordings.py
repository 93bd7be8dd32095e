"""The recordings in a recipe's folders: speech, noise, music and rooms."""

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import AudioFile, AudioWarning
from streamrnn.data.clips import Clip, named
from streamrnn.data.contents import file_sums, warn_of_twins
from streamrnn.data.layouts import find_folders, kind_of, read_folder
from streamrnn.data.store import ClipStore

BACKGROUND_NOISE = "_background_noise_"
SPLITS = ("train", "valid", "test")
# The columns of a manifest, and further tables beside it.
SAID = ("start", "end", "speaker", "label", "transcript", "split")
LABEL_TABLES = ("vad_segments.csv",)
# A folder is drawn in proportion to its duration to this power, so that large folders do not dominate.
FOLDER_BALANCE = 0.5
# Number of kinds in a warning.
KINDS_COUNTED = 6


@dataclass(frozen=True)
class Recordings:
    """All clips of some folders, by their use.

    Attributes:
        speech: clips of all other folders, by folder.
        places: the paths searched.
        tables: label tables that are not stored with their recordings, by folder of speech.
        noise, music, rooms: clips of the folders named noise*, music* and rir*; noise also from classes named
            _background_noise_, as Speech Commands has one.
    """

    places: tuple[Path, ...]
    speech: dict[Path, list[Clip]]
    noise: list[Clip]
    music: list[Clip]
    rooms: list[Clip]
    tables: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def clips(self) -> list[Clip]:
        """The clips of all uses."""
        return [*(clip for clips in self.speech.values() for clip in clips), *self.noise, *self.music, *self.rooms]

    @cached_property
    def digest(self) -> str:
        """An identifier of 16 digits from the sound of all recordings and their tables, independent of their folders.

        Reads all files once.
        """
        groups = [*self.speech.values(), self.noise, self.music, self.rooms]
        sums = file_sums({clip.path for clips in groups for clip in clips})
        tables = file_sums({folder / name for folder in self.speech for name in LABEL_TABLES})
        said = [
            [(clip.path.name, sums[clip.path], *(getattr(clip, name) for name in SAID)) for clip in clips]
            for clips in groups
        ]
        known: tuple[Any, ...] = said, sorted(map(str, tables.values()))
        if self.tables:
            elsewhere = file_sums(self.tables.values())
            known += ([elsewhere.get(self.tables.get(folder, folder)) for folder in self.speech],)
        return blake2b(repr(known).encode(), digest_size=8).hexdigest()


def find_recordings(data: Sequence[Path]) -> Recordings:
    """Reads the tables of all folders of recordings in `data`, but no sound yet.

    If a folder defines no splits, some of its recordings are `held_out` as split valid.

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
        if (kind := kind_of(folder)) is not None:
            named[kind].extend(clips)
            continue
        found.speech[folder] = [clip for clip in clips if clip.label != BACKGROUND_NOISE]
        found.noise.extend(clip for clip in clips if clip.label == BACKGROUND_NOISE)
    return found


def recordings_to_train_on(data: Sequence[Path], exclude: Sequence[str] = ()) -> Recordings:
    """Like find_recordings, without those to `exclude`: see `without`.

    AudioWarnings count recordings that are missing (left out), that are in splits other than train, valid and test, or
    that are duplicated in two splits.

    Raises:
        FileNotFoundError, ValueError: see find_recordings and without; all recordings are missing.
    """
    found = find_recordings(data)
    clips = found.clips
    if exclude:
        clips = without(clips, exclude)
        found = _of_these(found, set(clips))
    if missing := [clip for clip in clips if not clip.path.exists()]:
        clips = _there(clips, missing)
        found = _of_these(found, set(clips))
    warn_of_twins(clips)
    strange = Counter(clip.split for clip in clips if clip.split not in SPLITS)
    if strange:
        warnings.warn(
            f"{strange.total()} recordings are not used, because of their splits: {counted(strange)}. Training knows "
            f"{', '.join(SPLITS)}.",
            AudioWarning,
            stacklevel=3,
        )
    return found


def _there(clips: Sequence[Clip], missing: Sequence[Clip]) -> list[Clip]:
    # Checked now, because some are first read during validation.
    told = named(f"{clip.path} ({clip.place})" if clip.place else str(clip.path) for clip in missing)
    if len(missing) == len(clips):
        raise FileNotFoundError(
            f"None of {len(clips)} recordings is there: {told}. Correct the paths in the manifests."
        )
    warnings.warn(
        f"{len(missing)} of {len(clips)} recordings are not there and left out: {told}.", AudioWarning, stacklevel=4
    )
    gone = set(missing)
    return [clip for clip in clips if clip not in gone]


def without(clips: Sequence[Clip], exclude: Sequence[str]) -> list[Clip]:
    """Leaves out the clips with these names: the last parts of their paths, with or without the extension. NAME@12.5 is
    the clip at 12.5 s of a recording that holds many.

    Raises:
        ValueError: no clip has one of the names, or all clips have.
        AudioError: a recording that is named with a time cannot be read.
    """
    by_name: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        for name in {clip.path.name, clip.path.stem}:
            by_name[name].append(clip)
    left_out: set[Clip] = set()
    for asked in exclude:
        found = by_name.get(asked) or _at_place(by_name, asked)
        if not found:
            example = f" Pass file names, such as {clips[0].path.name}." if clips else ""
            raise ValueError(f"exclude names {asked}, but there is no such recording.{example}")
        left_out.update(found)
    kept = [clip for clip in clips if clip not in left_out]
    if not kept:
        raise ValueError(f"exclude leaves none of {len(clips)} recordings. Leave some in.")
    return kept


def _at_place(by_name: Mapping[str, list[Clip]], asked: str) -> list[Clip]:
    """The clips of NAME@SECONDS that contain that time."""
    name, _, place = asked.rpartition("@")
    clips = by_name.get(name, [])
    if not clips or not re.fullmatch(r"\d+(\.\d*)?", place):
        return []
    with AudioFile(clips[0].path) as file:
        at = float(place) * file.sample_rate
    return [clip for clip in clips if clip.start <= at and (clip.end is None or at < clip.end)]


def _of_these(found: Recordings, clips: set[Clip]) -> Recordings:
    speech = {folder: [clip for clip in of if clip in clips] for folder, of in found.speech.items()}
    noise, music, rooms = ([clip for clip in of if clip in clips] for of in (found.noise, found.music, found.rooms))
    return replace(found, speech=speech, noise=noise, music=music, rooms=rooms)


def counted(counts: Mapping[str, int]) -> str:
    """Names with their counts, for a message: "banana (12), maybe (3) and 9 more"."""
    return named((f"{name} ({count:,})" for name, count in counts.items()), KINDS_COUNTED)


def held_out(clips: Sequence[Clip]) -> list[Clip]:
    """Holds out a split valid: if the clips have none, every tenth speaker joins it, starting with the first.

    With fewer than ten speakers, or unknown ones, every tenth clip of a label is held out instead; a label's only clip
    stays in train. So training works with a handful of recordings; validation then uses voices from the training data.
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
    """Indices of clips of split train."""
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
    """Recordings, int16[n] each, decoded when drawn and cached within limits of memory: see ClipStore.

    Attributes:
        places: the store of each one, and its index there.
    """

    places: tuple[tuple[ClipStore, int], ...] = ()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        store, place = self.places[index]
        return store[place][1]

    def __add__(self, other: "Sounds") -> "Sounds":
        return Sounds(self.places + other.places)

    @property
    def clips(self) -> list[Clip]:
        """The clip of each."""
        return [store.clips[place] for store, place in self.places]


def sounds_of(clips: Sequence[Clip], sample_rate: int) -> Sounds:
    """The sound of clips, possibly hours of it. Unreadable clips are left out with a warning."""
    store = ClipStore(clips, sample_rate)
    return Sounds(tuple((store, place) for place in range(len(store))))


def balanced_sounds_of(clips: Sequence[Clip], sample_rate: int) -> Sounds:
    """Like sounds_of, but for drawing in training: recordings of small folders are repeated.

    So each folder of noise or music is drawn about in proportion to its duration to the power FOLDER_BALANCE, and
    thousands of short sounds of one collection do not dominate.
    """
    store = ClipStore(clips, sample_rate)
    of_folder: dict[str, list[int]] = defaultdict(list)
    for place, clip in enumerate(store.clips):
        of_folder[_collection(clip)].append(place)
    share = {
        name: sum(store.durations_s[place] for place in places) ** FOLDER_BALANCE / len(places)
        for name, places in of_folder.items()
    }
    least = min(share.values(), default=1.0)
    repeated = [place for name, places in of_folder.items() for place in places * round(share[name] / least)]
    return Sounds(tuple((store, place) for place in repeated))


def _collection(clip: Clip) -> str:
    """The folder of noise or music that contains a clip, at any depth."""
    named = [str(folder) for folder in clip.path.parents if kind_of(folder) in ("noise", "music")]
    return named[0] if named else str(clip.path.parent)


def backgrounds_of(found: "Recordings", split: str, sample_rate: int) -> tuple[Sounds, Sounds]:
    """Noise and music of a split; for split train as balanced_sounds_of."""
    drawn = balanced_sounds_of if split == "train" else sounds_of
    return drawn(of_split(found.noise, split), sample_rate), drawn(of_split(found.music, split), sample_rate)


def rooms_of(clips: Sequence[Clip], sample_rate: int) -> list[np.ndarray]:
    """Impulse responses, int16[n] each. Unreadable or silent ones are left out with a warning."""
    read = list(ClipStore(clips, sample_rate))
    if silent := [str(clip.path) for clip, samples in read if not samples.any()]:
        told = f"{len(silent)} of {len(read)} impulse responses of rooms are silent and left out: {named(silent)}."
        warnings.warn(told, AudioWarning, stacklevel=2)
    return [samples for _, samples in read if samples.any()]


__all__ = [
    "FOLDER_BALANCE",
    "Recordings",
    "Sounds",
    "backgrounds_of",
    "balanced_sounds_of",
    "counted",
    "find_recordings",
    "held_out",
    "of_split",
    "recordings_to_train_on",
    "rooms_of",
    "sounds_of",
    "without",
]
