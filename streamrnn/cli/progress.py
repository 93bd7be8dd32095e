"""A bar on standard error while a command works; standard output is for results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from streamrnn.learning.progress import Progress, Watch


# More is nothing that a calendar has.
LONGEST_S = 86_400.0 * 999_999


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function of (done, total) that moves the bar. Where nobody watches, nothing is drawn."""
    console = Console(stderr=True)
    with Bars(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@contextmanager
def training_progress() -> Iterator["Watch"]:
    """Gives a function that shows a training's Progress: a bar, and in a log a line for each validation."""
    console = Console(stderr=True)
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("compiling", total=None)

        def watch(now: "Progress") -> None:
            bars.update(bar, completed=now.step, total=now.steps, description=_figures(now))
            if now.validation is not None and not console.is_terminal:
                print(f"step {now.step}: {_validation(now)}", flush=True)

        yield watch


def _figures(now: "Progress") -> str:
    left = timedelta(seconds=round(min(now.remaining_s, LONGEST_S)))
    return f"loss {now.loss:.4f}  best {now.best:.4f}  {now.steps_per_s:.2f} steps/s  {left} left"


def _validation(now: "Progress") -> str:
    return f"loss {now.loss:.4f}, validation {now.validation:.4f}, best {now.best:.4f}"


__all__ = ["progress", "training_progress"]
