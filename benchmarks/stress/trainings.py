"""Trainings that are killed and go on: the tests of that, as often as is asked for."""

import subprocess
import sys

from benchmarks.stress.report import Part

TESTS = ("tests/learning/test_loop.py", "tests/learning/test_checkpoints.py")


def try_kills(part: Part, times: int) -> None:
    """Runs the tests in which trainings are killed; their losses must be those of runs that were not."""
    for _ in range(times):
        part.count("rounds of killed trainings")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", "kill", *TESTS]
        run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        part.require(run.returncode == 0, run.stdout[-300:])


__all__ = ["try_kills"]
