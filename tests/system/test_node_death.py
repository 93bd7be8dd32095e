"""Two nodes with a store, of which one is killed three times under forty streams: every event comes, and none twice."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from streamrnn import load
from streamrnn.audio import read_audio
from streamrnn.runtime import Listener
from streamrnn.serve import connect_async
from tests.serve.conftest import Relay

STREAMS, KILLS, RATE, CHUNK, CHUNK_S = 40, 3, 16_000, 1600, 0.1
SAMPLE = Path(__file__).parents[2] / "audio_samples" / "conversation.flac"
START_S = 120


class Node:
    """A server process, which can be killed and begun again."""

    def __init__(self, key: Path, store: str):
        options = ("--port", "0", "--resume-key-file", key, "--store", store, "--silence-s", "60")
        command = [sys.executable, "-m", "streamrnn", "serve", "vad", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(START_S)
        self.process.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def store(tmp_path):
    redis = shutil.which("redis-server") or shutil.which("valkey-server")
    if redis is None:
        pytest.fail("redis-server is missing. `make test-system` installs it.")
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path)
    with subprocess.Popen([redis, *options], stdout=subprocess.DEVNULL) as process:
        while socket.socket().connect_ex(("127.0.0.1", port)) and process.poll() is None:
            threading.Event().wait(0.05)
        yield f"redis://127.0.0.1:{port}"
        process.kill()


def told(events) -> list[tuple]:
    return [(e.kind, round(e.start_s, 3), None if e.end_s is None else round(e.end_s, 3)) for e in events]


@pytest.mark.system
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_node_that_is_killed_three_times_loses_no_event(store, tmp_path):
    (tmp_path / "key").write_bytes(bytes(range(64, 104)))
    sound, _ = read_audio(SAMPLE)
    sound = np.tile(sound, 3)
    stops, ready = threading.Event(), threading.Semaphore(0)

    async def talk(url: str, begin: int) -> tuple[int, int, list]:
        events, at = [], begin
        async with connect_async(url, "vad", RATE, encoding="f32le", reconnect_s=60) as client:
            ready.release()
            while not stops.is_set() and at + CHUNK < len(sound):
                events += await client.feed(sound[at : at + CHUNK])
                at += CHUNK
                await asyncio.sleep(CHUNK_S)
            events += await client.finish()
            assert client.restarts == 0
        return begin, at, told(events)

    async def all_talk(url: str) -> None:
        heard.extend(await asyncio.gather(*(talk(url, 1000 * n) for n in range(STREAMS))))

    heard: list[tuple[int, int, list]] = []
    with ExitStack() as ends:
        node = Node(tmp_path / "key", store)
        relay = Relay(node.port)
        ends.callback(relay.close)
        talking = threading.Thread(target=lambda: asyncio.run(all_talk(relay.url)))
        talking.start()
        for _ in range(STREAMS):
            assert ready.acquire(timeout=START_S)
        for _ in range(KILLS):
            other = Node(tmp_path / "key", store)
            relay.server_port = other.port
            node.end(signal.SIGKILL)
            node = other
            threading.Event().wait(1.0)
        stops.set()
        talking.join(START_S)
        node.end(signal.SIGTERM)
    assert not talking.is_alive() and len(heard) == STREAMS
    model = load("vad")
    for begin, end, events in heard:
        listener = Listener(model)
        assert events == told(listener.feed(sound[begin:end]) + listener.finish())
