"""`streamrnn run` on live sound: Ctrl-C, pipes at both ends, and microphones."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamrnn.audio import AudioError, Source, write_audio
from streamrnn.cli.interrupt import until_interrupted

ROOT = Path(__file__).parents[2]
EVERYTHING_IS_SPEECH = ("--threshold", "0.02", "--off-threshold", "0.01")


class Recorder(Source):
    """A microphone that delivers a second of noise and then fails."""

    sample_rate = 16_000
    dropped_chunks = 3

    def __init__(self, failure: BaseException):
        self.failure, self.closed = failure, False

    def __iter__(self):
        rng = np.random.default_rng(0)
        for _ in range(50):
            yield rng.uniform(-0.3, 0.3, 320).astype(np.float32)
        raise self.failure

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def command(model_path, tmp_path):
    """Starts the command line as a process of its own, its streams being pipes."""
    processes = []

    def start(*args) -> subprocess.Popen:
        environment = {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "streamrnn", "run", str(model_path), *map(str, args), *EVERYTHING_IS_SPEECH]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@pytest.fixture
def minute_path(tmp_path) -> Path:
    path = tmp_path / "minute.wav"
    write_audio(path, np.random.default_rng(0).uniform(-0.3, 0.3, 60 * 16_000).astype(np.float32), 16_000)
    return path


def use_microphone(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> list[tuple]:
    """What run opens as the microphone; returns the list that its arguments will be put in."""
    opened = []

    def open_microphone(sample_rate, device):
        opened.append((sample_rate, device))
        return recorder

    monkeypatch.setattr("streamrnn.cli.run.Microphone", open_microphone)
    return opened


def test_ctrl_c_ends_a_microphone_with_its_last_events_and_files(streamrnn, capsys, model_path, monkeypatch, tmp_path):
    use_microphone(monkeypatch, recorder := Recorder(KeyboardInterrupt()))
    assert streamrnn("run", model_path, "mic", "--srt", tmp_path / "a.srt", *EVERYTHING_IS_SPEECH) == 130
    printed = capsys.readouterr()
    assert [line.split()[-3] for line in printed.out.splitlines()] == ["speech_start", "speech_end"]
    assert printed.err.startswith("1.0 s of audio")
    assert f"3 chunks of sound lost; wrote {tmp_path / 'a.srt'}\n" in printed.err
    assert "00:00:00,000 --> 00:00:01,000" in (tmp_path / "a.srt").read_text()
    assert recorder.closed


def test_a_microphone_that_fails_loses_nothing_that_was_heard(streamrnn, capsys, model_path, monkeypatch, tmp_path):
    use_microphone(monkeypatch, Recorder(AudioError("the microphone stopped delivering sound.")))
    assert streamrnn("run", model_path, "mic", "--labels", tmp_path / "a.txt", *EVERYTHING_IS_SPEECH) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert printed.err.endswith("streamrnn: the microphone stopped delivering sound.\n")
    assert (tmp_path / "a.txt").read_text() == "0.000000\t1.000000\tspeech\n"


@pytest.mark.parametrize(
    ("flags", "opened"),
    [
        ((), (None, None)),
        (("--device", "2"), (None, 2)),
        (("--device", "USB", "--sample-rate", "48000"), (48_000, "USB")),
    ],
)
def test_the_microphone_is_opened_as_asked_for(flags, opened, streamrnn, model_path, monkeypatch):
    asked = use_microphone(monkeypatch, Recorder(KeyboardInterrupt()))
    streamrnn("run", model_path, "mic", *flags)
    assert asked == [opened]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("raise ImportError", 'pip install "streamrnn[mic]"'),
        ("raise OSError('no library')", "apt install libportaudio2"),
    ],
)
def test_what_a_microphone_needs_is_named(module, said, streamrnn, capsys, model_path, monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert streamrnn("run", model_path, "mic") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("streamrnn: the microphone needs") and said in printed.err
    assert len(printed.err.splitlines()) == 1


def test_an_interrupt_waits_until_the_chunk_is_worked_off():
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        for chunk in until_interrupted([1, 2, 3]):
            if chunk == 2:
                os.kill(os.getpid(), signal.SIGINT)
            done.append(chunk)
    assert done == [1, 2]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_ends_the_wait_for_a_chunk():
    def chunks():
        yield 1
        os.kill(os.getpid(), signal.SIGINT)
        yield 2

    done = []
    with pytest.raises(KeyboardInterrupt):
        for chunk in until_interrupted(chunks()):
            done.append(chunk)
    assert done == [1]


def test_ctrl_c_ends_a_run_cleanly(command, minute_path, tmp_path):
    process = command(minute_path, "--realtime", "--json", "--srt", tmp_path / "a.srt")
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    last = json.loads(out)
    assert process.returncode == 130
    assert (first["kind"], last["kind"]) == ("speech_start", "speech_end")
    assert last["end_s"] < 60
    assert len((tmp_path / "a.srt").read_text().splitlines()) == 3
    assert b"s of audio" in err and len(err.splitlines()) == 1


def test_a_service_manager_s_sigterm_ends_a_run_as_cleanly(command, minute_path):
    process = command(minute_path, "--realtime", "--json")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert json.loads(out)["kind"] == "speech_end"


@pytest.mark.parametrize("after_s", [0.2, 0.7, 1.4])
def test_ctrl_c_while_it_starts_ends_at_once_without_a_word(after_s, command, minute_path):
    process = command(minute_path, "--realtime")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # Before Python itself has started, the signal ends the process in its own way.
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in err or process.returncode == -signal.SIGINT


def test_a_reader_that_has_had_enough_ends_the_run_quietly(command, tmp_path):
    process = command("-", "--srt", tmp_path / "a.srt")
    process.stdin.write(np.random.default_rng(0).integers(-9000, 9000, 16_000).astype("<i2").tobytes())
    process.stdin.flush()
    assert b"speech_start" in process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
    assert "-->" in (tmp_path / "a.srt").read_text()


@pytest.mark.parametrize("wave", [False, True], ids=["raw", "wave"])
def test_sound_comes_through_a_pipe(wave, command, tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, (8_000, 2)).astype("<i2")
    write_audio(tmp_path / "half.wav", samples, 8_000)
    flags = () if wave else ("--sample-rate", "8000", "--channels", "2")
    process = command("-", "--json", *flags)
    out, err = process.communicate((tmp_path / "half.wav").read_bytes() if wave else samples.tobytes(), timeout=60)
    assert process.returncode == 0
    assert [json.loads(line)["end_s"] for line in out.splitlines()] == [None, 1.0]
    assert err.startswith(b"1.0 s of audio; 1.0 s of speech")
