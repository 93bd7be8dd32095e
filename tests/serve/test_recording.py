"""No sound is kept unless the server was told to, and then clients know, and can have it deleted."""

import contextlib
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from streamrnn.serve import ServerSettings
from streamrnn.serve.listen import files_at_once
from streamrnn.serve.recording import DAY_S, Recorder

RATE = 16_000
# Samples that no program writes by chance.
TELLING = np.frombuffer(b"what-was-said-here-by-whom" * 400, np.int16).copy()
OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def spoken(client) -> dict:
    ready = client.hello(sample_rate=RATE)
    client.send(TELLING)
    client.flush()
    return ready


def test_no_sound_reaches_the_disk_or_the_logs(running, talk, tmp_path, monkeypatch, caplog, capfd):
    """Whatever is opened for writing while a server hears is looked into."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    caplog.set_level("INFO")
    before = time.time()
    with running() as server:
        ready = spoken(talk(server))
    assert "recorded_days" not in ready
    told = caplog.text + "".join(capfd.readouterr())
    assert "what-was-said" not in told
    # Files that this process has open, and all below the places where it may write.
    opened = [path for fd in Path("/proc/self/fd").iterdir() if (path := fd.resolve()).is_file()]
    below = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = {path for path in [*below, *opened] if path.stat().st_mtime >= before}
    assert not [path for path in written if b"what-was-said" in path.read_bytes()]


def test_a_server_that_records_says_so_and_keeps_just_what_was_sent(running, talk, tmp_path):
    with running(record=tmp_path / "kept", record_days=7) as server:
        ready = spoken(talk(server))
        [path] = (tmp_path / "kept").iterdir()
        sound, rate = soundfile.read(path, dtype="int16")
    assert ready["recorded_days"] == 7 and ready["secret"] not in path.name
    assert rate == RATE and np.array_equal(sound, TELLING) and path.stat().st_mode & 0o777 == 0o600


def test_of_a_message_whose_connection_is_lost_what_was_taken_is_kept_and_the_rest_when_it_comes_again(
    running, talk, tmp_path, eventually
):
    sound, held = np.arange(3 * RATE).astype(np.int16), threading.Event()
    with running(record=tmp_path) as server, contextlib.ExitStack() as at_last:
        client = talk(server)
        ready = client.hello(sample_rate=RATE)
        session = server.server.sessions[ready["session"]]
        server.ask(lambda: session.engine.run(held.wait))
        at_last.callback(held.set)
        # More than may wait.
        client.socket.send(sound.tobytes())
        eventually(lambda: session.received_samples > 0)
        client.drop()
        again = talk(server)
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": 0}
        taken = again.hello(sample_rate=RATE, resume=resume)["received_samples"]
        assert 0 < taken < len(sound)
        held.set()
        again.socket.send(sound[taken:].tobytes())
        again.flush()
        [path] = tmp_path.iterdir()
        assert np.array_equal(soundfile.read(path, dtype="int16")[0], sound)


def test_a_session_s_recording_is_deleted_by_whoever_has_its_secret(running, talk, tmp_path):
    with running(record=tmp_path) as server, httpx.Client(trust_env=False) as http:
        ready = spoken(talk(server))
        address = f"{server.url}/v1/recordings/{ready['session']}"
        for secret in ("", "wrong"):
            assert http.delete(address, headers={"X-Session-Secret": secret}).status_code == 404
        assert list(tmp_path.iterdir())
        assert http.delete(address, headers={"X-Session-Secret": ready["secret"]}).status_code == 204
    assert not list(tmp_path.iterdir())


def test_recordings_are_deleted_when_their_days_are_over_and_no_other_file_is(tmp_path):
    recorder = Recorder(tmp_path, days=2)
    for session in (OLD, NEW):
        recorder.hear(session, "secret", np.zeros((10, 2), np.float32), RATE)
        recorder.end(session)
    (tmp_path / "interview.wav").touch()
    (tmp_path / f"{OLD}.wav").touch()
    for path in tmp_path.iterdir():
        if not path.name.startswith(NEW):
            os.utime(path, (0, time.time() - 2.1 * DAY_S))
    Recorder(tmp_path, days=2)
    [new, *others] = sorted(tmp_path.iterdir(), reverse=True, key=lambda path: path.name.startswith(NEW))
    assert soundfile.info(new).channels == 2
    assert {path.name for path in others} == {"interview.wav", f"{OLD}.wav"}


def test_what_several_workers_hear_of_a_session_is_kept_and_deleted_as_a_whole(tmp_path):
    first, second = Recorder(tmp_path, days=1), Recorder(tmp_path, days=1)
    for recorder, samples in ((first, 300), (second, 200), (first, 100)):
        recorder.hear(NEW, "secret", np.zeros(samples, np.int16), RATE)
        recorder.end(NEW)
    second.hear(OLD, "secret", np.zeros(7, np.int16), RATE)
    assert [soundfile.info(path).frames for path in sorted(tmp_path.glob(f"{NEW}.*"))] == [300, 200, 100]
    assert not second.delete(NEW, "another") and second.delete(NEW, "secret")
    assert [path.name.partition(".")[0] for path in tmp_path.iterdir()] == [OLD]


def test_a_recording_that_outgrows_its_header_goes_on_in_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr("streamrnn.serve.recording.MOST_BYTES", 1000)
    recorder = Recorder(tmp_path, days=1)
    for value in range(3):
        recorder.hear(NEW, "secret", np.full((120, 2), value, np.int16), RATE)
    recorder.end(NEW)
    parts = [soundfile.read(path, dtype="int16")[0] for path in sorted(tmp_path.iterdir())]
    assert [len(part) for part in parts] == [240, 120]
    assert np.array_equal(np.concatenate(parts)[::120, 1], [0, 1, 2])


def test_a_disk_that_is_full_ends_no_stream(tmp_path, monkeypatch, caplog):
    recorder = Recorder(tmp_path, days=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wave.open", full)
    recorder.hear(NEW, "secret", np.zeros(10, np.int16), RATE)
    assert "can't be written" in caplog.text and not list(tmp_path.iterdir())


def test_each_stream_that_is_recorded_may_have_a_file_open(tmp_path):
    settings = ServerSettings(max_connections=300, max_streams=200)
    recording = replace(settings, record=tmp_path)
    assert files_at_once(recording) == files_at_once(settings) + 200 > 500


@pytest.mark.parametrize("days", [0, -1])
def test_days_must_be_some(running, days):
    with pytest.raises(ValueError, match="record_days is"), running(record_days=days):
        pass
