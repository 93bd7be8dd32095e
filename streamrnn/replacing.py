"""Files that are written whole or not at all."""

from contextlib import suppress
from os import PathLike
from pathlib import Path


def replace_file(path: str | PathLike[str], data: bytes) -> None:
    """Replaces the file by one with this content.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    # Aside first: whoever reads meanwhile, or a full disk, meets the old file or the new one, never a part.
    aside = path.with_name(f".{path.name}.new")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        # What is left would take room on a disk that is full, of which the system does not name the file.
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None
        raise


__all__ = ["replace_file"]
