"""Downloads of corpora: resumable, verified before unpacking, unpacked completely or not at all."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from streamrnn.data.corpora import Archive
from streamrnn.data.unpack import unpack

TIMEOUT_S = 60
READ_BYTES = 1 << 20
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, SSLError)
NO_RANGE_LEFT = 416
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)

Moved = Callable[[int, int], None]


class FetchError(OSError):
    """A failed download; the message has the reason and the remedy."""


def fetch(
    archive: Archive, folder: Path, base_url: str | None = None, moved: Moved = lambda done, total: None
) -> tuple[Path, str | None]:
    """Downloads, verifies and unpacks an archive: (its folder, the checksum of its contents; None if it existed
    before).

    An interrupted download is kept as NAME.part and resumed by the next call, if the server supports it. The archive
    itself is deleted in the end. An existing archive of that name is verified like a new download.

    Args:
        folder: created if missing.
        base_url: of a mirror with archives of the same names; default: the publisher's.
        moved: called with the bytes (done, all) of the download, if the server reports the size, then of unpacking.

    Raises:
        FetchError: the server lacks the file or does not answer, the download differs from the published file or is
            too large, it can't be unpacked (see `unpack`), or the disk is too small.
        OSError: the folder can't be written.
    """
    target = folder / archive.folder
    if target.exists():
        return target, None
    folder.mkdir(parents=True, exist_ok=True)
    with _full_disk_explained(folder):
        file = _downloaded(archive, folder, base_url, moved)
        contents = _unpack(archive, file, target, moved)
    file.unlink()
    return target, contents


def _downloaded(archive: Archive, folder: Path, base_url: str | None, moved: Moved) -> Path:
    file = folder / archive.name
    if file.exists():
        _require_sum(archive, file, str(file))
        return file
    if base_url is not None and "://" not in base_url:
        raise FetchError(f"{base_url!r} is no address of a folder. Name one, such as https://mirror.example/corpora.")
    part = file.with_name(f"{file.name}.part")
    _require_space(archive, folder, _size(part))
    url = f"{base_url.rstrip('/')}/{archive.name}" if base_url else archive.url
    _download(url, part, archive.size_bytes or archive.most_bytes, moved)
    _require_sum(archive, part, url)
    return part.rename(file)


def _download(url: str, part: Path, most_bytes: int, moved: Moved) -> None:
    while True:
        before = _size(part)
        try:
            return _go_on(url, part, most_bytes, moved)
        except HTTPError as error:
            error.close()
            # The download is complete; only verification is missing.
            if error.code == NO_RANGE_LEFT:
                return None
            raise FetchError(
                f"{url} gives no file: {error.code} {error.reason}. Try again later, or name a mirror with --base-url."
            ) from None
        except NETWORK_ERRORS as error:
            # Retry as long as every attempt makes progress.
            if _size(part) <= before:
                raise FetchError(
                    f"{url} could not be downloaded: {getattr(error, 'reason', None) or error}. {_size(part):,} bytes "
                    "are there. Check the network, and give the same command again to go on, or name a mirror with "
                    "--base-url."
                ) from error


def _go_on(url: str, part: Path, most_bytes: int, moved: Moved) -> None:
    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urlopen(request, timeout=TIMEOUT_S) as response, part.open("ab" if response.status == 206 else "wb") as file:
        length = response.headers["Content-Length"]
        total = file.tell() + int(length) if length and length.isdecimal() else None
        for chunk in _chunks(response.read):
            file.write(chunk)
            if file.tell() > most_bytes:
                part.unlink()
                raise FetchError(
                    f"{url} gives more than the {most_bytes:,} bytes that it may have, so it is another file. It was "
                    "removed: name a mirror with --base-url."
                )
            if total is not None:
                moved(file.tell(), total)
        if total is not None and file.tell() < total:
            raise ConnectionError(f"the connection ended at {file.tell():,} of {total:,} bytes")


def _require_sum(archive: Archive, file: Path, source: str) -> None:
    if archive.md5 is None:
        return
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "md5").hexdigest()
    if found != archive.md5:
        file.unlink()
        raise FetchError(
            f"{source} came with the MD5 sum {found}; {archive.md5} is published. The download was damaged, or the "
            "file is another one. It was removed: give the same command again, or name a mirror with --base-url."
        )


def _unpack(archive: Archive, file: Path, target: Path, moved: Moved) -> str:
    aside = file.with_name(f".{file.name}.unpacking")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        unpacked, contents = unpack(archive, file, aside, moved)
        _require_contents(archive, contents)
        archive.prepare(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unpacked, target)
    except ValueError as error:
        file.unlink()
        raise FetchError(
            f"{file.name} can't be unpacked: {error}. It was removed; give the same command again to download it anew."
        ) from error
    except OSError as error:
        # Without a published checksum, either the archive or the folder may be at fault.
        if archive.md5 is None and error.errno not in FULL_DISK:
            file.unlink()
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return contents


def _require_contents(archive: Archive, found: str) -> None:
    if archive.contents not in (None, found):
        raise ValueError(f"the sum of its contents is {found}, and {archive.contents} is asked for")


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    return iter(lambda: read(READ_BYTES), b"")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _require_space(archive: Archive, folder: Path, there_bytes: int) -> None:
    if archive.size_bytes is None:
        return
    needed, free = archive.most_bytes - there_bytes, shutil.disk_usage(folder).free
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
        if error.errno not in FULL_DISK:
            raise
        raise FetchError(
            f"{folder} is on a full disk. Make room and give the same command again: it goes on where it stopped."
        ) from error


__all__ = ["FetchError", "fetch"]
