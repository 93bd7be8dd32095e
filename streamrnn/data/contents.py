"""Checksums of recordings, to find replaced files and duplicates."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b, file_digest
from pathlib import Path

from streamrnn.audio import AudioWarning
from streamrnn.data.clips import NAMED, Clip, named


def file_sums(paths: Iterable[Path]) -> dict[Path, str | None]:
    """A checksum of each file's contents, 32 hexadecimal digits; None if it can't be read."""

    def of(path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
        except OSError:
            return None

    listed = sorted(paths)
    with ThreadPoolExecutor() as pool:
        return dict(zip(listed, pool.map(of, listed), strict=True))


def warn_of_twins(clips: Iterable[Clip]) -> None:
    """Issues an AudioWarning that counts recordings with equal contents but different names in different splits."""
    splits: dict[Path, set[str]] = defaultdict(set)
    for clip in clips:
        splits[clip.path].add(clip.split)
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in splits:
        with suppress(OSError):
            by_size[path.stat().st_size].append(path)
    # Most files already differ in size and need not be read. Empty ones have no content to compare.
    of_one_size = _across_splits((paths for size, paths in by_size.items() if size), splits)
    by_sum: dict[str, list[Path]] = defaultdict(list)
    for path, found in file_sums(path for paths in of_one_size for path in paths).items():
        if found is not None:
            by_sum[found].append(path)
    if twins := _across_splits(by_sum.values(), splits):
        told = named(_told(paths, splits) for paths in twins)
        warnings.warn(
            f"{len(twins)} recordings are in more than one split under different names: {told}. Figures will look "
            "better than they are. Leave one of each.",
            AudioWarning,
            stacklevel=3,
        )


def _told(paths: list[Path], splits: Mapping[Path, set[str]]) -> str:
    # Of thousands of equal files, such as silent ones, the first are enough.
    told = " is ".join(f"{path} ({'/'.join(sorted(splits[path]))})" for path in paths[:NAMED])
    return told + (f" and so are {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def _across_splits(groups: Iterable[list[Path]], splits: dict[Path, set[str]]) -> list[list[Path]]:
    return [paths for paths in groups if len(paths) > 1 and len(set().union(*(splits[path] for path in paths))) > 1]


__all__ = ["file_sums", "warn_of_twins"]
