"""The start of a command, without the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[None]:
    """Collects no garbage, and never again looks through what is there afterwards.

    Importing JAX and Flax and compiling a model make two hundred thousand objects, nearly all to stay. To look
    through them again and again, and once more at the end of the process, takes a fifth of a short command; while sound
    is heard, a block would wait for a tenth of a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


__all__ = ["starting"]
