"""Optional packages: whether they are there, in a version that is known to fit."""

import re
from importlib.metadata import PackageNotFoundError, version


def check_package(name: str, extra: str, least: str, below: str) -> None:
    """Looks whether a package can be used, without importing it.

    Args:
        name: the distribution's.
        extra: of streamrnn, that brings it.
        least, below: the versions that fit, from the one up to the other.

    Raises:
        ImportError: it is missing, or of another version.
    """
    install = f"Install it: pip install 'streamrnn[{extra}]'"
    try:
        found = version(name)
    except PackageNotFoundError:
        raise ImportError(f"{name} is missing. {install}") from None
    if not _numbers(least) <= _numbers(found) < _numbers(below):
        raise ImportError(f"{name} {found} is installed; this needs {least} or newer, below {below}. {install}")


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: 1.10.2rc1 is (1, 10, 2)."""
    release = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, release[0].split("."))) if release else ()


__all__ = ["check_package"]
