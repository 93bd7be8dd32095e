"""Room: frames that a growing memory has, bytes that the machine has left, and how fast it reads them."""

from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import numpy as np

READ_BYTES = 64 << 20  # more than caches hold


def room_for(position: int) -> int:
    """Frames that a memory holds that doubles when it is full: the next power of two at or above `position`, 2 at
    least."""
    return max(2, 1 << (position - 1).bit_length())


def available_bytes(system: Path = Path("/")) -> int | None:
    """Memory that a new array may take: of the accelerator, or of this process's share of the machine.

    None where the system does not tell. `system` is where /proc and /sys are looked for.
    """
    if statistics := jax.devices()[0].memory_stats():
        return statistics["bytes_limit"] - statistics["bytes_in_use"]
    known = [free for free in (_of_machine(system / "proc/meminfo"), _of_group(system / "sys/fs/cgroup")) if free]
    return min(known, default=None)


def bytes_needed(executable: Any) -> int:
    """What running a compiled program takes, its arguments and results included."""
    sizes = executable.memory_analysis()
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return held - sizes.alias_size_in_bytes


def read_speed() -> float | None:
    """Bytes per second at which one core reads what lies in memory: the best of ten. None on accelerators."""
    if jax.default_backend() != "cpu":
        return None
    array = np.ones(READ_BYTES // 4, np.float32)
    return READ_BYTES / min(_seconds_to_read(array) for _ in range(10))


def too_large(needed: int) -> str | None:
    """A sentence if so many bytes are not to be had, else None."""
    available = available_bytes()
    if available is None or needed <= available:
        return None
    return f"needs {needed / 1e9:.3g} GB of memory; {available / 1e9:.3g} GB are free"


def _seconds_to_read(array: np.ndarray) -> float:
    started = perf_counter()
    array.max()
    return perf_counter() - started


def _of_machine(meminfo: Path) -> int | None:
    if not meminfo.is_file():
        return None
    sizes = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return 1024 * int(sizes["MemAvailable"].split()[0]) if "MemAvailable" in sizes else None


def _of_group(group: Path) -> int | None:
    """What is left of the limit that a container sets; cached files are given back when memory is asked for."""
    limit, used, parts = (group / name for name in ("memory.max", "memory.current", "memory.stat"))
    if not limit.is_file() or not used.is_file() or (most := limit.read_text().strip()) == "max":
        return None
    lines = parts.read_text().splitlines() if parts.is_file() else []
    cached = int(dict(line.split() for line in lines).get("inactive_file", 0))
    return max(1, int(most) - int(used.read_text()) + cached)


__all__ = ["available_bytes", "bytes_needed", "read_speed", "room_for", "too_large"]
