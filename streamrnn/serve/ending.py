"""Shutting a server's process down: cleanly at the first signal, at once at the second."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn


class EndingServer(uvicorn.Server):
    """uvicorn's server, which a second signal ends at once, and which treats SIGHUP like SIGTERM.

    SIGHUP comes when the terminal closes; nohup ignores it, and then it stays ignored. The first process of a
    container has no default actions for signals, so every signal is handled here.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and self._captured_signals:
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals(), self._hanging_up():
            yield

    @contextmanager
    def _hanging_up(self) -> Generator[None, None, None]:
        number: Any = getattr(signal, "SIGHUP", None)
        is_ours = threading.current_thread() is threading.main_thread()
        if number is None or not is_ours or signal.getsignal(number) is signal.SIG_IGN:
            yield
            return
        # The process's exit status must tell which signal it was, so uvicorn's own list is used.
        before = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            signal.signal(number, before)


__all__ = ["EndingServer"]
