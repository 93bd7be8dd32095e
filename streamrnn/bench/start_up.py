"""How long one waits for the first answer: times of fresh processes."""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from streamrnn.bench.sounds import write_recording

IMPORT = "from time import perf_counter as now; start = now(); import streamrnn; print(now() - start)"
SAMPLE_RATE = 16_000


def import_s(runs: int = 5) -> float:
    """Seconds of `import streamrnn`, the fastest of some processes."""
    return min(float(_python("-c", IMPORT)) for _ in range(runs))


def command_s(model_name: str, seconds: int = 10) -> float:
    """Wall time of `streamrnn run` on a short recording, interpreter included; the second run, so with a warm cache.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = write_recording(Path(folder) / "sound.wav", SAMPLE_RATE, seconds)
        command = ("-m", "streamrnn", "run", model_name, str(path))
        _python(*command)
        started = perf_counter()
        _python(*command)
        return perf_counter() - started


def _python(*arguments: str) -> str:
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    if run.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed with exit code {run.returncode}: {run.stderr[-500:]}")
    return run.stdout


__all__ = ["command_s", "import_s"]
