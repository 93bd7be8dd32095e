"""No sound is kept unless the server was told to, and then clients know, and can have it deleted."""

import os
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from streamrnn.serve.recording import DAY_S, Recorder

RATE = 16_000
# Samples that no program writes by chance.
TELLING = np.frombuffer(b"what-was-said-here-by-whom" * 400, np.int16).copy()


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


def test_a_session_s_recording_is_deleted_by_whoever_has_its_secret(running, talk, tmp_path):
    with running(record=tmp_path) as server, httpx.Client(trust_env=False) as http:
        ready = spoken(talk(server))
        address = f"{server.url}/v1/recordings/{ready['session']}"
        for secret in ("", "wrong"):
            assert http.delete(address, headers={"X-Session-Secret": secret}).status_code == 404
        assert list(tmp_path.iterdir())
        assert http.delete(address, headers={"X-Session-Secret": ready["secret"]}).status_code == 204
    assert not list(tmp_path.iterdir())


def test_recordings_are_deleted_when_their_days_are_over(tmp_path):
    recorder = Recorder(tmp_path, days=2)
    for session in ("old", "new"):
        recorder.hear(session, "secret", np.zeros((10, 2), np.float32), RATE)
        recorder.end(session)
    [old] = tmp_path.glob("old.*")
    os.utime(old, (0, time.time() - 2.1 * DAY_S))
    Recorder(tmp_path, days=2)
    assert [path.name.partition(".")[0] for path in tmp_path.iterdir()] == ["new"]
    assert soundfile.info(next(tmp_path.iterdir())).channels == 2


def test_a_disk_that_is_full_ends_no_stream(tmp_path, monkeypatch, caplog):
    recorder = Recorder(tmp_path, days=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wave.open", full)
    recorder.hear("s", "secret", np.zeros(10, np.int16), RATE)
    assert "can't be written" in caplog.text


@pytest.mark.parametrize("days", [0, -1])
def test_days_must_be_some(running, days):
    with pytest.raises(ValueError, match="record_days is"), running(record_days=days):
        pass
