"""Downloading corpora: resumed where it stopped, checked before it is unpacked, unpacked as a whole or not at all."""

import errno
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from streamrnn.training.corpora import Archive

TIMEOUT_S = 60
READ_BYTES = 1 << 20
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, SSLError)
DAMAGE = (tarfile.TarError, zlib.error, BadGzipFile, EOFError, ValueError)
NO_RANGE_LEFT = 416

Moved = Callable[[int, int], None]


class FetchError(OSError):
    """What could not be fetched, why, and what to do."""


def fetch(archive: Archive, folder: Path, base_url: str | None = None, moved: Moved = lambda done, total: None) -> Path:
    """Downloads, checks and unpacks an archive into the folder that is returned. Where that is there, nothing is done.

    What was downloaded before the connection, the process or the machine went down is kept as NAME.part, and the next
    call goes on from there, unless the server can't. The archive itself is deleted in the end.

    Args:
        folder: made if missing.
        base_url: of a mirror, which has archives of the same names; default: the publisher's.
        moved: called with the bytes (done, all) of the download where the server tells how many, then of unpacking.

    Raises:
        FetchError: the server has no such file or does not answer, the download is not what was published, it can't be
            unpacked or would leave its folder, or the disk is too small.
        OSError: the folder can't be written.
    """
    target = folder / archive.folder
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with _full_disk_explained(folder):
        file = _downloaded(archive, folder, base_url, moved)
        _unpack(archive, file, target, moved)
    file.unlink()
    return target


def _downloaded(archive: Archive, folder: Path, base_url: str | None, moved: Moved) -> Path:
    file = folder / archive.name
    # The name without .part is given after the check alone: an archive under it was being unpacked.
    if file.exists():
        return file
    part = file.with_name(f"{file.name}.part")
    _require_space(archive, folder, _size(part))
    url = f"{base_url.rstrip('/')}/{archive.name}" if base_url else archive.url
    _download(url, part, moved)
    _require_sum(archive, part, url)
    return part.rename(file)


def _download(url: str, part: Path, moved: Moved) -> None:
    while True:
        before = _size(part)
        try:
            return _go_on(url, part, moved)
        except HTTPError as error:
            error.close()
            # Nothing follows what is there: only the check was missing.
            if error.code == NO_RANGE_LEFT:
                return None
            raise FetchError(
                f"{url} gives no file: {error.code} {error.reason}. Try again later, or name a mirror with --base-url."
            ) from None
        except NETWORK_ERRORS as error:
            # As long as every attempt brings something, the next one is worth it.
            if _size(part) <= before:
                raise FetchError(
                    f"{url} could not be downloaded: {getattr(error, 'reason', None) or error}. {_size(part):,} bytes "
                    "are there. Check the network, and give the same command again to go on, or name a mirror with "
                    "--base-url."
                ) from error


def _go_on(url: str, part: Path, moved: Moved) -> None:
    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urlopen(request, timeout=TIMEOUT_S) as response, part.open("ab" if response.status == 206 else "wb") as file:
        length = response.headers["Content-Length"]
        total = file.tell() + int(length) if length else None
        for chunk in _chunks(response.read):
            file.write(chunk)
            if total is not None:
                moved(file.tell(), total)
        if total is not None and file.tell() < total:
            raise ConnectionError(f"the connection ended at {file.tell():,} of {total:,} bytes")


def _require_sum(archive: Archive, part: Path, url: str) -> None:
    if archive.md5 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        part.unlink()
        raise FetchError(
            f"{url} came with the MD5 sum {found}; {archive.md5} is published. The download was damaged, or the file "
            "is another one. It was removed: give the same command again, or name a mirror with --base-url."
        )


def _unpack(archive: Archive, file: Path, target: Path, moved: Moved) -> None:
    aside = file.with_name(f".{file.name}.unpacking")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _extract(file, aside, moved)
        unpacked = aside / archive.inside
        if not unpacked.is_dir():
            raise ValueError(f"it has no folder {archive.inside}")
        archive.prepare(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unpacked, target)
    except DAMAGE as error:
        file.unlink()
        raise FetchError(
            f"{file.name} can't be unpacked: {error}. It was removed; give the same command again to download it anew."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract(file: Path, aside: Path, moved: Moved) -> None:
    aside.mkdir()
    with file.open("rb") as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
        for member in tar:
            # "data" refuses names and links that lead out of the folder, devices, and rights that nobody should have.
            tar.extract(member, aside, filter="data")
            moved(packed.tell(), _size(file))
        # To the end, where gzip compares its sum.
        for _ in _chunks(tar.fileobj.read):
            pass


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    return iter(lambda: read(READ_BYTES), b"")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _require_space(archive: Archive, folder: Path, there_bytes: int) -> None:
    if archive.size_bytes is None:
        return
    # Archive and contents lie side by side for a while, and sound hardly shrinks when it is packed.
    needed, free = 2 * archive.size_bytes - there_bytes, shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"{folder} has {free / 1e9:.1f} GB free; {archive.name} needs about {needed / 1e9:.1f} GB while it is "
            "unpacked. Make room, or choose a folder on another disk."
        )


@contextmanager
def _full_disk_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FetchError(
            f"{folder} is on a full disk. Make room and give the same command again: it goes on where it stopped."
        ) from error


__all__ = ["FetchError", "fetch"]
