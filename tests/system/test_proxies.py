"""Two nodes behind nginx and HAProxy, as configured in deploy/: clients come back to the node of their stream."""

import asyncio
import re
import shutil
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from streamrnn.runtime import Listener
from streamrnn.serve import ServerSettings, connect_async, make_app
from tests.serve.conftest import LoudnessDetector, Running

DEPLOY = Path(__file__).parents[2] / "deploy"
CLIENTS, RATE, CHUNK = 40, 16_000, 1600
START_S = 20
COMMANDS = {
    "nginx.conf": ("nginx", "-g", "daemon off; error_log stderr; pid {folder}/pid;", "-p", "{folder}", "-c", "{path}"),
    "haproxy.cfg": ("haproxy", "-f", "{path}"),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def bursts(seconds: float) -> np.ndarray:
    """A tone in every other half second."""
    t = np.arange(round(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * 440 * t) * (t * 2 % 2 >= 1)).astype(np.int16)


@pytest.fixture
def nodes():
    model = LoudnessDetector()
    with ExitStack() as ends:
        found = []
        for _ in range(2):
            settings = ServerSettings(port=0, max_streams=128)
            found.append(Running(make_app({"loudness": model}, settings), settings))
            found[-1].begin()
            ends.callback(found[-1].end)
        yield found


@pytest.fixture(params=COMMANDS)
def proxy(request, nodes, tmp_path) -> str:
    """The address of a proxy before both nodes, with the configuration as it is shipped but for the ports."""
    port = free_port()
    text = (DEPLOY / request.param).read_text()
    for shipped, here in ((8765, nodes[0].port), (8766, nodes[1].port), (8080, port)):
        text, changed = re.subn(rf"127\.0\.0\.1:{shipped}\b", f"127.0.0.1:{here}", text)
        assert changed == 1
    (path := tmp_path / request.param).write_text(text)
    # Of a process that any user may start.
    (tmp_path / "logs").mkdir()
    command = [part.format(folder=tmp_path, path=path) for part in COMMANDS[request.param]]
    if shutil.which(command[0]) is None:
        pytest.fail(f"{command[0]} is missing. `make test-system` installs it.")
    log = tmp_path / "log.txt"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        wait_until_open(port, process, log)
        yield f"ws://127.0.0.1:{port}"
        process.terminate()
        process.wait(START_S)


def wait_until_open(port: int, process: subprocess.Popen, log: Path) -> None:
    for _ in range(START_S * 20):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        threading.Event().wait(0.05)
    pytest.fail(log.read_text())


@pytest.mark.system
def test_clients_are_spread_and_come_back_to_the_node_of_their_stream(proxy, nodes):
    sound = bursts(2.4)
    chunks = [sound[start : start + CHUNK] for start in range(0, len(sound), CHUNK)]
    listener = Listener(LoudnessDetector())
    expected = [(e.kind, round(e.start_s, 4)) for e in listener.feed(sound) + listener.finish()]

    async def talk() -> list:
        events = []
        async with connect_async(proxy, "loudness", RATE) as client:
            for number, chunk in enumerate(chunks):
                if number in (8, 16):
                    client._websocket.transport.abort()
                events += await client.feed(chunk)
                await asyncio.sleep(0.05)
            events += await client.finish()
            assert client.restarts == 0
            per_node.append([len(node.server.sessions) for node in nodes])
        return [(e.kind, round(e.start_s, 4)) for e in events]

    async def all_talk() -> list:
        return await asyncio.gather(*(talk() for _ in range(CLIENTS)))

    per_node: list[list[int]] = []
    heard = asyncio.run(all_talk())
    assert heard == [expected] * CLIENTS
    # By the address of clients, all would be at one.
    assert all(most > CLIENTS / 5 for most in map(max, zip(*per_node, strict=True)))


@pytest.mark.system
def test_metrics_are_told_to_nobody_outside_however_their_path_is_written(proxy):
    address = proxy.replace("ws:", "http:")
    assert httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
    for path in ("/metrics", "/%6detrics", "/m%65trics?s=1"):
        assert httpx.get(f"{address}{path}", trust_env=False).status_code == 403
