"""Runs a module in a process that ends with its parent, however the parent ends.

A benchmark that is stopped or killed may have no time to stop the processes it started.
"""

import os
import runpy
import sys
import threading
import time

LOOK_S = 0.2


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as a child of this process."""
    return [sys.executable, "-m", "streamrnn.bench.child", str(os.getpid()), module, *arguments]


def main() -> None:
    """Runs the module that the command line names, and watches the parent process that it names."""
    parent, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    # An orphan gets another parent. On Windows the number does not change, so this does not work there.
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    main()

__all__ = ["command"]
