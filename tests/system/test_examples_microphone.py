"""The microphone's example, in a process of its own that hears what is played."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "02_microphone.py"
TIMEOUT_S = 60
UTTERANCES = 4

pytestmark = pytest.mark.system


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    """A WAV file of the conversation, which holds four utterances."""
    sound, sample_rate = soundfile.read(ROOT / "audio_samples" / "conversation.flac", dtype="int16")
    soundfile.write(tmp_path / "conversation.wav", sound, sample_rate)
    return tmp_path / "conversation.wav"


@contextmanager
def listening(microphone, cache: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """The example as a process, from the moment at which it listens."""
    environment = microphone.environment | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, str(EXAMPLE), *arguments]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    # A read from a pipe has no time-out of its own; it ends when the process does.
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "Listening. Say something.\n"
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def test_it_notices_each_utterance_while_it_is_spoken_and_stops_after_the_last(microphone, conversation, tmp_path):
    with listening(microphone, tmp_path, "--utterances", str(UTTERANCES)) as process:
        microphone.play(conversation)
        printed, complaints = process.communicate()
    noticed_ms = [int(match) for match in re.findall(r"noticed after (\d+) ms", printed)]
    assert len(noticed_ms) == printed.count("you are done") == UTTERANCES
    assert max(noticed_ms) < 500
    assert (process.returncode, complaints) == (0, "")


def test_it_stops_after_the_given_time_when_nobody_speaks(microphone, tmp_path):
    with listening(microphone, tmp_path, "--seconds", "0.5") as process:
        assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_ctrl_c_ends_it_without_a_traceback(microphone, tmp_path):
    with listening(microphone, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "")
    assert process.returncode == 0
