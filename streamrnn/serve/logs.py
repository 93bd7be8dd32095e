"""A server's log: one JSON object per line."""

import json
import logging
import os
import sys
import time
from queue import Full, Queue
from threading import Thread
from typing import Any, TextIO

from streamrnn.serve.allowance import Allowance

# Attributes that logging itself sets on a record; all others were passed with `extra`.
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Lines queued for a slow reader; more are dropped.
MOST_WAITING = 1000
# Lines that differ only in their figures: burst, and per second.
ALIKE, ALIKE_PER_S = 20, 0.2
# Messages counted separately; all further ones share one count.
MOST_KINDS = 200
# Time limit for writing the remaining lines at the end.
LAST_LINES_S = 1.0


class JsonLines(logging.Formatter):
    """A record as {"time", "level", "logger", "message", ...}, with the fields of `extra` and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class Sparing(logging.Filter):
    """Limits the rate of each kind of record; the next one that passes reports how many were dropped.

    Otherwise, any client that can trigger a record could flood the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], tuple[Allowance, list[int]]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = (record.name, str(record.msg)[:200])
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = ("", "")
        allowance, left_out = self._kinds.setdefault(kind, (Allowance(ALIKE, ALIKE_PER_S), [0]))
        if not allowance.spend():
            left_out[0] += 1
            return False
        if left_out[0]:
            record.left_out, left_out[0] = left_out[0], 0
        return True


class NeverWaiting(logging.Handler):
    """Writes records in a background thread, and drops new ones while too many are queued.

    A pipe that nobody reads fills up after 64 kB, and then blocks its writer. Here that is only the background thread,
    which ends with the process.

    Args:
        stream: whose file is written to.
    """

    def __init__(self, stream: TextIO):
        super().__init__()
        # Not through the stream: Python cannot exit while a thread holds its lock.
        self._file = stream.fileno()
        self._lines: Queue[bytes] = Queue(MOST_WAITING)
        self._dropped = 0
        self._thread = Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            line = json.dumps({"level": "error", "logger": __name__, "message": f"no line: {record.msg!r}"})
        try:
            self._lines.put_nowait(f"{line}\n".encode("utf-8", "replace"))
        except Full:
            self._dropped += 1

    def flush(self) -> None:
        """Waits until everything is written, or for a second."""
        until = time.monotonic() + LAST_LINES_S
        while self._lines.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def close(self) -> None:
        """Writes the remaining lines, as far as they are read."""
        self.flush()
        super().close()

    def _write_all(self) -> None:
        while True:
            self._write(self._lines.get())
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                fields = {"level": "warning", "logger": __name__, "message": "lines were dropped", "lines": dropped}
                self._write(f"{json.dumps(fields)}\n".encode())
            self._lines.task_done()

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._file, line) :]
        # The reader is gone: there is nowhere to report it.
        except OSError:
            return


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends this package's records, the web server's, and Python's warnings to standard error."""
    handler = NeverWaiting(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(Sparing())
    others = dict.fromkeys(("uvicorn.error", "asyncio", "py.warnings"), logging.WARNING)
    for name, least in {"streamrnn.serve": level, **others}.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
    logging.captureWarnings(True)


__all__ = ["JsonLines", "NeverWaiting", "Sparing", "log_to_stderr"]
