"""What holds for every test: the CPU, checked shapes, no network, and the same hypothesis examples on every machine."""

import gc
import itertools
import os
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# What one worker has compiled the others find, and so does the next run. Half of the time of a first run is compiling.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamrnn-tests"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Shells ignore Ctrl-C in what they start in the background, and that is inherited; commands under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The same of a terminal that closes, under nohup.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Every annotated call of the JAX rooms is checked, shapes included. As for type checkers, an int will do for a float.
# Audio and decisions check what users give them by themselves, and their tests see those errors.
CHECKED = [
    f"streamrnn.{room}"
    for room in (
        "contract",
        "features",
        "cells",
        "layers",
        "models",
        "runtime",
        "losses",
        "data",
        "learning",
        "recipes",
        "evaluation",
    )
]
install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# Tests and what they have compiled are a million objects that stay; to look through them after every 700 new ones takes
# a sixth of the time.
gc.set_threshold(20_000)

# STREAMRNN_EXAMPLES=1000 searches longer, and not the same examples each time.
searching = "STREAMRNN_EXAMPLES" in os.environ
settings.register_profile(
    "streamrnn",
    max_examples=int(os.environ.get("STREAMRNN_EXAMPLES", "20")),
    derandomize=not searching,
    database=None,
    deadline=None,
)
settings.load_profile("streamrnn")


# Half of the time of compiling goes into optimising, which pays off for programs that run often. Tests compile many
# small ones, run each a few times, and compare numbers within tolerances. Processes that tests start inherit it.
UNOPTIMISED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
RUNNING_LONG = {"test_drift.py", "test_two_new_words_are_learned_and_heard"}


def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Before fixtures of any scope are made."""
    import jax

    is_quick = RUNNING_LONG.isdisjoint({item.path.name, item.name})
    jax.config.update(UNOPTIMISED.lower(), is_quick)
    os.environ[UNOPTIMISED] = str(int(is_quick))


# A compiled program takes several of the 65,530 memory mappings that Linux gives a process. Without one left, the
# compiler crashes, and a worker that runs all laws of all layers comes close.
MOST_MAPPINGS = 35_000
MAPPINGS = Path("/proc/self/maps")
TESTS_BETWEEN_COUNTS = 20
counted = itertools.count()


def pytest_runtest_teardown() -> None:
    """Compiled programs are forgotten where there are very many of them."""
    # A command keeps the collector from what is there after its start, and here that is what all tests left.
    gc.unfreeze()
    if next(counted) % TESTS_BETWEEN_COUNTS or not MAPPINGS.exists():
        return
    if MAPPINGS.read_bytes().count(b"\n") > MOST_MAPPINGS:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test; sockets of the machine itself (Unix, loopback) work."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            self.close()
            raise RuntimeError(f"A test tried to connect to {address[0]}. Tests use no network: ship what it needs.")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)
