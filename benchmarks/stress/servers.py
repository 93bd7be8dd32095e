"""A server in a process of its own, and what it answers."""

import json
import os
import select
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from streamrnn.bench.child import command

TOKEN = "the-token-of-the-stress-suite"
START_S, STOP_S, ANSWER_S = 180.0, 30.0, 20.0

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Served:
    """A server that runs.

    Attributes:
        url: where.
        process: it.
    """

    def __init__(self, url: str, process: subprocess.Popen):
        self.url, self.process = url, process

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 0

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def ask(self, path: str, token: str | None = TOKEN, **options: Any) -> tuple[int, bytes]:
        """Status and body of the answer to a request."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.url + path, headers=headers, **options)
        try:
            with _OPENER.open(request, timeout=ANSWER_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def metric(self, name: str) -> float:
        """A figure of /metrics, summed over its labels."""
        _, text = self.ask("/metrics")
        lines = [line.rpartition(" ") for line in text.decode().splitlines() if line and line[0] != "#"]
        return sum(float(value) for key, _, value in lines if key.partition("{")[0] == name)

    def left_after(self, seconds: float) -> dict[str, float]:
        """Streams, connections and bytes that are still held after so long at most."""
        deadline_s = time.monotonic() + seconds
        while True:
            left = {n: self.metric(f"streamrnn_{n}") for n in ("streams", "connections", "buffered_bytes")}
            if not any(left.values()) or time.monotonic() > deadline_s:
                return {name: value for name, value in left.items() if value}
            time.sleep(0.2)

    @property
    def memory_mb(self) -> float:
        """What the process holds, in MB of 10^6 bytes."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def models(self) -> list[dict[str, Any]]:
        """What it says of its models."""
        return json.loads(self.ask("/v1/models")[1])["models"]


@contextmanager
def served(*models: str, token: str | None = TOKEN, **settings: Any) -> Iterator[Served]:
    """`streamrnn serve` with these models and flags, at a free port of this machine; it ends with the context.

    Raises:
        RuntimeError: it did not start, or it did not end when it was asked to.
    """
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    served_by = command("streamrnn", "serve", *models, "--port", "0", *flags)
    environment = {name: value for name, value in os.environ.items() if name != "STREAMRNN_TOKEN"}
    if token is not None:
        environment["STREAMRNN_TOKEN"] = token
    process = subprocess.Popen(served_by, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        yield Served(_address(process), process)
        process.terminate()
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"the server did not end within {STOP_S:.0f} s.") from None
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen) -> str:
    deadline_s = time.monotonic() + START_S
    assert process.stdout is not None
    while time.monotonic() < deadline_s:
        readable, _, _ = select.select([process.stdout], [], [], 0.2)
        line = process.stdout.readline() if readable else ""
        if line.startswith("serving at "):
            return line.split()[-1]
        if process.poll() is not None:
            break
    raise RuntimeError(f"the server did not start; its status is {process.poll()}.")


__all__ = ["TOKEN", "Served", "served"]
