"""Process-wide settings that make live audio fast; never applied by an import."""

import ctypes
import os
import tempfile
import warnings
from pathlib import Path

# Parameters of mallopt(3): the number of separately mapped blocks, and when the top of the heap is returned.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1

# The environment variable that tells XLA how many threads CPU programs share.
XLA_THREADS = "PJRT_NPROC"


def configure(cache: Path | str | None = None, *, threads: int | None = None) -> None:
    """Configures JAX for live audio in this process. Call it first, before anything runs on a device.

    - CPU steps run in the calling thread instead of being handed to another one, the largest gain for small models.
    - Compiled programs are cached on disk, so that the next process starts in a fraction of the time.
    - With `threads`, a CPU splits each step among that many threads. Use 1 for a Pool or a server: their steps are so
      short that splitting them costs more than it saves.

    If the cache folder cannot be created or written to, or there is no home directory, nothing is cached and a warning
    is issued.

    Args:
        cache: folder for compiled programs; default: $XDG_CACHE_HOME/streamrnn, or ~/.cache/streamrnn.
        threads: see above; the environment variable PJRT_NPROC takes precedence. Default: JAX's choice, one per core,
            which suits training and whole recordings.

    Raises:
        ValueError: threads is below 1.
        ValueError: threads is below 1.
    """
    if threads is not None:
        if threads < 1:
            raise ValueError(f"configure got threads={threads}; pass 1 or more, or None to leave it to JAX.")
        # XLA reads it when JAX is first used; there is no other setting for this.
        os.environ.setdefault(XLA_THREADS, str(threads))
    # Here, not above: a process that only runs exported models needs no JAX.
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    try:
        folder = str(_writable(_own_cache() if cache is None else Path(cache)))
    # Path.home() raises a mere RuntimeError for a user unknown to the system.
    except (OSError, RuntimeError) as error:
        folder = None
        warnings.warn(
            f"compiled programs are not cached, so every start compiles them again: {error}. "
            "Set XDG_CACHE_HOME to a writable folder.",
            stacklevel=2,
        )
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _own_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamrnn"


def _writable(folder: Path) -> Path:
    """The folder, created if missing and writable. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    # Tried, because permissions do not reveal a full or read-only file system.
    with tempfile.TemporaryFile(dir=folder):
        return folder


def keep_memory() -> bool:
    """Lets this process keep memory once used, for training on CPUs. Returns True if that is supported.

    XLA allocates the working memory of an update, often hundreds of megabytes, anew for each update, and by default
    glibc returns so much of it to the system each time that a third of an update is spent on page faults. Only Linux
    with glibc has such a setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


__all__ = ["configure", "keep_memory"]
