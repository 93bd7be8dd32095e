"""What holds for every test: the CPU, checked shapes, no network, and the same hypothesis examples on every machine."""

import os
import signal
import socket

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Shells ignore Ctrl-C in what they start in the background, and that is inherited; commands under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every annotated call of the JAX rooms is checked, shapes included. As for type checkers, an int will do for a float.
# Audio and decisions check what users give them by themselves, and their tests see those errors.
CHECKED = [
    f"streamrnn.{room}"
    for room in ("contract", "features", "cells", "layers", "models", "runtime", "training", "recipes", "evaluation")
]
install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

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
