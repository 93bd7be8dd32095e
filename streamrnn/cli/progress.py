"""A bar on standard error while a command works; standard output is for results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function of (done, total) that moves the bar. Where nobody watches, nothing is drawn."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


__all__ = ["progress"]
