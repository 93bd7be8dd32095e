"""What the server logs: one JSON object per line, whatever is in it."""

import json
import logging
import os
import subprocess
import sys
import time

from streamrnn.serve.logs import JsonLines, NeverWaiting, Sparing


def line(message: str, *args, exc_info=None, **extra) -> dict:
    record = logging.LogRecord("streamrnn.serve", logging.WARNING, "", 0, message, args, exc_info)
    vars(record).update(extra)
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_an_object_with_what_was_given_besides():
    found = line("%d streams\nof %s", 3, "vad", model="vad", path=object)
    assert found["message"] == "3 streams\nof vad"
    assert (found["level"], found["logger"], found["model"]) == ("warning", "streamrnn.serve", "vad")
    assert found["time"].endswith("Z") and "args" not in found


def test_a_traceback_is_one_of_its_fields():
    try:
        raise ValueError("no more\nstreams")
    except ValueError:
        found = line("failed", exc_info=sys.exc_info())
    assert "ValueError: no more" in found["exception"]


def test_of_lines_that_say_the_same_only_some_are_let_through_and_the_rest_is_counted(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sparing = Sparing()

    def passed(message: str, name: str = "uvicorn.error") -> logging.LogRecord | None:
        record = logging.LogRecord(name, logging.WARNING, "", 0, message, (), None)
        return record if sparing.filter(record) else None

    assert sum(passed("invalid request") is not None for _ in range(1000)) == 20
    assert passed("another") and passed("invalid request", "asyncio")
    now = 6.0
    assert vars(passed("invalid request"))["left_out"] == 980
    now = 12.0
    assert "left_out" not in vars(passed("invalid request"))
    for number in range(10_000):
        passed(f"message {number}")
    assert len(sparing._kinds) < 300


UNREAD = """
import logging, sys
from streamrnn.serve.logs import log_to_stderr
log_to_stderr()
for number in range(3000):
    logging.getLogger("streamrnn.serve").warning(f"message {number} " + 1000 * "x")
print("went on")
"""


def test_a_pipe_that_nobody_reads_holds_up_neither_the_server_nor_its_end():
    with subprocess.Popen([sys.executable, "-c", UNREAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read().strip() == b"went on"
        assert process.wait(20) == 0
        process.stderr.close()


def test_lines_are_written_before_the_end_and_those_that_were_dropped_are_counted():
    code = UNREAD.replace("3000", "50") + "logging.shutdown()"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert [json.loads(line)["message"].split()[1] for line in process.stderr.splitlines()] == list(map(str, range(50)))
    reading, writing = os.pipe()
    with open(reading, "rb") as read, open(writing, "w") as stream:
        handler = NeverWaiting(stream)
        for _ in range(3000):
            handler.emit(logging.makeLogRecord({"msg": 200 * "x"}))
        found = b""
        while b"dropped" not in found:
            found += read.read1()
        handler.flush()
    assert b'"lines": ' in found
