"""Safe unpacking of archives: only files and folders, inside one new folder, with limits of size and number."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from streamrnn.data.corpora import Archive

READ_BYTES = 1 << 20
# The largest part of a corpus has some 150,000.
MOST_MEMBERS = 400_000
# Errors of tarfile and gzip for bytes that are not an archive.
DAMAGE = (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ArithmeticError, LookupError, RecursionError)


def unpack(archive: Archive, file: Path, folder: Path, moved: Callable[[int, int], None]) -> tuple[Path, str]:
    """Unpacks a .tar.gz into a new folder: (the requested folder in it, its `contents_sum`).

    Only files and folders are created, each of them new, so that no member reaches out of the folder. tarfile's own
    filter="data" does not suffice: in many versions of Python links get around it (CVE-2025-4517).

    Args:
        file: path of the archive.
        folder: to create; it is complete only if nothing is raised.
        moved: called with the bytes (done, all) read of the archive.

    Raises:
        ValueError: it is damaged; a member is a link or a device, or has the name of another one or a name that leads
            elsewhere; there are more members or bytes than allowed; the requested folder is missing.
        OSError: a file could not be written.
    """
    folder.mkdir()
    sums: dict[PurePosixPath, str] = {}
    with _damage_named(), file.open("rb") as packed, _Bounded(packed, archive.most_bytes) as stream:
        packed_bytes = file.stat().st_size
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for _ in range(MOST_MEMBERS):
                if (member := tar.next()) is None:
                    break
                path = _place(member, archive.most_bytes)
                if member.isdir():
                    (folder / path).mkdir(parents=True, exist_ok=True)
                else:
                    sums[path] = _write(tar, member, folder / path)
                moved(packed.tell(), packed_bytes)
            else:
                raise ValueError(f"it has more than {MOST_MEMBERS:,} members")
        # To the end, where gzip verifies its checksum.
        while stream.read(READ_BYTES):
            pass
    wanted = folder / archive.inside
    if not wanted.is_dir():
        raise ValueError(f"it has no folder {archive.inside}")
    return wanted, contents_sum(sums, archive.inside)


def contents_sum(sums: Mapping[PurePosixPath, str], inside: str) -> str:
    """The SHA-256 sum, in hexadecimal, of the names and sums of all files below a folder, independent of the packing.

    `sums` has the SHA-256 sum of each file by its path.
    """
    whole = hashlib.sha256()
    for path in sorted(path for path in sums if path.is_relative_to(inside)):
        whole.update(f"{sums[path]}  {path.relative_to(inside)}\n".encode())
    return whole.hexdigest()


class _Bounded(gzip.GzipFile):
    """A gzip stream that raises an error when it exceeds its limit, or when a single read is too large.

    tarfile reads the header of a long name in one piece, of whatever length the header states.
    """

    def __init__(self, packed: BinaryIO, most_bytes: int):
        super().__init__(fileobj=packed, mode="rb")
        self._most_bytes = most_bytes

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= READ_BYTES:
            raise ValueError(f"it has a header of {size} bytes")
        data = super().read(size)
        if self.tell() > self._most_bytes:
            raise ValueError(f"it has more than the {self._most_bytes:,} bytes that it may have")
        return data


def _place(member: tarfile.TarInfo, most_bytes: int) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        raise ValueError(f"its member {member.name!r} is a link or a device")
    # Windows would read a backslash as another folder, and a colon as a drive.
    if path.is_absolute() or ".." in path.parts or any(c in member.name for c in "\\:\0"):
        raise ValueError(f"its member {member.name!r} leads out of its folder, or may do so on some systems")
    if not 0 <= member.size <= most_bytes:
        raise ValueError(f"its member {member.name!r} says that it has {member.size:,} bytes")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    """Writes a new file and returns its SHA-256 sum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content, total = tar.extractfile(member), hashlib.sha256()
    assert content is not None, "members are files here"
    with target.open("xb") as out:
        while data := content.read(READ_BYTES):
            total.update(data)
            out.write(data)
    return total.hexdigest()


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error
    # Two members of one name, or a file where another member has a folder.
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ValueError(f"it has two members of the name {error.filename}") from error


__all__ = ["contents_sum", "unpack"]
