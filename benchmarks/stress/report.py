"""What a part of the suite tried, and what went wrong."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Of a fault that comes a thousand times the first ones say enough.
MOST_TOLD = 5


@dataclass
class Part:
    """One part of the suite.

    Attributes:
        name: what is tried.
        tried: how often, by kind.
        failed: how often something went wrong.
        problems: the first of them, in words.
        seconds: how long it took.
    """

    name: str
    tried: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, kind: str, times: int = 1) -> None:
        """Something was tried."""
        self.tried[kind] = self.tried.get(kind, 0) + times

    def fail(self, problem: str) -> None:
        """Something went wrong."""
        self.failed += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem[:300])

    def require(self, holds: bool, problem: str) -> None:
        """Something went wrong unless it holds."""
        if not holds:
            self.fail(problem)

    @contextmanager
    def timed(self) -> Iterator["Part"]:
        """Measures how long it takes; what is raised within is a problem, too."""
        started_s = time.monotonic()
        try:
            yield self
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}")
        finally:
            self.seconds += time.monotonic() - started_s


__all__ = ["Part"]
