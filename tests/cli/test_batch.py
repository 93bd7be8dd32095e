"""`streamrnn batch`: what it says, writes and returns."""

import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def calls(tmp_path, sound_path):
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(sound_path.read_bytes())
    return folder


def test_all_is_done_and_then_nothing_is_left(streamrnn, model_path, calls, tmp_path, capsys):
    command = ("batch", model_path, calls, "--out", tmp_path / "heard", "--formats", "rttm", "--table", "csv")
    assert streamrnn(*command) == 0
    said = capsys.readouterr().err
    assert said.startswith("2 recordings done, 0.00 h in ") and f"wrote {tmp_path / 'heard' / 'events.csv'}" in said
    assert {path.name for path in (tmp_path / "heard").glob("*.*") if path.is_file()} == {
        *(f"{name}.wav.{form}" for name in "ab" for form in ("jsonl", "rttm")),
        "events.csv",
    }
    assert streamrnn(*command) == 0
    assert "; 2 done before and unchanged by size and time" in capsys.readouterr().err


def test_failures_are_told_and_end_it_with_status_1(streamrnn, model_path, calls, tmp_path, capsys):
    (calls / "c.wav").write_bytes(b"nothing")
    with pytest.raises(SystemExit) as ended:
        streamrnn("batch", model_path, calls, "--out", tmp_path / "heard")
    assert ended.value.code == 1
    assert f"1 failed: see {tmp_path / 'heard' / 'failed.csv'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shard", "2/2"), "Count from 0"),
        (("--formats", "wav"), "gives events, not wav"),
        (("--jobs", "0"), "jobs is 0"),
        (("--retries", "-1"), "--retries is -1"),
        (("--max-attenuation-db", "12"), "max_attenuation_db"),
    ],
)
def test_what_cannot_be_is_refused(streamrnn, model_path, calls, tmp_path, capsys, options, said):
    assert streamrnn("batch", model_path, calls, "--out", tmp_path / "heard", *options) == 2
    assert said in capsys.readouterr().err


def test_a_model_of_something_else_than_sound_is_refused(streamrnn, calls, tmp_path, capsys):
    assert streamrnn("batch", "forecast", calls, "--out", tmp_path / "heard") == 2
    assert "no sound" in capsys.readouterr().err


def test_ctrl_c_ends_it_and_nothing_half_stays(model_path, sound_path, tmp_path):
    folder, out = tmp_path / "calls", tmp_path / "heard"
    folder.mkdir()
    for number in range(400):
        os.link(sound_path, folder / f"{number}.wav")
    command = [sys.executable, "-m", "streamrnn", "batch", model_path, folder, "--out", out, "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as batch:
        deadline = time.monotonic() + 60
        while not list(out.glob("*.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.01)
        batch.send_signal(signal.SIGINT)
        batch.communicate(timeout=60)
    assert batch.returncode == 130
    done = list(out.glob("*.jsonl"))
    assert 0 < len(done) < 400 and not list((out / ".streamrnn").glob("parts*"))
    (journal,) = (out / ".streamrnn" / "done").glob("*.jsonl")
    assert len(journal.read_bytes().splitlines()) == len(done)
