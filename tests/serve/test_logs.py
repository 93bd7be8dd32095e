"""What the server logs: one JSON object per line, whatever is in it."""

import json
import logging
import sys

from streamrnn.serve.logs import JsonLines


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
