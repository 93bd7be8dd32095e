"""Several processes behind one port: each is a whole server, and a parent starts, stops and replaces them.

The system assigns each connection to one of them (SO_REUSEPORT). If a client reconnects to a worker that does not have
its stream, the stream moves to that worker.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from streamrnn.models import Model
from streamrnn.serve.dialects import Dialect
from streamrnn.serve.handover import KEY_VARIABLE
from streamrnn.serve.listen import listening, serve, url_of
from streamrnn.serve.settings import ServerSettings
from streamrnn.serve.siblings import Siblings

logger = logging.getLogger(__name__)

# Poll interval for the workers.
LOOK_S = 0.1
# A worker that lives for less has failed: if it is the last one, the server ends; else it is restarted after a pause
# that grows from the first to the longest.
SHORTEST_S = 10.0
PAUSES_S = (1.0, 30.0)


class CannotBegin(OSError):
    """A worker cannot start, for the reason that it gave."""


class WorkerFailed(RuntimeError):
    """A worker died soon after it had started: during startup, or while no other one was serving."""


def serve_workers(
    models: Mapping[str, Model] | Iterable[str],
    settings: ServerSettings,
    workers: int,
    when_ready: Callable[[str], None] = lambda _url: None,
    dialects: Sequence[Dialect] = (),
    first_alone: Sequence[Dialect] = (),
    prepare: Callable[[], None] | None = None,
) -> None:
    """Serves models with several processes until this one is told to stop, as `serve` does.

    Args:
        models: as for make_app; each worker has its own.
        settings: of each worker; limits apply to each.
        workers: number of processes.
        when_ready: called with the server's URL once all of them answer.
        dialects: protocols at the server's own address.
        first_alone: dialects with an address of their own, which one worker serves.
        prepare: called in each worker first; a function of a module.

    Raises:
        CannotListen: the address is in use.
        ValueError: `workers` is below 1, or the system cannot share a port.
        CannotBegin: a worker could not start because of a model, a setting, or a store: during startup, or while no
            other one was serving.
        WorkerFailed: a worker died soon after it had started, likewise; its log has the reason.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more.")
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("this system cannot share a port between processes. Leave workers out.")
    # Bound but never listening: it reserves the port while workers come and go.
    with listening(settings, shared=True) as port, tempfile.TemporaryDirectory(prefix="streamrnn-") as folder:
        settings = replace(settings, port=port.getsockname()[1], resume_key_file=_key_file(settings, Path(folder)))
        spoken = [[*dialects, *(first_alone if index == 0 else ())] for index in range(workers)]
        _Workers(models, settings, Path(folder), spoken, prepare).run(lambda: when_ready(url_of(settings, port)))


def _key_file(settings: ServerSettings, folder: Path) -> Path | None:
    """Workers resume each other's streams, so they need the same key."""
    if settings.resume_key_file is not None or os.environ.get(KEY_VARIABLE):
        return settings.resume_key_file
    path = folder / "resume.key"
    path.write_text(secrets.token_hex(32))
    return path


class _Workers:
    """The parent: it receives signals, and forwards them."""

    def __init__(
        self,
        models: Mapping[str, Model] | Iterable[str],
        settings: ServerSettings,
        folder: Path,
        dialects: Sequence[Sequence[Dialect]],
        prepare: Callable[[], None] | None,
    ):
        self._models, self._settings, self._folder = models, settings, folder
        self._dialects, self._prepare = dialects, prepare
        # JAX does not survive a fork.
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[int, Any] = {}
        self._begun_s: dict[int, float] = {}
        self._ready: dict[int, Connection] = {}
        # For workers that died: the last pause, and when they restart.
        self._paused_s: dict[int, float] = {}
        self._due_s: dict[int, float] = {}
        # Closed when this process ends in any way, whereupon the workers end too.
        self._life, self._alive = self._context.Pipe(duplex=False)
        self._signals: list[int] = []

    def run(self, when_ready: Callable[[], None]) -> None:
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, lambda n, _frame: self._signals.append(n)) for number in numbers}
        try:
            for index in range(len(self._dialects)):
                self._begin(index)
            self._watch(when_ready)
        finally:
            self._end()
            for number, old in before.items():
                signal.signal(number, old)
        # Ends like a single-process server: by the signal, once the workers are done.
        os.kill(os.getpid(), self._signals[0])

    def _begin(self, index: int) -> None:
        ready, tells = self._context.Pipe(duplex=False)
        siblings = Siblings(self._folder, index, len(self._dialects))
        dialects = self._dialects[index]
        arguments = (self._models, self._settings, siblings, dialects, self._prepare, tells, self._life)
        process = self._context.Process(target=_work, args=arguments, name=f"streamrnn worker {index}")
        process.start()
        tells.close()
        self._processes[index], self._ready[index], self._begun_s[index] = process, ready, time.monotonic()

    def _watch(self, when_ready: Callable[[], None]) -> None:
        is_told = False
        while not self._signals:
            for index, process in list(self._processes.items()):
                if index in self._ready and self._ready[index].poll():
                    self._hear(index, process, may_fail=is_told)
                elif not process.is_alive():
                    self._lose(index, process, None, may_fail=is_told)
            for index in [index for index, due_s in self._due_s.items() if time.monotonic() >= due_s]:
                del self._due_s[index]
                self._begin(index)
            if not self._ready and not is_told:
                is_told = True
                when_ready()
            time.sleep(LOOK_S)

    def _hear(self, index: int, process: Any, may_fail: bool) -> None:
        """Processes a worker's only message: that it is ready, or why it cannot start."""
        try:
            reason = self._ready[index].recv()
        except EOFError:  # It died without a message.
            process.join(LOOK_S)
            if not process.is_alive():
                self._lose(index, process, None, may_fail)
            return
        if reason is None:
            del self._ready[index]
        else:
            self._lose(index, process, reason, may_fail)

    def _lose(self, index: int, process: Any, reason: str | None, may_fail: bool) -> None:
        """Restarts a worker that has ended, or is about to.

        Raises:
            CannotBegin, WorkerFailed: it failed, and either must not fail or was the only one serving.
        """
        has_failed = index in self._ready or time.monotonic() - self._begun_s[index] < SHORTEST_S
        del self._processes[index]
        self._ready.pop(index, None)
        serves = any(other not in self._ready and one.is_alive() for other, one in self._processes.items())
        if has_failed and not (may_fail and serves):
            self._processes[index] = process
            if reason is not None:
                raise CannotBegin(reason)
            raise WorkerFailed(f"worker {index} ended with status {process.exitcode}; the log has the reason.")
        shortest, longest = PAUSES_S
        pause_s = min(longest, max(shortest, 2 * self._paused_s.get(index, 0.0))) if has_failed else 0.0
        self._paused_s[index] = pause_s
        told = {"worker": index, "status": process.exitcode, "pause_s": pause_s}
        logger.error("worker ended and is replaced", extra=told if reason is None else {**told, "reason": reason})
        self._due_s[index] = time.monotonic() + pause_s

    def _end(self) -> None:
        handed_on = 0
        first = self._signals or [signal.SIGTERM]
        while any(process.is_alive() for process in self._processes.values()):
            # A second signal ends them at once, as it does a single server.
            for number in (self._signals or first)[handed_on:]:
                handed_on += 1
                for process in self._processes.values():
                    if process.is_alive():
                        os.kill(process.pid, number)
            time.sleep(LOOK_S)
        for process in self._processes.values():
            process.join()
        self._alive.close()


def _work(
    models: Mapping[str, Model] | Iterable[str],
    settings: ServerSettings,
    siblings: Siblings,
    dialects: Sequence[Dialect],
    prepare: Callable[[], None] | None,
    tells: Connection,
    life: Connection,
) -> None:
    """One worker."""
    # Ctrl-C in a terminal would reach each worker directly as well: the second signal ends it at once.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    if prepare is not None:
        prepare()
    try:
        serve(models, settings, lambda _url: tells.send(None), dialects, siblings)
    # The parent reports it, once for all workers.
    except (OSError, ValueError, ImportError) as error:
        tells.send(str(error))
        sys.exit(1)
    except Exception:
        logger.exception("worker failed", extra={"worker": siblings.index})
        sys.exit(1)


def _end_with_parent(life: Connection) -> None:
    try:
        life.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


__all__ = ["CannotBegin", "WorkerFailed", "serve_workers"]
