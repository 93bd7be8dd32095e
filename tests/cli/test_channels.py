"""`streamrnn run` on sound of several channels, and on files, pipes and outputs that are not as usual."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamrnn.audio import AudioError, write_audio
from streamrnn.cli.channels import EachChannel, apart
from streamrnn.decisions import Event, srt

ROOT = Path(__file__).parents[2]
EVERYTHING_IS_SPEECH = ("--threshold", "0.02", "--off-threshold", "0.01", "--padding-ms", "0")


@pytest.fixture(scope="session")
def call_path(tmp_path_factory):
    """One second of noise on the first channel, the inverted one on the second."""
    path = tmp_path_factory.mktemp("call") / "call.wav"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000).astype(np.float32)
    write_audio(path, np.stack([noise, -noise], axis=1), 16_000)
    return path


def events(streamrnn, capsys, model, source, *flags):
    assert streamrnn("run", model, source, "--json", *EVERYTHING_IS_SPEECH, *flags) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_channel_is_heard_as_if_it_were_alone(streamrnn, capsys, model_path, call_path, tmp_path):
    together = events(streamrnn, capsys, model_path, call_path, "--channel", "each", "--srt", tmp_path / "a.srt")
    for channel in range(2):
        alone = events(streamrnn, capsys, model_path, call_path, "--channel", str(channel))
        labelled = [event | {"label": f"channel {channel}: {event['label']}"} for event in alone]
        assert len(alone) == 2
        assert [event for event in together if event["label"].startswith(f"channel {channel}")] == labelled
    assert [event["decided_s"] for event in together] == sorted(event["decided_s"] for event in together)
    assert (tmp_path / "a.srt").read_text().count("channel 1: speech") == 1


def test_channels_that_cancel_are_warned_of(streamrnn, capsys, model_path, call_path):
    assert streamrnn("run", model_path, call_path) == 0
    assert capsys.readouterr().err.count("--channel 0") == 1
    assert streamrnn("run", model_path, call_path, "--channel", "1") == 0
    assert "--channel" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "source, flags, said",
    [
        (None, ("--channel", "2"), "channels 0 to 1"),
        (None, ("--channel", "-1"), "channels 0 to 1"),
        (None, ("--channel", "each", "--plot", "a.png"), "--plot is for one stream"),
        ("mic", ("--channel", "0"), "--channel is for the source a file or -"),
    ],
)
def test_a_channel_that_cannot_be_heard_is_one_clear_line(source, flags, said, streamrnn, capsys, call_path):
    assert streamrnn("run", "no-such-model", source or call_path, *flags) == 2
    printed = capsys.readouterr()
    assert said in printed.err and len(printed.err.splitlines()) == 1


def test_words_of_one_channel_do_not_end_the_utterances_of_another():
    def event(kind, label, start_s):
        return Event(kind, label, start_s, start_s + 0.1, 0.9, start_s + 0.2)

    class Heard:
        sample_rate, frame_s, speech, duration_s = 8000, 0.01, None, 2.0
        activity = np.zeros(3, np.float32)

        def __init__(self, *events):
            self.events = list(events)

        def feed(self, samples):
            return [event for event in self.events if event.kind == "word"]

        def finish(self):
            return [event for event in self.events if event.kind == "endpoint"]

        def latency(self):
            return ""

    one = Heard(event("word", "one", 0.0), event("endpoint", "one", 1.0))
    two = Heard(event("word", "two", 0.1))
    each = EachChannel([one, two])
    heard = each.feed(np.zeros((80, 2), np.float32)) + each.finish()
    assert [event.label for event in heard] == ["channel 0: one", "channel 1: two", "channel 0: one"]
    assert srt(apart(heard)).count("channel 1: two") == 1
    with pytest.raises(AudioError, match="channel 1"):
        each.feed(np.zeros((80, 1), np.float32))


def test_a_container_in_a_pipe_is_no_sound_of_its_own(streamrnn, capsys, monkeypatch, model_path):
    monkeypatch.setenv("PATH", "")
    data = b"\x1aE\xdf\xa3" + bytes(5000)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(data)))
    assert streamrnn("run", model_path, "-") == 2
    assert "WebM" in (said := capsys.readouterr().err) and "ffmpeg" in said


def run_in_shell(command, tmp_path, *arguments):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    shell = [shutil.which("sh") or "sh", "-c", command, sys.executable, *map(os.fspath, arguments)]
    return subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False)


@pytest.mark.skipif(os.name == "nt", reason="shells of Windows cannot close an output")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_does_not_disturb_the_run(closed, model_path, call_path, tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    shutil.copy(call_path, tmp_path / name)
    command = f'"$0" -m streamrnn run "$1" "$2" --channel 0 --labels out.txt {closed}'
    run = run_in_shell(command, tmp_path, model_path, name)
    assert run.returncode == 0 and b"Traceback" not in run.stderr
    assert (tmp_path / "out.txt").is_file()
    if closed == "2>&-":
        assert b"of audio" not in run.stdout


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_name_that_is_not_utf_8_is_said_in_an_error(streamrnn, capsys, model_path, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    assert streamrnn("run", model_path, path) == 2
    assert "there is no audio file" in capsys.readouterr().err
