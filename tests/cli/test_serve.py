"""`streamrnn serve` as a process: where it listens, what it says, how it ends."""

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

WAIT_S = 60


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs, so that only the first process compiles."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(model_path, cache):
    """command(*flags, **environment) -> a process that serves a small model, killed with its test."""
    begun = []

    def begin(*flags, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "streamrnn", "serve", str(model_path), "--max-streams", "4", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(cache), **environment},
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
    assert kinds[-2:] == ["flushed", "error"]
    assert process.wait(WAIT_S) == 128 + signal.SIGTERM
    assert process.stderr.read() == ""


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
