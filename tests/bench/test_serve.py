"""Load on a server: the parts that measure, and what is made of what they measured."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from streamrnn.audio import write_audio
from streamrnn.bench import serve
from streamrnn.bench.conversations import conversations, events_of, same
from streamrnn.bench.serve import bench_serve, print_report
from streamrnn.bench.serve_load import Load, LoadStream, bear, encoded
from streamrnn.bench.server_process import scrape, stream_url
from streamrnn.bench.wire import open_wire
from streamrnn.models import VoiceActivity
from streamrnn.runtime import Listener
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.listen import listening, web_server

EVENT = {"kind": "speech_start", "label": "speech", "start_s": 0.1, "end_s": None, "score": 0.5, "decided_s": 0.3}


@pytest.fixture(scope="module")
def url(model: VoiceActivity) -> Iterator[str]:
    """The address of a server of the model, in a thread."""
    settings = ServerSettings(port=0, max_streams=8, hello_s=0.2)
    ready = threading.Event()
    with listening(settings) as sock:
        web = web_server(make_app({"model": model}, settings), settings, ready.set)
        thread = threading.Thread(target=web.run, kwargs={"sockets": [sock]})
        thread.start()
        assert ready.wait(60)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        web.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Two conversations of half a second, of a recording of noise that comes and goes."""
    n = np.arange(32_000)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, len(n)) * (n // 2000 % 2)
    write_audio(path := tmp_path_factory.mktemp("sound") / "noise.wav", noise.astype(np.float32), 16_000)
    return conversations(path, 16_000, 2, 0.5)


@pytest.fixture(scope="module")
def measured(url: str, sounds: list[np.ndarray]) -> dict:
    """What three streams and two idle connections came to."""
    hello = {"sample_rate": 16_000, "settings": {"threshold": 0.02, "off_threshold": 0.01}}
    load = Load(stream_url(url), hello, [encoded(s.tobytes()) for s in sounds], 3200, streams=3, idle=2)
    return asyncio.run(bear(load))


def test_every_stream_has_the_events_of_a_listener(measured, model, sounds):
    listener = Listener(model, threshold=0.02, off_threshold=0.01)
    for number, stream in enumerate(measured["streams"]):
        listener.reset()
        expected = [e.to_dict() for e in listener.feed(sounds[number % 2]) + listener.finish()]
        assert expected and stream["errors"] == []
        assert all(same(event, other) for event, other in zip(stream["events"], expected, strict=True))


def test_latencies_are_those_of_events_that_sound_decided(measured):
    for stream in measured["streams"]:
        decided = [event for event in stream["events"] if event["decided_s"] < 0.5]
        assert len(stream["latencies_ms"]) == len(decided) > 0
        assert all(0 < latency_ms < 20_000 for latency_ms in stream["latencies_ms"])
        assert stream["latency_ms"] == 40


def test_idle_connections_are_held_and_messages_are_paced(measured):
    assert measured["idle_held"] == 2
    assert len(measured["late_ms"]) == 15 and min(measured["late_ms"]) >= 0
    assert measured["took_s"] >= 0.4
    assert measured["server_cores"] is None and measured["generator_cores"] > 0


def test_an_event_is_timed_from_the_message_that_holds_its_decision():
    async def heard() -> list[float]:
        stream = LoadStream([b""] * 5)
        stream.sent_at = [0.0, 0.1, 0.2, 0.3, 0.4]
        for decided_s in (0.3, 0.300001, 0.29):
            stream._take_event({"type": "event", "seq": 1, "decided_s": decided_s}, now_s=1.0)
        return stream.latencies_ms

    # What is decided exactly at the end of a message needs no later one.
    assert asyncio.run(heard()) == pytest.approx([800, 800, 800])


def test_metrics_are_summed_over_their_labels(url, measured):
    metrics = scrape(url, None)
    assert metrics["streamrnn_received_seconds_total"] == pytest.approx(3 * 0.5 + 2 * 0.1)
    assert metrics["streamrnn_tick_seconds_count"] > 0


def test_a_wire_that_cannot_be_had_says_so(url):
    with pytest.raises(ConnectionError, match="HTTP 403"):
        asyncio.run(open_wire(f"{stream_url(url)}/elsewhere", None, lambda message: None))


def test_conversations_begin_at_different_places_and_have_the_length_asked_for(sounds):
    assert [len(sound) for sound in sounds] == [8000, 8000]
    assert not np.array_equal(*sounds)


def test_without_recordings_the_error_says_what_to_pass(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="--sound"):
        conversations(tmp_path, 16_000, 1, 1.0)


def test_events_are_the_same_but_for_the_last_digits_of_the_score():
    assert same(EVENT, EVENT | {"score": 0.5004})
    assert not same(EVENT, EVENT | {"score": 0.6})
    assert not same(EVENT, EVENT | {"decided_s": 0.31})


def report_of(streams: list[dict], idle_held: int = 1) -> dict:
    came = {"streams": streams, "idle_held": idle_held, "late_ms": [0.0, 1.0], "took_s": 1.0}
    sizes = {"server_cores": 0.5, "generator_cores": 0.1, "start_mb": 200.0, "peak_mb": 300.0, "end_mb": 250.0}
    row = serve._row(came | sizes, len(streams), 1, [[EVENT]]) | serve._ticks({}, {})
    return {"machine": serve.describe_machine(), "model": "vad", "chunk_ms": 100, "seconds": 1} | {
        "loads": [row],
        "figures": serve._figures(row),
    }


def stream_of(events: list[dict], latency_ms: float, errors: tuple[str, ...] = ()) -> dict:
    return {"events": events, "latencies_ms": [latency_ms], "errors": list(errors), "latency_ms": 40.0}


def test_a_load_that_was_borne_meets_its_targets():
    report = report_of([stream_of([EVENT], 20.0), stream_of([EVENT], 30.0)])
    assert [figure["met"] for figure in report["figures"]] == [True] * 4
    assert report["loads"][0]["latency_p50_ms"] == 25


@pytest.mark.parametrize(
    ("stream", "idle_held", "missed"),
    [
        (stream_of([EVENT], 200.0), 1, serve.LATENCY),
        (stream_of([], 20.0), 1, serve.LOST),
        (stream_of([EVENT, EVENT], 20.0), 1, serve.LOST),
        (stream_of([EVENT | {"start_s": 0.0}], 20.0), 1, serve.LOST),
        (stream_of([EVENT], 20.0, ("internal",)), 1, serve.LOST),
        (stream_of([EVENT], 20.0), 0, serve.IDLE),
    ],
)
def test_what_was_late_lost_or_wrong_misses_its_target(stream, idle_held, missed):
    figures = report_of([stream], idle_held)["figures"]
    assert [figure["name"] for figure in figures if not figure["met"]] == [missed]


def test_the_report_is_printed_as_tables_and_survives_json():
    report = json.loads(json.dumps(report_of([stream_of([EVENT], 20.0)])))
    console = Console(record=True, width=160, file=io.StringIO())
    print_report(report, console)
    printed = console.export_text()
    for text in ("latency_p99_ms", serve.LATENCY, "100.0", "yes"):
        assert text in printed


@pytest.mark.parametrize("wrong", [{"streams": ()}, {"streams": (0,)}, {"seconds": 0}, {"idle": -1}])
def test_a_load_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="use 1 or more"):
        bench_serve("vad", **wrong)


def test_expected_events_come_from_a_listener(model, sounds):
    events = events_of(model, sounds[0])
    assert all(set(event) == set(EVENT) for event in events)
