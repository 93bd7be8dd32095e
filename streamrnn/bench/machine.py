"""The machine of a benchmark: a speed means nothing without it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "numpy", "onnxruntime")
THREAD_SETTINGS = ("XLA_FLAGS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC")


def describe_machine() -> dict[str, Any]:
    """Processor, system, versions and thread settings, as they are now; ready for JSON."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "device": jax.devices()[0].device_kind,
        "asynchronous_dispatch": bool(jax.config.read("jax_cpu_enable_async_dispatch")),
        "thread_settings": {name: os.environ[name] for name in THREAD_SETTINGS if name in os.environ},
    }


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as its vendor gives it, or as much of it as the system reports."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def resident_mb(statm: Path = Path("/proc/self/statm")) -> float | None:
    """Memory of this process in MB of 10^6 bytes; None if the system has no /proc."""
    if not statm.is_file():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


__all__ = ["cpu_name", "describe_machine", "resident_mb"]
