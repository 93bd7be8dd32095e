"""Folders of recordings as they are found in the world, read as clips with labels, speakers, transcripts and splits."""

import hashlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from streamrnn.audio import AudioWarning
from streamrnn.training.data import Clip, named, read_manifest, read_text

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SPLIT_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
SPLIT_OF_PREFIX = {"train": "train", "dev": "valid", "test": "test"}
# Of the clips without a split of their own, by the hash of their speaker.
VALID_PERCENT, TEST_PERCENT = 10, 10
LARGEST_HASH = 2**27 - 1

LAYOUTS = (
    f"manifest.csv; a folder per class of recordings (LABEL/*{', *'.join(SUFFIXES)}); "
    "LibriSpeech's own (PART/SPEAKER/CHAPTER/*.trans.txt); or recordings right in the folder"
)


def read_folder(folder: Path) -> list[Clip]:
    """The clips of a folder of recordings, in an order that does not depend on the machine.

    Three layouts are recognised, in this order:

    - manifest.csv, see `read_manifest`.
    - LibriSpeech (Panayotov et al. 2015): PART/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, each line the name of a .flac
      beside it and its transcript; or one PART by itself. PART begins with train, dev (split valid) or test; of any
      other, speakers are split by their hash.
    - A folder per class, as in Speech Commands (Warden 2018): LABEL/*.wav, .flac, .ogg or .mp3. Where
      validation_list.txt or testing_list.txt name clips (LABEL/NAME), these are the splits, and all else is train.
      Without both, 10 % of the speakers are valid and 10 % test, by the hash that Speech Commands itself uses. The
      speaker is what stands before "_nohash_" in a file's name. For other names, the hash is that of the file's name,
      so that files of the same name under several labels are in the same split.
    - Recordings right in the folder, as of noise or of talk: without label and split.

    A speaker who is in more than one split gets an AudioWarning, and so does a clip that is there more than once with
    different labels, transcripts or splits.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is in none of these layouts, or a manifest is malformed.
    """
    clips = _read(Path(folder))
    _warn_of_shared_speakers(folder, clips)
    _warn_of_contradictions(folder, clips)
    return clips


def find_folders(paths: Sequence[Path]) -> list[Path]:
    """The folders that `read_folder` can read: each path itself, or else the folders right in it, sorted by name.

    Raises:
        FileNotFoundError: a path is no folder.
        ValueError: neither a path nor a folder in it has a layout of `read_folder`.
    """
    # As a dict, because a folder may be named twice: by itself and by the one around it.
    return list(dict.fromkeys(folder for path in paths for folder in _found(Path(path))))


def _found(path: Path) -> list[Path]:
    folders = _subfolders(path)
    # Folders of recordings would also pass as classes: those with manifests or classes of their own are none.
    holds_folders = any(_says_more(folder) for folder in folders)
    if (path / "manifest.csv").is_file() or (_has_layout(path) and not holds_folders):
        return [path]
    found = [folder for folder in folders if _has_layout(folder)]
    if not found:
        raise ValueError(f"{path} has no recordings in a known layout, nor has a folder in it. Looked for: {LAYOUTS}.")
    return found


def _read(folder: Path) -> list[Clip]:
    if (folder / "manifest.csv").is_file():
        return read_manifest(folder)
    clips = [clip for path in sorted(_transcripts(folder)) for clip in _librispeech(path)] or _by_class(folder)
    clips = clips or [Clip(path) for path in sorted(_recordings(folder))]
    if not clips:
        raise ValueError(f"{folder} has no recordings in a known layout. Looked for: {LAYOUTS}.")
    return clips


def _has_layout(folder: Path) -> bool:
    return _says_more(folder) or next(_recordings(folder), None) is not None


def _says_more(folder: Path) -> bool:
    """Whether it has a layout that says more of its recordings than that they are there."""
    return (
        (folder / "manifest.csv").is_file()
        or next(_transcripts(folder), None) is not None
        or any(next(_recordings(label), None) is not None for label in _subfolders(folder))
    )


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder. Pass a folder of recordings, or a folder of such folders.")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _recordings(folder: Path) -> Iterator[Path]:
    # Names that begin with a dot are other systems' notes about files, not recordings.
    return (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _by_class(folder: Path) -> list[Clip]:
    listed = _listed_splits(folder)
    return [_labelled(path, label.name, listed) for label in _subfolders(folder) for path in sorted(_recordings(label))]


def _labelled(path: Path, label: str, listed: dict[str, str] | None) -> Clip:
    speaker, named, _ = path.name.partition("_nohash_")
    if listed is None:
        split = _hashed_split(speaker if named else path.name)
    else:
        split = listed.get(f"{label}/{path.name}", "train")
    return Clip(path, speaker=speaker if named else "", label=label, split=split)


def _listed_splits(folder: Path) -> dict[str, str] | None:
    """LABEL/NAME -> split, as the lists beside the classes say it; None where there are no lists."""
    lists = {split: folder / name for split, name in SPLIT_LISTS.items() if (folder / name).is_file()}
    if not lists:
        return None
    return {line.strip(): split for split, path in lists.items() for line in read_text(path).splitlines()}


def _hashed_split(name: str) -> str:
    """train, valid or test by the name of a speaker: the function which_set of Warden 2018, section 6."""
    number = int(hashlib.sha1(name.encode()).hexdigest(), 16) % (LARGEST_HASH + 1)
    percent = number * (100.0 / LARGEST_HASH)
    if percent < VALID_PERCENT:
        return "valid"
    return "test" if percent < VALID_PERCENT + TEST_PERCENT else "train"


def _transcripts(folder: Path) -> Iterator[Path]:
    """Transcript files of LibriSpeech as a whole and of one of its parts, as they come."""
    return (path for depth in ("*/*/*/", "*/*/") for path in folder.glob(f"{depth}*.trans.txt"))


def _librispeech(transcripts: Path) -> Iterator[Clip]:
    chapter = transcripts.parent
    speaker, part = chapter.parent.name, chapter.parent.parent.resolve().name
    split = SPLIT_OF_PREFIX.get(re.split("[-_]", part)[0]) or _hashed_split(speaker)
    for line in read_text(transcripts).splitlines():
        name, _, transcript = line.partition(" ")
        if name:
            yield Clip(chapter / f"{name}.flac", speaker=speaker, transcript=transcript.strip(), split=split)


def _warn_of_shared_speakers(folder: Path, clips: Iterable[Clip]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        splits[clip.speaker].add(clip.split)
    shared = sorted(speaker for speaker, found in splits.items() if speaker and len(found) > 1)
    if shared:
        warnings.warn(
            f"{folder} has speakers in more than one split, {len(shared)} in all: {named(shared)}. Figures will look "
            "better than they are for new speakers.",
            AudioWarning,
            stacklevel=3,
        )


def _warn_of_contradictions(folder: Path, clips: Iterable[Clip]) -> None:
    said: dict[tuple, set[tuple]] = defaultdict(set)
    for clip in clips:
        said[clip.path, clip.start, clip.end].add((clip.label, clip.transcript, clip.split))
    twofold = [path.name for (path, *_), things in said.items() if len(things) > 1]
    if twofold:
        warnings.warn(
            f"{folder} has recordings that are listed more than once, with different labels, transcripts or splits, "
            f"{len(twofold)} in all: {named(twofold)}. Leave one row of each.",
            AudioWarning,
            stacklevel=3,
        )


__all__ = ["find_folders", "read_folder"]
