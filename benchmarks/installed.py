"""Other programs to compare with: those that run here, and how to get the others."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from rich.console import Console

T = TypeVar("T")


class Installable(Protocol):
    """Something of a package that may be missing, and the command that installs it."""

    @property
    def name(self) -> str: ...

    @property
    def install(self) -> str: ...


P = TypeVar("P", bound=Installable)


def made_or_missing(peers: Iterable[P], make: Callable[[P], T]) -> tuple[list[T], list[dict[str, str]]]:
    """What `make` makes of the peers that run here, and name, error and install of those that don't."""
    made: list[T] = []
    missing: list[dict[str, str]] = []
    for peer in peers:
        try:
            made.append(make(peer))
        except (ImportError, OSError) as error:
            missing.append({"name": peer.name, "error": str(error), "install": peer.install})
    return made, missing


def print_missing(missing: Iterable[dict[str, str]], console: Console) -> None:
    """A line for each peer that is missing: why, and how to install it."""
    for peer in missing:
        console.print(f"{peer['name']} is missing ({peer['error']}). Install it: {peer['install']}", markup=False)


__all__ = ["made_or_missing", "print_missing"]
