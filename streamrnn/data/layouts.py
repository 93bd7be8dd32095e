"""Common layouts of folders of recordings, read as clips with labels, speakers, transcripts and splits."""

import hashlib
import math
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from streamrnn.audio import AudioWarning
from streamrnn.data.clips import Clip, named, read_manifest
from streamrnn.data.tables import clean, read_lines

# Endings of recordings. Files that can't be decoded are clips, too, so that reading them reports the fault and none is
# silently missing.
# Names that begin with a dot are metadata of other systems, not recordings.
RECORDING = re.compile(
    r"[^.].*\.(wave?|flac|og[ga]|opus|mp[23]|aif[fc]?|caf|au|snd|w64|rf64|sph|nist|gsm|voc|pcm|raw"
    r"|m4[ab]|mp4|aac|adts|wma|amr|ape|wv|mk[av]|webm|mov|3gp|spx|tta|ac3|dsf)",
    # Names may have ends of lines in them.
    re.IGNORECASE | re.DOTALL,
)
SPLIT_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
SPLIT_OF_PREFIX = {"train": "train", "dev": "valid", "test": "test"}
SPLIT_OF_FOLDER = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
# Prefixes of folders with recordings for augmentation.
KINDS = ("noise", "music", "rir")
# Shares of clips without a split, by the hash of their speaker.
VALID_PERCENT, TEST_PERCENT = 10, 10
LARGEST_HASH = 2**27 - 1

LAYOUTS = (
    "manifest.csv; a folder per class of recordings (LABEL/*.wav, *.flac, *.ogg, *.opus, *.mp3, ...); "
    "LibriSpeech's own (PART/SPEAKER/CHAPTER/*.trans.txt); or recordings right in the folder"
)


def read_folder(folder: Path) -> list[Clip]:
    """The clips of a folder of recordings, in an order that does not depend on the machine.

    Four layouts are recognised, in this order:

    - manifest.csv, see `read_manifest`.
    - LibriSpeech (Panayotov et al. 2015): PART/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, each line the name of a .flac
      beside it and its transcript; or a single PART. PART begins with train, dev (split valid) or test; in other PARTs,
      speakers are split by their hash.
    - A folder per class, as in Speech Commands (Warden 2018): LABEL/*.wav or any other kind of sound; files in
      subfolders (LABEL/SOMEBODY/*.wav) have the same label. If validation_list.txt or testing_list.txt name clips
      (LABEL/NAME), these are the splits, and all others are train. Without them, if the folder itself is called train,
      valid, dev, test or the like and is beside another such folder, its name is the split. Otherwise 10 % of the
      speakers are valid and 10 % test, by the hash of Speech Commands. The speaker is the part of a file's name before
      "_nohash_". For other names, the hash is that of the folder within the label, or else of the file's name, so that
      files of the same name under several labels are in the same split. Recordings beside the classes have no label.
    - Recordings directly in the folder, for example of noise or talk: without label; their split is the folder's name,
      as above.

    AudioWarnings name omissions and possible mistakes: speakers in more than one split, clips that are listed more than
    once with different labels, transcripts or splits, parts of a recording that overlap and are in different splits,
    recordings beside classes or transcripts, and lists of splits that name none of the recordings.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is in none of these layouts, or a manifest is malformed.
    """
    folder = Path(folder)
    clips = _read(folder)
    _warn_of_shared_speakers(folder, clips)
    _warn_of_contradictions(folder, clips)
    _warn_of_overlaps(folder, clips)
    return clips


def find_folders(paths: Sequence[Path]) -> list[Path]:
    """Finds the folders that `read_folder` can read: each path itself, or else its direct subfolders, sorted by name.

    A folder with a manifest, with transcripts or with only folders of recordings in it is one of these; a folder that
    also holds recordings is a class. AudioWarnings name ambiguous folders, and recordings beside the folders.

    Raises:
        FileNotFoundError: a path is not a folder.
        ValueError: neither a path nor a folder in it has a layout of `read_folder`.
    """
    # As a dict, because a folder may be named twice: directly and by its parent.
    return list(dict.fromkeys(folder for path in paths for folder in _found(Path(path))))


def kind_of(folder: Path) -> str | None:
    """The one of KINDS that a folder's name begins with, ignoring case; None for speech and everything else."""
    # "." resolves to a name; links keep their own, since it was given on purpose.
    name = Path(os.path.abspath(folder)).name.lower()
    return next((kind for kind in KINDS if name.startswith(kind)), None)


def _found(path: Path) -> list[Path]:
    folders = _subfolders(path)
    if (path / "manifest.csv").is_file():
        return [path]
    # Folders of recordings look like classes, but those with manifests or classes of their own are not.
    sets = [folder for folder in folders if _says_more(folder)]
    splits = {SPLIT_OF_FOLDER.get(folder.name.lower()) for folder in folders if _has_layout(folder)}
    if not sets and _has_layout(path) and (None in splits or len(splits) < 2):
        _warn_of_kinds_as_classes(path, folders)
        return [path]
    found = [folder for folder in folders if _has_layout(folder)]
    if not found:
        raise ValueError(f"{path} has no recordings in a known layout, nor has a folder in it. Looked for: {LAYOUTS}.")
    _warn_of_loose(path, found)
    _warn_of_doubtful_sets(path, sets)
    return found


def _read(folder: Path) -> list[Clip]:
    if (folder / "manifest.csv").is_file():
        return read_manifest(folder)
    if transcripts := sorted(_transcripts(folder)):
        clips = [clip for path in transcripts for clip in _librispeech(path)]
        _warn_of_untranscribed(folder, clips)
    else:
        clips = _by_class(folder)
    if not clips:
        raise ValueError(f"{folder} has no recordings in a known layout. Looked for: {LAYOUTS}.")
    return clips


def _has_layout(folder: Path) -> bool:
    return (
        (folder / "manifest.csv").is_file()
        or next(_all_recordings(folder), None) is not None
        or _is_transcribed(folder)
    )


def _is_transcribed(folder: Path) -> bool:
    return next(_transcripts(folder), None) is not None


def _says_more(folder: Path) -> bool:
    """Whether it has a layout with labels, transcripts or splits."""
    return (
        (folder / "manifest.csv").is_file()
        or _is_transcribed(folder)
        or (next(_recordings(folder), None) is None and next(_all_recordings(folder), None) is not None)
    )


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder. Pass a folder of recordings, or a folder of such folders.")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _recordings(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if RECORDING.fullmatch(path.name) and not path.is_dir())


def _all_recordings(folder: Path) -> Iterator[Path]:
    """Recordings in a folder and its subfolders, in order; follows links to folders, but not cycles."""
    # A link to a parent folder would give its recordings wrong labels.
    entered = {os.path.realpath(around) for around in folder.absolute().parents}
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if RECORDING.fullmatch(name))


def _by_class(folder: Path) -> list[Clip]:
    """Clips of classes, then those outside of them; without classes, all of them."""
    listed, own_split = _listed_splits(folder), _split_by_name(folder)
    labels = _subfolders(folder)
    clips = [_labelled(path, label, listed, own_split) for label in labels for path in _all_recordings(label)]
    beside = [Clip(path, split=own_split or "") for path in sorted(_recordings(folder))]
    if clips and beside and kind_of(folder) is None:
        warnings.warn(
            f"{len(beside)} recordings lie in {folder} beside the folders of its classes, so that they have no label: "
            f"{named(clip.path.name for clip in beside)}. Put them into a folder, or elsewhere.",
            AudioWarning,
            stacklevel=4,
        )
    if listed is not None:
        _warn_of_lists_of_nothing(folder, listed, {_listed_name(clip.path, folder) for clip in clips})
    return clips + beside


def _labelled(path: Path, label: Path, listed: dict[str, str] | None, own_split: str | None) -> Clip:
    speaker, told, _ = path.name.partition("_nohash_")
    if listed is not None:
        split = listed.get(_listed_name(path, label.parent), "train")
    else:
        deeper = path.relative_to(label).parts[0]
        split = own_split or _hashed_split(speaker if told else deeper)
    return Clip(path, speaker=clean(speaker) if told else "", label=clean(label.name), split=split)


def _split_by_name(folder: Path) -> str | None:
    """The split in a folder's name, if there is a folder of another split beside it."""
    resolved = folder.absolute()
    split = SPLIT_OF_FOLDER.get(resolved.name.lower())
    if split is None:
        return None
    others = {SPLIT_OF_FOLDER.get(other.name.lower()) for other in _subfolders(resolved.parent)} - {None, split}
    return split if others else None


def _listed_name(path: Path, folder: Path) -> str:
    return clean(path.relative_to(folder).as_posix())


def _listed_splits(folder: Path) -> dict[str, str] | None:
    """LABEL/NAME -> split, from the lists beside the classes; None without lists."""
    lists = {split: folder / name for split, name in SPLIT_LISTS.items() if (folder / name).is_file()}
    if not lists:
        return None
    return {clean(line): split for split, path in lists.items() for line in read_lines(path) if line.strip()}


def _hashed_split(name: str) -> str:
    """train, valid or test by the name of a speaker: the function which_set of Warden 2018, section 6."""
    number = int(hashlib.sha1(name.encode()).hexdigest(), 16) % (LARGEST_HASH + 1)
    percent = number * (100.0 / LARGEST_HASH)
    if percent < VALID_PERCENT:
        return "valid"
    return "test" if percent < VALID_PERCENT + TEST_PERCENT else "train"


def _transcripts(folder: Path) -> Iterator[Path]:
    """Transcript files of the whole of LibriSpeech or of one of its parts, in any order."""
    return (path for depth in ("*/*/*/", "*/*/") for path in folder.glob(f"{depth}*.trans.txt"))


def _librispeech(transcripts: Path) -> Iterator[Clip]:
    chapter = transcripts.parent
    speaker, part = chapter.parent.name, chapter.parent.parent.resolve().name
    split = SPLIT_OF_PREFIX.get(re.split("[-_]", part)[0]) or _hashed_split(speaker)
    for line in read_lines(transcripts):
        name, _, transcript = line.partition(" ")
        if name:
            yield Clip(chapter / f"{name}.flac", speaker=speaker, transcript=clean(transcript), split=split)


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


def _warn_of_overlaps(folder: Path, clips: Iterable[Clip]) -> None:
    parts: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        parts[clip.path].append(clip)
    shared = [path.name for path, of in parts.items() if len(of) > 1 and _overlap_across_splits(of)]
    if shared:
        warnings.warn(
            f"{folder} has recordings of which the same part is in more than one split, {len(shared)} in all: "
            f"{named(shared)}. Figures will look better than they are. Correct start and end, or the split.",
            AudioWarning,
            stacklevel=3,
        )


def _overlap_across_splits(parts: Sequence[Clip]) -> bool:
    """Whether a sample of a recording is in two splits. The same part listed twice is a contradiction of its own."""
    ends: dict[str, tuple[float, int]] = {}
    for clip in sorted(parts, key=lambda part: part.start):
        end = math.inf if clip.end is None else clip.end
        others = (last for split, last in ends.items() if split != clip.split)
        if any(clip.start < last_end and (clip.start, end) != (start, last_end) for last_end, start in others):
            return True
        ends[clip.split] = max(ends.get(clip.split, (-1.0, 0)), (end, clip.start))
    return False


def _warn_of_untranscribed(folder: Path, clips: Iterable[Clip]) -> None:
    known = {clip.path for clip in clips}
    untold = [path.name for path in _all_recordings(folder) if path not in known]
    if untold:
        warnings.warn(
            f"{len(untold)} recordings in {folder} stand in no .trans.txt and are left out: {named(untold)}.",
            AudioWarning,
            stacklevel=4,
        )


def _warn_of_lists_of_nothing(folder: Path, listed: dict[str, str], there: set[str]) -> None:
    for split, name in SPLIT_LISTS.items():
        lines = [line for line, of in listed.items() if of == split]
        if lines and there.isdisjoint(lines):
            warnings.warn(
                f"{folder / name} names no recording that is there ({named(lines, 1)}), so that none is of split "
                f"{split}. Its lines must be LABEL/NAME.",
                AudioWarning,
                stacklevel=5,
            )


def _warn_of_loose(path: Path, found: Sequence[Path]) -> None:
    loose = [recording.name for recording in sorted(_recordings(path))]
    if loose:
        warnings.warn(
            f"{len(loose)} recordings lie in {path} beside folders of recordings ({named(f.name for f in found)}) and "
            f"are left out: {named(loose)}. Put them into a folder.",
            AudioWarning,
            stacklevel=5,
        )


def _warn_of_doubtful_sets(path: Path, sets: Sequence[Path]) -> None:
    """Warns that folders were read as data sets, but may be labels with folders of speakers."""
    doubtful = [
        folder.name
        for folder in sets
        if not (folder / "manifest.csv").is_file()
        and not _is_transcribed(folder)
        and folder.name.lower() not in SPLIT_OF_FOLDER
        and kind_of(folder) is None
    ]
    if len(doubtful) > 1:
        labels = sorted({label.name for name in doubtful for label in _subfolders(path / name)})
        warnings.warn(
            f"{path} is read as {len(sets)} data sets ({named(doubtful)}) whose folders are labels ({named(labels)}). "
            "If so, name each of them in --data. If its own folders are labels, write a manifest.csv with the column "
            "label.",
            AudioWarning,
            stacklevel=5,
        )


def _warn_of_kinds_as_classes(path: Path, folders: Sequence[Path]) -> None:
    kinds = [folder.name for folder in folders if kind_of(folder) is not None and _has_layout(folder)]
    classes = [folder.name for folder in folders if _has_layout(folder)]
    if kinds and len(kinds) < len(classes):
        warnings.warn(
            f"{path} is read as a folder of classes, and {named(kinds)} as labels among them. If that is sound "
            "that makes clips harder, put it beside a folder of all the other classes.",
            AudioWarning,
            stacklevel=5,
        )


__all__ = ["KINDS", "find_folders", "kind_of", "read_folder"]
