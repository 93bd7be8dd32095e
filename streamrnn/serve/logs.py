"""One JSON object per line: what a server has to say, for machines to read."""

import json
import logging
import sys
import time
from typing import Any

# What logging itself puts into a record; all else was given with `extra`.
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """A record as {"time", "level", "logger", "message", ...}, with what was given as `extra`, and the traceback."""

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


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends this package's records, the web server's and Python's warnings to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    others = dict.fromkeys(("uvicorn.error", "asyncio", "py.warnings"), logging.WARNING)
    for name, least in {"streamrnn.serve": level, **others}.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
    logging.captureWarnings(True)


__all__ = ["JsonLines", "log_to_stderr"]
