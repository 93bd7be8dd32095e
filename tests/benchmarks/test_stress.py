"""The stress suite: what it counts as wrong, and that it finds nothing wrong where it looks briefly."""

import subprocess
import sys

import pytest

from benchmarks.stress.__main__ import Stress, run
from benchmarks.stress.doors import try_hellos
from benchmarks.stress.report import Part
from streamrnn.serve.protocol import Hello


def test_what_is_raised_and_what_does_not_hold_counts_as_wrong():
    with Part("a").timed() as part:
        part.require(True, "never")
        part.require(False, "an answer")
        for number in range(20):
            part.fail(f"answer {number}")
        raise ValueError("no more")
    assert part.failed == 22 and part.problems[0] == "an answer" and len(part.problems) == 5


def test_hellos_are_understood_or_refused_and_an_error_of_the_parser_is_found(monkeypatch):
    part = Part("hellos")
    try_hellos(part, 300, seed=1)
    assert part.tried == {"hellos and commands": 600} and not part.failed
    monkeypatch.setattr(Hello, "_check", lambda self: self.resume.seq / 0)
    try_hellos(part, 300, seed=1)
    assert part.failed


def test_a_part_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="earthquakes"):
        run(Stress(only=("earthquakes",)))


@pytest.mark.system
def test_strangers_of_all_kinds_leave_a_server_as_it_was():
    command = [sys.executable, "-m", "benchmarks.stress", "--scale", "0.005"]
    parts = ["--only", "requests", "resumes", "connections", "streams"]
    found = subprocess.run([*command, *parts], capture_output=True, text=True, timeout=280)
    assert found.returncode == 0, found.stdout
