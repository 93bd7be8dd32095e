"""Files that a command will write, checked before it begins to work."""

from collections.abc import Iterable
from pathlib import Path


def check_outputs(source: str, paths: Iterable[Path]) -> None:
    """Raises OSError unless each of the files can be written, and ValueError for one that is the source itself."""
    for path in paths:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise ValueError(f"{path} is the recording itself and would be overwritten. Choose another file to write.")
        _check_writable(path)


def _check_writable(path: Path) -> None:
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        message = f"cannot write ({error.strerror}). Pass a file in an existing, writable folder"
        raise OSError(error.errno, message, str(path)) from error
    if not existed:
        path.unlink()


__all__ = ["check_outputs"]
