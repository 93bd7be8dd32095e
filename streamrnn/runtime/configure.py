"""Process-wide settings that make live audio fast; never made by import."""

import ctypes
import os
import tempfile
import warnings
from pathlib import Path

# Parameters of mallopt(3): how many blocks may be mapped on their own, and when the top of the heap is given back.
_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1

# The environment variable by which XLA is told how many threads a processor's programs share.
XLA_THREADS = "PJRT_NPROC"


def configure(cache: Path | str | None = None, *, threads: int | None = None) -> None:
    """Sets JAX up for live audio in this process. Call it first thing, before anything runs on a device.

    - CPU steps run in the calling thread instead of being handed to another one: for small models the largest gain.
    - Compiled programs are kept on disk, so that the next process starts in a fraction of the time.
    - With `threads`, a processor shares the parts of one step among so many threads. For a Pool or a server that is 1:
      steps are short, and to share them costs more than it brings.

    Where that folder cannot be made or written to, or there is no home, nothing is kept and a warning says so.

    Args:
        cache: folder of the compiled programs; default: $XDG_CACHE_HOME/streamrnn, or ~/.cache/streamrnn.
        threads: see above; the environment's PJRT_NPROC goes before. Default: JAX's, one per core, which suits training
            and whole recordings.

    Raises:
        ValueError: threads is below 1.
    """
    if threads is not None:
        if threads < 1:
            raise ValueError(f"configure got threads={threads}; pass 1 or more, or None to leave it to JAX.")
        # XLA looks at it when JAX is first used; it has no other setting for this.
        os.environ.setdefault(XLA_THREADS, str(threads))
    # Here, not above: a process that only runs exported models needs no JAX.
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    try:
        folder = str(_writable(_own_cache() if cache is None else Path(cache)))
    # Path.home() has no more than a RuntimeError for a user whom the system does not know.
    except (OSError, RuntimeError) as error:
        folder = None
        warnings.warn(
            f"compiled programs are not kept, so that every start compiles them anew: {error}. "
            "Set XDG_CACHE_HOME to a folder that can be written to.",
            stacklevel=2,
        )
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _own_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamrnn"


def _writable(folder: Path) -> Path:
    """The folder, which is there now and takes files. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    # Tried, because permissions do not tell of a full or read-only file system.
    with tempfile.TemporaryFile(dir=folder):
        return folder


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
