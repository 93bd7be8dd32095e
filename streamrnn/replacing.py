"""Files that are written whole or not at all."""

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
    aside.write_bytes(data)
    aside.replace(path)


__all__ = ["replace_file"]
