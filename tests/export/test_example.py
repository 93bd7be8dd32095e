"""examples/10_onnx.py says what a Listener says, in a process without JAX and streamrnn."""

import subprocess
import sys
from pathlib import Path

import pytest

import streamrnn

ROOT = Path(__file__).parents[2]
ALONE = """
import runpy, sys
sys.modules.update(jax=None, streamrnn=None)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def printed(*arguments):
    command = [sys.executable, "-c", ALONE, ROOT / "examples" / "10_onnx.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "recording"), [("vad", "commands.flac"), ("vad", "conversation.flac"), ("keywords-en", "commands.flac")]
)
def test_the_example_prints_the_events_of_a_listener(name, recording, model, exported, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported(name))
    path = ROOT / "audio_samples" / recording
    events = list(streamrnn.listen(model(name), path))
    expected = [
        f"{event.decided_s:6.2f} s  {event.label if event.kind == 'keyword' else event.kind}" for event in events
    ]
    run = printed(tmp_path / "model.onnx", path)
    assert run.stdout.splitlines() == expected != [], run.stderr


def test_the_example_refuses_sound_of_another_rate(exported, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported("vad"))
    run = printed(tmp_path / "model.onnx", ROOT / "audio_samples" / "telephone_8k.wav")
    assert run.returncode == 1 and "8000 Hz, and the model hears 16000 Hz" in run.stderr
