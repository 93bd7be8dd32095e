"""Process-wide settings that make live audio fast; never made by import."""

import ctypes
import os
from pathlib import Path

import jax

# Parameters of mallopt(3): how many blocks may be mapped on their own, and when the top of the heap is given back.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1


def configure(cache: Path | str | None = None) -> None:
    """Sets JAX up for live audio in this process. Call it first thing, before anything runs on a device.

    - CPU steps run in the calling thread instead of being handed to another one: for small models the largest gain.
    - Compiled programs are kept on disk, so that the next process starts in a fraction of the time.

    Args:
        cache: folder of the compiled programs; default: $XDG_CACHE_HOME/streamrnn, or ~/.cache/streamrnn.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_compilation_cache_dir", str(cache or home / "streamrnn"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def keep_memory() -> bool:
    """Lets this process keep the memory that it has once used, for trainings on processors; True where it can.

    XLA asks for the working memory of an update, often hundreds of megabytes, at each update anew, and glibc by default
    gives so much back to the system each time: a third of the time of an update then goes by in page faults. There is
    nothing to set on other systems than Linux with glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


__all__ = ["configure", "keep_memory"]
