"""What a measurement started ends with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from streamrnn.bench.child import command

# Says who it is once its child lives, and waits.
PARENT = """
import subprocess, sys
from streamrnn.bench.child import command
sys.stdout.write("")
child = subprocess.Popen(command("http.server", "--bind", "127.0.0.1", "0"), stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; whoever adopted it has not looked yet.
    with open(f"/proc/{pid}/stat") as status:
        return status.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="asks Linux which processes there are")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_with_its_parent_however_that_ends(how):
    with subprocess.Popen([sys.executable, "-u", "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert lives(child)
        parent.send_signal(how)
        parent.wait(20)
        deadline_s = time.monotonic() + 20
        while lives(child):
            assert time.monotonic() < deadline_s, "the child goes on"
            time.sleep(0.05)


def test_a_module_runs_as_if_it_had_been_called_by_itself():
    run = subprocess.run(command("json.tool", "--indent", "1"), input="[1]", capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "[\n 1\n]\n")
