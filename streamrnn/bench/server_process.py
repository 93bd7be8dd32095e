"""`streamrnn serve` in a process of its own, and its resource usage."""

import os
import select
import subprocess
import time
import urllib.request
from typing import Any, Self
from urllib.parse import urlsplit

from streamrnn.bench.child import command
from streamrnn.serve.access import TOKEN_VARIABLE

try:
    import psutil
except ImportError as error:
    raise ImportError("measuring a server needs the package psutil: pip install 'streamrnn[bench]'") from error

START_S = 180.0
STOP_S = 20.0
SCRAPE_S = 10.0


class ServerProcess:
    """A server on this machine, at a free port unless told otherwise. A context manager: it ends with it, and
    with this process.

    Args:
        model: name of a shipped model, or the path of a .safetensors file.
        settings: flags of `streamrnn serve`: name -> value.

    Raises:
        RuntimeError: it did not start; standard error has its reasons.
    """

    def __init__(self, model: str, **settings: Any):
        settings = {"port": 0, **settings}
        flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        self._process = subprocess.Popen(
            command("streamrnn", "serve", model, *flags), stdout=subprocess.PIPE, text=True
        )
        try:
            self.url = self._address()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """Kills it, as a crash would."""
        self._process.kill()
        self._process.wait(STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _address(self) -> str:
        stdout, deadline_s = self._process.stdout, time.monotonic() + START_S
        assert stdout is not None
        while time.monotonic() < deadline_s:
            readable, _, _ = select.select([stdout], [], [], 0.2)
            line = stdout.readline() if readable else ""
            if line.startswith("serving at "):
                return line.split()[-1]
            if self._process.poll() is not None:
                raise RuntimeError(f"`streamrnn serve` ended with status {self._process.returncode} before it served.")
        raise RuntimeError(f"`streamrnn serve` did not begin to serve within {START_S:.0f} s.")


class Cost:
    """Resource usage of a process: current memory, and processor time.

    Args:
        pid: of the process; None measures nothing.
    """

    def __init__(self, pid: int | None):
        self._process = None if pid is None else psutil.Process(pid)

    @property
    def resident_mb(self) -> float | None:
        """Memory that it holds, in MB of 10^6 bytes."""
        return None if self._process is None else self._process.memory_info().rss / 1e6

    @property
    def cpu_s(self) -> float | None:
        """Processor time that it has used."""
        if self._process is None:
            return None
        times = self._process.cpu_times()
        return times.user + times.system


def stream_url(url: str) -> str:
    """The address of a server's streams, from that of the server."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}/v1/stream"


def scrape(url: str, token: str | None) -> dict[str, float]:
    """A server's metrics: name -> value, summed over labels.

    Raises:
        OSError: the server does not answer.
    """
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{scheme}://{parts.netloc}/metrics", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({} if _is_here(parts.hostname) else None))
    with opener.open(request, timeout=SCRAPE_S) as response:
        return _sums(response.read().decode())


def token() -> str | None:
    """The token that servers want, from the environment."""
    return os.environ.get(TOKEN_VARIABLE) or None


def _sums(text: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def _is_here(host: str | None) -> bool:
    return host in ("127.0.0.1", "::1", "localhost")


__all__ = ["Cost", "ServerProcess", "scrape", "stream_url", "token"]
