"""Training data that are heard several times, some batches apart and beside others.

Where composing takes most of the time of training, as on processors, a batch is better made of what is new and what was
heard before (Choi et al. 2019, "Faster neural network training with data echoing").
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

# Between two times that a group is heard, in batches.
APART = 5


def echoed(draw: Callable[[int], T], echoes: int) -> Callable[[int], list[T]]:
    """The groups of which each batch is made: group number + 5 k for k from 0 to `echoes` - 1, so that each is drawn
    once and heard `echoes` times, in another place of each batch.

    Args:
        draw: makes a group from its number, the same one each time. Groups are kept only while they are needed again.
        echoes: times that each is heard, 1 or more.
    """
    group = lru_cache(maxsize=2 * APART * (echoes - 1))(draw)
    return lambda number: [group(number + APART * later) for later in range(echoes)]


def check_echoes(batch_size: int, echoes: int) -> None:
    """Raises ValueError unless a batch is made of whole groups."""
    if echoes < 1:
        raise ValueError(f"echoes is {echoes}; it must be at least 1.")
    if batch_size % echoes:
        raise ValueError(f"batch_size is {batch_size}; it must be a multiple of echoes, {echoes}.")


__all__ = ["check_echoes", "echoed"]
