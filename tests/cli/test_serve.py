"""`streamrnn serve` as a process: where it listens, what it says, how it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from streamrnn.serve import connect as connect_client

WAIT_S = 60


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs, so that only the first process compiles."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(model_path, cache):
    """command(*flags, **environment) -> a process that serves a small model, killed with its test."""
    begun = []

    def begin(*flags, prefix=(), **environment):
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "streamrnn", "serve", str(model_path), "--max-streams", "4", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "XDG_CACHE_HOME": str(cache),
                "XDG_STATE_HOME": str(cache),
                **environment,
            },
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def test_it_says_where_it_is_serves_and_ends_with_the_last_events(command):
    process = command("--port", "0")
    url = process.stdout.readline().split()[-1]
    assert httpx.get(f"{url}/v1/models", trust_env=False).json()["models"][0]["name"] == "small"
    with connect(f"{url.replace('http', 'ws')}/v1/stream", proxy=None) as client:
        client.send(json.dumps({"type": "hello", "version": 1}))
        assert json.loads(client.recv())["type"] == "ready"
        process.send_signal(signal.SIGTERM)
        kinds = []
        with pytest.raises(ConnectionClosedError, match="shutting_down"):
            while True:
                kinds.append(json.loads(client.recv())["type"])
    assert kinds[-3:] == ["going", "flushed", "error"]
    assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    told = json.loads(process.stderr.read())
    assert (told["message"], told["streams"]) == ("ending: streams go on where their clients come next", 1)


@pytest.fixture
def stream():
    """stream(url) -> a WebSocket that has said hello, closed with the test."""
    with contextlib.ExitStack() as stack:

        def begin(url):
            client = stack.enter_context(connect(f"{url.replace('http', 'ws')}/v1/stream", proxy=None, close_timeout=1))
            client.send(json.dumps({"type": "hello", "version": 1}))
            assert json.loads(client.recv())["type"] == "ready"
            return client

        yield begin


def test_the_next_server_goes_on_with_the_streams_of_the_one_before(command):
    first = command("--port", "0")
    url = first.stdout.readline().split()[-1]
    with connect_client(url) as client:
        client.feed(bytes(32_000))
        first.send_signal(signal.SIGHUP)
        assert first.wait(WAIT_S) == 128 + signal.SIGHUP
        command("--port", url.rpartition(":")[2]).stdout.readline()
        client.feed(bytes(32_000))
        client.finish()
        assert (client.restarts, client.duration_s) == (0, 2.0)


def test_a_second_signal_ends_it_at_once(command, stream):
    process = command("--port", "0", "--queue-s", "60", "--shutdown-s", "60", "--tick-ms", "10000")
    client = stream(process.stdout.readline().split()[-1])
    client.send(bytes(320_000))
    process.send_signal(signal.SIGTERM)
    # The state comes with the next tick, in ten seconds, and the last events ten seconds later.
    assert json.loads(client.recv())["type"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(8) == 128 + signal.SIGTERM


def test_under_nohup_a_terminal_that_closes_changes_nothing(command):
    process = command("--port", "0", prefix=("nohup",))
    url = process.stdout.readline().split()[-1]
    process.send_signal(signal.SIGHUP)
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 128 + signal.SIGTERM


def test_a_port_in_use_is_said_in_one_line(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = command("--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1 and not out
    assert err.startswith("streamrnn: cannot listen at 127.0.0.1 port") and err.count("\n") == 1


def test_listening_to_the_world_without_a_token_is_warned_of_in_json(command):
    process = command("--host", "0.0.0.0", "--port", "0")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 128 + signal.SIGINT
    warning = json.loads(err)
    assert (warning["level"], warning["host"]) == ("warning", "0.0.0.0") and "token" in warning["message"]


def test_the_token_of_the_environment_is_asked_for(command):
    process = command("--port", "0", STREAMRNN_TOKEN="open-sesame")
    url = process.stdout.readline().split()[-1]
    assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 401
    header = {"Authorization": "Bearer open-sesame"}
    assert httpx.get(f"{url}/v1/models", headers=header, trust_env=False).status_code == 200
