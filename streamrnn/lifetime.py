"""What a process may still do with JAX: nothing that is new while it ends, and nothing at all after a fork.

JAX runs in C++ and with threads of its own. A daemon thread that comes back from there while the interpreter is being
taken down aborts the process. And a fork copies one thread: the child would wait for the others for ever.
"""

import atexit
import os
import sys
import threading
import time
import weakref
from types import TracebackType
from typing import Any

# For so long the end of a process waits for threads that are computing, such as one that compiles.
LONGEST_S = 10.0
LOOK_S = 0.001


class Running:
    """A context manager around whatever enters JAX for a moment: `with running: ...`. It may be nested.

    While the process ends, daemon threads stay in front of it for ever; those that are inside are waited for.

    Raises:
        RuntimeError: this process was forked from one in which JAX ran.
    """

    def __init__(self) -> None:
        self._depths: dict[int, int] = {}
        self._is_watched = self._is_forked = False
        # The thread that ends the process.
        self._ending: int | None = None

    def __enter__(self) -> None:
        thread = threading.get_ident()
        # Told before it is asked: whoever ends the process says so first, and then looks who is inside.
        depth = self._depths[thread] = self._depths.get(thread, 0) + 1
        if self._is_forked:
            self.__exit__()
            raise RuntimeError(
                "this process was forked from one in which JAX had run, and JAX does not survive that: it would wait "
                'for ever. Start processes with multiprocessing.get_context("spawn"), to which models can be passed, '
                "or fork before the first model is loaded."
            )
        if not self._is_watched:
            self._watch()
        if self._ending is not None and self._ending != thread and depth == 1:
            self.__exit__()
            threading.Event().wait()

    def __exit__(
        self,
        _kind: type[BaseException] | None = None,
        _error: BaseException | None = None,
        _traceback: TracebackType | None = None,
    ) -> None:
        thread = threading.get_ident()
        self._depths[thread] -= 1
        if not self._depths[thread]:
            del self._depths[thread]

    def _watch(self) -> None:
        # What is registered last is called first, and JAX takes itself down, too: so not before JAX is there. A model
        # is loaded inside of a `with` that was entered without it.
        if hasattr(sys.modules.get("jax"), "jit"):
            self._is_watched = True
            # Nor before weak references, whose finalizers empty JAX's caches: the first of them registers them all.
            weakref.finalize(self, int)
            atexit.register(self._end)

    def _end(self) -> None:
        self._ending = threading.get_ident()
        deadline_s = time.monotonic() + LONGEST_S
        while any(thread != self._ending for thread in list(self._depths)) and time.monotonic() < deadline_s:
            time.sleep(LOOK_S)

    def forked(self) -> None:
        """To be called in a process that was forked from this one."""
        self._depths.clear()
        self._is_forked = self._is_forked or _jax_runs()


class RunningLock:
    """A lock as threading.RLock, for what enters JAX while it is held."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        running.__enter__()
        try:
            self._lock.acquire()
        except BaseException:
            running.__exit__()
            raise

    def __exit__(self, *_exception: Any) -> None:
        self._lock.release()
        running.__exit__()


def _jax_runs() -> bool:
    """Whether JAX has threads by now. It says so in no public place; where it does not say it at all, it may have."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    told = getattr(bridge, "backends_are_initialized", None)
    return bridge is not None and (told is None or bool(told()))


running = Running()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=running.forked)

__all__ = ["Running", "RunningLock", "running"]
