"""A minute of everything that clients do to a server, a load in real time, and a server that is killed."""

from pathlib import Path

import pytest

from benchmarks import soak
from benchmarks.soak import bench_soak
from streamrnn.audio import read_audio
from streamrnn.bench import serve
from streamrnn.bench.serve import bench_serve
from streamrnn.bench.server_process import ServerProcess
from streamrnn.decisions import segments
from streamrnn.serve import ConnectionLost, connect

pytestmark = pytest.mark.system

SOUND = Path(__file__).parents[2] / "audio_samples"


@pytest.fixture(autouse=True)
def _settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    # Process-wide settings of JAX would reach the tests that come after.
    for room in (serve, soak):
        monkeypatch.setattr(room, "configure", lambda: None)
    monkeypatch.delenv("STREAMRNN_TOKEN", raising=False)


def test_a_minute_of_faults_leaves_nothing_behind():
    report = bench_soak("vad", minutes=1.0, streams=30, sound=SOUND)
    assert report["problems"] == []
    assert {figure["name"]: figure["met"] for figure in report["figures"]} == dict.fromkeys(soak.TARGETS, True)
    for fault in ("connections dropped", "connections taken over", "streams abandoned", "refused: silence"):
        assert report["counts"][fault] > 0


def test_streams_in_real_time_lose_nothing_while_others_are_idle():
    report = bench_serve("vad", streams=(20,), seconds=5, idle=50, sound=SOUND)
    met = {figure["name"]: figure["met"] for figure in report["figures"]}
    assert met[serve.LOST] and met[serve.IDLE] and met[serve.MEMORY]
    (load,) = report["loads"]
    assert load["events"] > 20 and load["ticks"] > 0
    assert 0 < load["latency_p50_ms"] <= load["latency_p99_ms"] <= load["latency_max_ms"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_server_that_is_killed_takes_its_streams_along_and_a_client_may_begin_anew(restart):
    sound, sample_rate = read_audio(SOUND / "conversation.flac")
    middle = len(sound) // 2
    with ServerProcess("vad") as server:
        client = connect(server.url, "vad", sample_rate, restart=restart, reconnect_s=120)
        with client:
            before = client.feed(sound[:middle])
            server.kill()
            with ServerProcess("vad", port=server.url.rpartition(":")[2]):
                if not restart:
                    with pytest.raises(ConnectionLost, match="no stream waits"):
                        client.feed(sound[middle:])
                        client.finish()
                    return
                events = before + client.feed(sound[middle:]) + client.finish()
    assert client.restarts == 1
    found = segments(events)
    assert found[-1].end_s > middle / sample_rate and found[-1].end_s <= len(sound) / sample_rate
