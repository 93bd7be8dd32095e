"""Public corpora for training: their URLs and checksums, and the table that one of them lacks."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
FSDD_RECORDINGS = 3000
# Limit for an archive without a published size.
MOST_BYTES = 200_000_000
FSDD_SPLITS = {"george": "valid", "lucas": "test"}


def nothing_more(folder: Path) -> None:
    """For archives whose unpacked folder needs no preparation."""


@dataclass(frozen=True)
class Archive:
    """A .tar.gz of a corpus.

    Attributes:
        url: its publisher's address.
        size_bytes, md5: as published; None if they are not.
        inside: the folder in it to unpack.
        folder: where to put that folder.
        prepare: called with the unpacked folder before it is moved there; raises ValueError if it is incomplete.
        contents: the checksum of the contents (see unpack.contents_sum) in an earlier download; None accepts any
            contents.
    """

    url: str
    size_bytes: int | None
    md5: str | None
    inside: str
    folder: str
    prepare: Callable[[Path], None] = nothing_more
    contents: str | None = None

    @property
    def most_bytes(self) -> int:
        """Limit of its unpacked size: sound hardly shrinks by compression."""
        return MOST_BYTES if self.size_bytes is None else 2 * self.size_bytes

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Corpus:
    """A corpus in one or more parts.

    Attributes:
        folder: the folder for --data.
        licence: in a few words, with its source.
        parts: its archives by name.
        default: the parts to fetch by default.
    """

    folder: str
    licence: str
    parts: dict[str, Archive]
    default: tuple[str, ...]


def _librispeech(part: str, size_bytes: int, md5: str) -> Archive:
    url = f"https://www.openslr.org/resources/12/{part}.tar.gz"
    return Archive(url, size_bytes, md5, f"LibriSpeech/{part}", f"LibriSpeech/{part}")


def write_fsdd_manifest(folder: Path) -> None:
    """Writes the manifest.csv that the Free Spoken Digit Dataset lacks, from names such as 7_jackson_32.wav.

    george is split valid and lucas test, so that test results are for unseen speakers. (The data set's own split,
    recordings 0 to 4 as test, has the same speakers on both sides.)

    Raises:
        ValueError: the folder does not have the 3,000 recordings of version 1.0.10.
    """
    recordings = sorted((folder / "recordings").glob("*.wav"))
    if len(recordings) != FSDD_RECORDINGS:
        raise ValueError(f"it holds {len(recordings):,} recordings, and {FSDD_RECORDINGS:,} belong to it")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "speaker", "label", "transcript", "split"))
        for path in recordings:
            digit, speaker, _ = path.stem.split("_")
            word = DIGITS[int(digit)]
            split = FSDD_SPLITS.get(speaker, "train")
            rows.writerow((f"recordings/{path.name}", speaker, word.lower(), word, split))


CORPORA = {
    "speech-commands": Corpus(
        "speech_commands_v0.02",
        "CC BY 4.0, Warden 2018, Speech Commands v0.02",
        {
            "v0.02": Archive(
                "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
                2_428_923_189,
                "6b74f3901214cb2c2934e98196829835",
                ".",
                "speech_commands_v0.02",
            )
        },
        ("v0.02",),
    ),
    "librispeech": Corpus(
        "LibriSpeech",
        "CC BY 4.0, Panayotov et al. 2015, openslr.org/12",
        {
            "dev-clean": _librispeech("dev-clean", 337_926_286, "42e2234ba48799c1f50f24a7926300a1"),
            "dev-other": _librispeech("dev-other", 314_305_928, "c8d0bcc9cca99d4f8b62fcc847357931"),
            "test-clean": _librispeech("test-clean", 346_663_984, "32fa31d27d2e1cad72775fee3f4849a9"),
            "test-other": _librispeech("test-other", 328_757_843, "fb5a50374b501bb3bac4815ee91d3135"),
            "train-clean-100": _librispeech("train-clean-100", 6_387_309_499, "2a93770f6d5c6c964bc36631d331a522"),
            "train-clean-360": _librispeech("train-clean-360", 23_049_477_885, "c0e676e450a7ff2f54aeade5171606fa"),
            "train-other-500": _librispeech("train-other-500", 30_593_501_606, "d1a0fd59409feb2c614ce4d30c387708"),
        },
        ("dev-clean", "train-clean-100"),
    ),
    "fsdd": Corpus(
        "fsdd",
        "CC BY-SA 4.0, Jackson et al., Free Spoken Digit Dataset v1.0.10",
        {
            # GitHub repacks it on request, so there is no published size or checksum. The checks are gzip's own
            # checksum and the number of recordings.
            "v1.0.10": Archive(
                "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
                None,
                None,
                "free-spoken-digit-dataset-1.0.10",
                "fsdd",
                write_fsdd_manifest,
            )
        },
        ("v1.0.10",),
    ),
    "musan": Corpus(
        "musan",
        "CC BY 4.0 as a whole (each file's source is in its folder's LICENSE), Snyder et al. 2015, openslr.org/17",
        {
            "musan": Archive(
                "https://www.openslr.org/resources/17/musan.tar.gz",
                11_086_114_085,
                "0c472d4fc0c5141eca47ad1ffeb2a7df",
                "musan",
                "musan",
            )
        },
        ("musan",),
    ),
}

__all__ = ["CORPORA", "Archive", "Corpus", "write_fsdd_manifest"]
