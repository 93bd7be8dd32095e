"""Servers on loopback, in this process: each in a thread, at a free port, ended with its test."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamrnn.audio import write_audio
from streamrnn.decisions import SpeechSettings
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.layers import Apply, Chain, Delay, Dense
from streamrnn.models import DenoisingSettings, Model, VoiceActivity, VoiceActivitySettings
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.listen import listening, web_server

SAMPLES = Path(__file__).parents[2] / "audio_samples"
WAIT_S = 20
# Models are compiled before a server is ready, and machines of tests are busy.
START_S = 90


class LoudnessDetector(VoiceActivity):
    """Speech is what exceeds -40 dB of full scale, told three frames later: its events follow from the sound."""

    def __init__(self):
        head = Dense(1, 1, rngs=nnx.Rngs(0))
        head.kernel[...], head.bias[...] = jnp.ones((1, 1)), jnp.full(1, 40.0)
        network = Chain(Apply(_power_db), Delay(3, 1), head)
        Model.__init__(self, VoiceActivitySettings(), SpeechSettings(), network, 1)


class Quieter(Model):
    """Gives sound: what it hears, softer, two frames later."""

    Settings, Decision = DenoisingSettings, SoundSettings

    def __init__(self):
        settings = DenoisingSettings(hop_samples=160)
        network = Chain(Apply(_softer), Delay(2, settings.hop_samples))
        super().__init__(settings, SoundSettings(), network, settings.hop_samples)


def _softer(frames):
    return 0.25 * frames


def _power_db(frames):
    return 10 * jnp.log10(jnp.mean(frames**2, axis=-1, keepdims=True) + 1e-10)


class Running:
    """A server that runs.

    Attributes:
        port: where.
        server: the Server behind the application.
    """

    def __init__(self, app, settings: ServerSettings):
        self.server = app.state.server
        self._ready = threading.Event()
        self._sock = listening(settings)
        # Small, so that a peer that does not read is noticed after some kilobytes and not after megabytes.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        self.port = self._sock.getsockname()[1]
        self._web = web_server(app, settings, self._ready.set)
        self._thread = threading.Thread(target=self._web.run, kwargs={"sockets": [self._sock]})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        self._thread.start()
        assert self._ready.wait(START_S), "the server did not start"

    def ask(self, work) -> None:
        """Does something in the server's event loop, and waits for it."""

        async def done():
            work()

        asyncio.run_coroutine_threadsafe(done(), next(iter(self.server.engines.values()))._loop).result(WAIT_S)

    def ask_to_end(self) -> None:
        """As a signal does."""
        self._web.should_exit = True

    def end(self) -> None:
        self.ask_to_end()
        self._thread.join(WAIT_S)
        self._sock.close()
        assert not self._thread.is_alive(), "the server did not end"


class Talk:
    """One WebSocket to a server, and what came over it."""

    def __init__(self, running: Running, scheme: str = "ws", **options):
        address = f"{scheme}://127.0.0.1:{running.port}/v1/stream"
        self._open = contextlib.ExitStack()
        self.socket = self._open.enter_context(
            connect(address, compression=None, proxy=None, max_size=None, close_timeout=1, **options)
        )
        self.seq = 0

    def say(self, kind: str, **fields) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def hello(self, **fields) -> dict:
        """Says hello, returns ready (or the error)."""
        self.say("hello", version=1, **fields)
        return self.read()

    def send(self, sound, chunk_samples: int = 1600) -> None:
        """Sends int16[n], or [n, channels], or float32, in messages of so many samples."""
        for start in range(0, len(sound), chunk_samples):
            self.socket.send(sound[start : start + chunk_samples].tobytes())

    def read(self, seconds: float = WAIT_S) -> dict | bytes:
        message = self.socket.recv(timeout=seconds)
        if isinstance(message, bytes):
            self.seq += 1
            return message
        found = json.loads(message)
        if "seq" in found and found["type"] != "ready":
            assert found["seq"] == self.seq + 1, "a number is missing or comes twice"
            self.seq = found["seq"]
        return found

    def until(self, kind: str) -> list[dict | bytes]:
        """All messages up to the first of this type."""
        found = [self.read()]
        while isinstance(found[-1], bytes) or found[-1]["type"] != kind:
            found.append(self.read())
        return found

    def flush(self) -> list[dict | bytes]:
        self.say("flush")
        return self.until("flushed")

    def ending(self) -> tuple[list, int, str]:
        """What still comes, and the code and the reason of the close."""
        found = []
        try:
            while True:
                found.append(self.read())
        except ConnectionClosed as closed:
            # None: the connection was lost without a word.
            received = closed.rcvd
        return found, *((received.code, received.reason) if received else (1006, ""))

    def drop(self) -> None:
        """Loses the connection, as a network does."""
        self.socket.socket.close()

    def close(self) -> None:
        self._open.close()


class Relay:
    """A network between clients and a server, that can be cut."""

    def __init__(self, port: int):
        self.server_port, self.is_down, self.refusal = port, False, b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._stalled: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Drops all connections without a word."""
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        """From now on, nothing comes through the connections that there are."""
        self._stalled.update(self._sockets)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for end in (self._listening, *self._sockets):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self.is_down:
                    with contextlib.suppress(OSError):
                        near.recv(65536)
                        near.sendall(self.refusal)
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.server_port))
                self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._carry, args=pair))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sink not in self._stalled:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def loudness() -> Model:
    return LoudnessDetector()


@pytest.fixture(scope="session")
def quieter() -> Model:
    return Quieter()


@pytest.fixture(scope="session")
def running(loudness):
    """A context manager: running(models=..., dialects=..., **settings) -> a server, by default of one detector."""

    @contextlib.contextmanager
    def run(models=None, dialects=(), siblings=None, **settings) -> Iterator[Running]:
        # One capacity for all tests: each is compiled anew.
        settings = ServerSettings(**{"port": 0, "max_streams": 32, "resume_s": 0.3, "shutdown_s": 5.0, **settings})
        server = Running(make_app(models or {"loudness": loudness}, settings, dialects, siblings), settings)
        server.begin()
        try:
            yield server
        finally:
            server.end()

    return run


@pytest.fixture(scope="module")
def server(running) -> Iterator[Running]:
    """A server with the usual limits, for all tests of a file."""
    with running() as server:
        yield server


@pytest.fixture
def talk():
    """talk(server) -> a connection to it, closed with the test."""
    with contextlib.ExitStack() as open_ones:

        def begin(server: Running, **options) -> Talk:
            talk = Talk(server, **options)
            open_ones.callback(talk.close)
            return talk

        yield begin


@pytest.fixture
def relay(server) -> Iterator[Relay]:
    """A network to `server`, with the test's own clients in it."""
    relay = Relay(server.port)
    yield relay
    relay.close()


@pytest.fixture
def raw():
    """raw(server, data) -> a socket to it, over which data was sent; closed with the test."""
    with contextlib.ExitStack() as open_ones:

        def begin(server: Running, data: bytes = b"") -> socket.socket:
            peer = open_ones.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            peer.settimeout(WAIT_S)
            peer.connect(("127.0.0.1", server.port))
            peer.sendall(data)
            return peer

        yield begin


@pytest.fixture(scope="session")
def bursts():
    """(seconds, sample_rate, channels) -> a tone in every other half second: int16[n] or [n, channels]."""

    def make(seconds: float, sample_rate: int = 16_000, channels: int = 1) -> np.ndarray:
        t = np.arange(round(seconds * sample_rate)) / sample_rate
        tone = 8000 * np.sin(2 * np.pi * 440 * t) * (t * 2 % 2 >= 1)
        sound = np.repeat(tone.astype(np.int16)[:, None], channels, axis=1)
        return sound[:, 0] if channels == 1 else sound

    return make


@pytest.fixture
def recording(tmp_path):
    """(sound, sample_rate, suffix) -> the bytes of an audio file."""

    def make(sound: np.ndarray, sample_rate: int = 16_000, suffix: str = ".wav") -> bytes:
        path = tmp_path / f"recording{suffix}"
        write_audio(path, sound, sample_rate)
        return path.read_bytes()

    return make


@pytest.fixture(scope="session")
def sample_path():
    """name -> a recording of audio_samples/."""
    return lambda name: SAMPLES / name


@pytest.fixture(scope="session")
def eventually():
    """eventually(condition): waits until it holds; fails where it never does."""

    def wait(condition, seconds: float = WAIT_S) -> None:
        never = threading.Event()
        for _ in range(int(seconds / 0.01)):
            if condition():
                return
            never.wait(0.01)
        raise AssertionError("it never happened")

    return wait
