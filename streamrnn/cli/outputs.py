"""Files that a command will write, checked before it begins to work."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path


def check_outputs(source: str, paths: Iterable[Path]) -> None:
    """Raises OSError unless each of the files can be written, and ValueError for one that is the source itself, or that
    two outputs would be written to.
    """
    places = set[Path]()
    for path in paths:
        if (place := path.resolve()) in places:
            raise ValueError(f"{path} is named for two outputs, and one would overwrite the other. Name two files.")
        places.add(place)
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise ValueError(f"{path} is the recording itself and would be overwritten. Choose another file to write.")
        _check_writable(path)


def check_folder(folder: Path) -> None:
    """Raises OSError unless files can be written into the folder, made where it is missing. Nothing is made here."""
    # is_dir and exists are false of a path that leads through a file.
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, and a folder is needed. Choose another", str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "cannot write there. Choose a folder of your own", str(there))


def _check_writable(path: Path) -> None:
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        message = f"cannot write ({error.strerror}). Pass a file in an existing, writable folder"
        raise OSError(error.errno, message, str(path)) from error
    if not existed:
        path.unlink()


__all__ = ["check_folder", "check_outputs"]
