"""The log of a run: steps never repeat, whatever happened to it; TensorBoard gets the same figures."""

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from streamrnn.learning.logging import MetricsLog


def write(folder: Path, start: int, *steps: int, **settings) -> None:
    with closing(MetricsLog(folder, start, **settings)) as log:
        for step in steps:
            log.write(step, {"loss": step / 2, "validation": 0.5})


def test_figures_are_one_line_each(tmp_path):
    write(tmp_path, 0, 5, 10)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 5, "loss": 2.5, "validation": 0.5},
        {"step": 10, "loss": 5.0, "validation": 0.5},
    ]


def test_lines_after_the_step_that_is_resumed_from_are_dropped_and_so_is_a_broken_one(tmp_path):
    write(tmp_path, 0, 5, 10, 15)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'7\n{}\n\xff\xfe\n{"step": 1')
    write(tmp_path, 10, 15, 20)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [5, 10, 15, 20]


def test_a_folder_without_a_log_goes_on_without_one(tmp_path):
    write(tmp_path, 10)
    assert not (tmp_path / "metrics.jsonl").exists()


def events_of(path: Path) -> Iterator[Event]:
    """The records of an event file: length, its checksum, the event, its checksum."""
    data, position = path.read_bytes(), 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        yield Event.FromString(data[position + 12 : position + 12 + length])
        position += length + 16


def test_tensorboard_gets_every_figure(tmp_path):
    write(tmp_path, 4, 5, 10, tensorboard=True)
    (path,) = (tmp_path / "tensorboard").iterdir()
    scalars = [
        (event.step, value.tag, value.simple_value) for event in events_of(path) for value in event.summary.value
    ]
    assert scalars == [(5, "loss", 2.5), (5, "validation", 0.5), (10, "loss", 5.0), (10, "validation", 0.5)]


def test_without_tensorboardx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "streamrnn\[tensorboard\]"'):
        MetricsLog(tmp_path, 0, tensorboard=True)
