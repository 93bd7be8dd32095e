"""The lines of the README's "More than one machine" do what they say, as they are written there."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamrnn import load
from streamrnn.runtime import run_file_events

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "audio_samples"
LONGEST_S = 300


def lines() -> list[str]:
    section = (ROOT / "README.md").read_text().partition("## More than one machine")[2].partition("\n## ")[0]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


def line(command: str) -> str:
    """The README's line of this command."""
    [found] = [line for line in lines() if line.startswith(f"streamrnn {command} ")]
    return found


@pytest.fixture
def shell(tmp_path):
    """Keyword arguments of a shell in an empty folder with MY_CALLS, in which `streamrnn` is this checkout's."""
    calls = tmp_path / "MY_CALLS"
    calls.mkdir()
    for name in ("conversation.flac", "telephone_8k.wav", "noise_only.ogg"):
        shutil.copy(SAMPLES / name, calls)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "streamrnn"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamrnn "$@"\n')
    program.chmod(0o755)
    paths = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return {"shell": True, "cwd": tmp_path, "text": True, "env": os.environ | paths}


def told(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def expected(name: str) -> list[dict]:
    return [event.to_dict() for event in run_file_events(load("vad"), SAMPLES / name)]


@pytest.mark.system
def test_the_lines_are_those_that_are_tested_here():
    assert sorted(line.split()[1] for line in lines()) == ["batch", "serve"]


@pytest.mark.system
def test_several_workers_serve_behind_one_port_until_ctrl_c(shell):
    server = subprocess.Popen(f"exec {line('serve')} --port 0", stdout=subprocess.PIPE, stderr=subprocess.PIPE, **shell)
    with server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("serving at ").strip()
            for _ in range(4):
                heard = subprocess.run(
                    f"streamrnn run vad MY_CALLS/conversation.flac --server {url} --json",
                    capture_output=True,
                    timeout=LONGEST_S,
                    **shell,
                )
                assert heard.returncode == 0, heard.stderr
                kinds = [(event["kind"], event["start_s"]) for event in told(heard.stdout)]
                assert kinds == [(event["kind"], event["start_s"]) for event in expected("conversation.flac")]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(LONGEST_S)


@pytest.mark.system
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='Ray is missing: pip install "streamrnn[ray]"')
def test_a_batch_on_a_local_ray_cluster_gives_what_single_files_give(shell):
    worked = subprocess.run(line("batch"), capture_output=True, timeout=LONGEST_S, **shell)
    assert worked.returncode == 0, worked.stderr
    for name in ("conversation.flac", "telephone_8k.wav", "noise_only.ogg"):
        assert told((shell["cwd"] / "heard" / f"{name}.jsonl").read_text()) == expected(name)
