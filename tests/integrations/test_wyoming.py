"""Wyoming, as Home Assistant speaks it: by the client classes of the package itself, with models that are shipped."""

# ruff: noqa: F811 (fixtures of the server's own tests)

import asyncio
import json
import socket
import time

import numpy as np
import pytest

import streamrnn
from streamrnn.audio import read_audio
from streamrnn.cli.serve import Serve, dialects
from streamrnn.integrations.wyoming import Wyoming
from streamrnn.serve import ServerSettings, make_app
from streamrnn.serve.listen import CannotListen
from tests.integrations.documents import ROOT, examples, run_example
from tests.serve.conftest import SAMPLES, WAIT_S, Running, loudness, running  # noqa: F401

pytest.importorskip("wyoming")

from wyoming.asr import Transcribe, Transcript, VadSensitivity
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

COMMANDS = ["go", "yes", "no", "up", "down", "left", "right", "on", "off", "stop"]
# What the model hears of them in commands.flac, whose voices are synthetic.
HEARD = ["yes", "up", "down", "left", "stop", "no", "right", "go"]


@pytest.fixture(scope="module")
def wyoming():
    """A server with Wyoming, and room for 50 satellites."""
    models = {name: streamrnn.load(name) for name in ("keywords-en", "digits-ctc")}
    dialect = Wyoming(0)
    settings = ServerSettings(port=0, max_streams=64, shutdown_s=5.0, hello_s=0.5)
    server = Running(make_app(models, settings, [dialect]), settings)
    server.begin()
    yield dialect
    server.end()


@pytest.fixture(scope="module")
def spoken():
    """name -> int16[samples] at 16 kHz of a recording."""

    def read(name: str, sample_rate: int = 16_000) -> np.ndarray:
        return (read_audio(SAMPLES / name, sample_rate)[0] * 32767).astype(np.int16)

    return read


def speak(port: int, conversation):
    """Runs a conversation with a client; it takes no longer than others wait."""

    async def run():
        async with asyncio.timeout(WAIT_S), AsyncTcpClient("127.0.0.1", port) as client:
            return await conversation(client)

    return asyncio.run(run())


async def send(client, samples, rate=16_000, channels=1, width=2, start=True):
    """AudioStart, chunks of 64 ms, AudioStop."""
    if start:
        await client.write_event(AudioStart(rate, width, channels, timestamp=0).event())
    size = rate * 64 // 1000
    for begin in range(0, len(samples), size):
        await client.write_event(AudioChunk(rate, width, channels, samples[begin : begin + size].tobytes()).event())
    await client.write_event(AudioStop().event())


async def next_of(client, *kinds):
    """The next event, which is one of these kinds."""
    event = await client.read_event()
    assert event is not None, "the server closed"
    for kind in kinds:
        if kind.is_type(event.type):
            return kind.from_event(event)
    raise AssertionError(f"{event.type}: {event.data}")


async def words_of(client, samples, names=None, **form):
    """The wake words that are detected in a recording, and the events."""
    await client.write_event(Detect(names=names).event())
    sending = asyncio.create_task(send(client, samples, **form))
    await sending
    await client.write_event(Ping("end").event())
    found = []
    while not isinstance(event := await next_of(client, Detection, NotDetected, Pong), Pong):
        found.append(event)
    return found


def test_a_description_comes_at_once_and_names_all_words_and_models(wyoming):
    async def describe(client):
        began = time.monotonic()
        await client.write_event(Describe().event())
        return await next_of(client, Info), time.monotonic() - began

    info, seconds = speak(wyoming.port, describe)
    assert seconds < 1
    assert len(info.wake) == len(info.asr) == 1, "Home Assistant reads the first program alone"
    assert sorted(model.name for model in info.wake[0].models) == sorted(COMMANDS)
    assert [model.name for model in info.asr[0].models] == ["digits-ctc", "keywords-en"]
    assert info.asr[0].requires_external_vad is False
    assert info.asr[0].installed and info.asr[0].models[0].languages == ["en"]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_all_wake_words_of_a_recording_are_heard_in_order(wyoming, spoken, rate, channels):
    samples = np.repeat(spoken("commands.flac", rate)[:, None], channels, axis=1)
    own = list(streamrnn.listen(streamrnn.load("keywords-en"), SAMPLES / "commands.flac"))

    found = speak(wyoming.port, lambda client: words_of(client, samples, rate=rate, channels=channels))
    assert [event.name for event in found] == [event.label for event in own] == HEARD
    # Resampled, a word may be sure a frame of 40 ms sooner or later.
    assert [event.timestamp for event in found] == pytest.approx([1000 * event.decided_s for event in own], abs=45)


def test_names_hold_for_the_sound_that_follows_and_no_longer(wyoming, spoken):
    samples = spoken("commands.flac")

    async def converse(client):
        named = await words_of(client, samples, ["left", "go", "no such word"])
        await send(client, samples)
        later = [(await next_of(client, Detection)).name for _ in HEARD]
        return named, later

    named, later = speak(wyoming.port, converse)
    assert [event.name for event in named] == ["left", "go"]
    assert later == HEARD, "without a Detect, all words are listened for again"


def test_silence_is_told_to_hold_no_wake_word(wyoming):
    found = speak(wyoming.port, lambda client: words_of(client, np.zeros(16_000, np.int16)))
    assert found == [NotDetected()]


def test_chunks_without_a_start_are_heard_as_satellites_send_them(wyoming, spoken):
    samples = spoken("commands.flac")

    async def converse(client):
        return await words_of(client, samples, ["left"], start=False)

    assert [event.name for event in speak(wyoming.port, converse)] == ["left"]


def test_all_numbers_of_a_recording_are_written_down(wyoming, spoken):
    async def converse(client):
        await client.write_event(Transcribe(language="en", vad_sensitivity=VadSensitivity.RELAXED).event())
        await send(client, spoken("digits.flac"))
        return await next_of(client, Transcript)

    found = speak(wyoming.port, converse)
    assert found.text == "zero one two three four five six seven eight nine"
    assert found.language == "en"


@pytest.mark.parametrize(
    ("model", "recording", "said", "text"),
    [(None, "digits.flac", slice(22_000), "zero"), ("keywords-en", "commands.flac", slice(22_000), "yes")],
)
def test_a_transcript_comes_at_the_end_of_the_utterance_while_sound_goes_on(
    wyoming, spoken, model, recording, said, text
):
    sound = np.concatenate([spoken(recording)[said], np.zeros(32_000, np.int16)])

    async def converse(client):
        await client.write_event(Transcribe(name=model).event())
        await client.write_event(AudioStart(16_000, 2, 1).event())
        for begin in range(0, len(sound), 1024):
            await client.write_event(AudioChunk(16_000, 2, 1, sound[begin : begin + 1024].tobytes()).event())
        # No AudioStop: nobody but the server ends it.
        return await next_of(client, Transcript)

    found = speak(wyoming.port, converse)
    assert found.text == text


def test_fifty_satellites_at_once_are_all_heard(wyoming, spoken):
    samples = spoken("commands.flac")[:40_000]

    async def all_of_them():
        async def satellite():
            async with AsyncTcpClient("127.0.0.1", wyoming.port) as client:
                return [event.name for event in await words_of(client, samples)]

        async with asyncio.timeout(60):
            return await asyncio.gather(*(satellite() for _ in range(50)))

    found = asyncio.run(all_of_them())
    assert found == [["yes", "up"]] * 50


@pytest.mark.parametrize("width", [1, 4])
def test_other_widths_are_heard_alike(wyoming, spoken, width):
    samples = spoken("commands.flac").astype(np.int32)
    converted = ((samples >> 8) + 128).astype(np.uint8) if width == 1 else samples << 16
    found = speak(wyoming.port, lambda client: words_of(client, converted, ["left"], width=width))
    assert [event.name for event in found] == ["left"]


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        ([AudioStart(16_000, 3, 1)], "bad_audio", "width of 1, 2 or 4"),
        ([AudioStart(4000, 2, 1)], "bad_audio", "8000 to 96000 Hz"),
        ([AudioStart(16_000, 2, 9)], "bad_audio", "up to 8 channels"),
        ([AudioStart(16_000, 2, 1), AudioChunk(8000, 2, 1, bytes(640))], "bad_audio", "8000 Hz.* after 16000 Hz"),
        ([AudioStart(16_000, 2, 1), AudioChunk(16_000, 2, 1, bytes(641))], "bad_audio", "multiple of 2"),
        ([Detect(names=["alexa"]), AudioStart(16_000, 2, 1)], "unknown_model", "no wake word alexa here"),
        ([Transcribe(name="whisper"), AudioStart(16_000, 2, 1)], "unknown_model", "no model 'whisper' here"),
        ([Transcribe(language="fi"), AudioStart(16_000, 2, 1)], "unknown_model", r"digits-ctc \(en\)"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_the_reason(wyoming, events, code, said):
    async def converse(client):
        for event in events:
            await client.write_event(event.event())
        error = await next_of(client, Error)
        assert await client.read_event() is None, "and the connection ends"
        return error

    error = speak(wyoming.port, converse)
    assert error.code == code
    with pytest.raises(ValueError, match=said):
        raise ValueError(error.text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no JSON object"),
        (b'{"type": 7}\n', "has the type '7'"),
        (b'{"type": "audio-chunk", "payload_length": 99999999999}\n', "at most"),
        (b'{"type": "audio-chunk", "data_length": -4}\n', "data_length is '-4'"),
        (b'{"type": "audio-start"}\n', "audio-start lacks 'rate'"),
        (b'{"type": "ping", "data": [1], "data_length": 2}\n{}', "data is a list and no object"),
        (b'{"type": "ping", "data": "x"}\n', "data is a str"),
        (b"[" * 20_000 + b"\n", "begins with a line of more than"),
        (b"", "nothing came within 0.5 s"),
    ],
)
def test_bytes_that_are_no_wyoming_are_refused_and_nothing_hangs(wyoming, data, said):
    with socket.create_connection(("127.0.0.1", wyoming.port), WAIT_S) as peer:
        peer.sendall(data)
        answer = b""
        while part := peer.recv(65_536):
            answer += part
    head, _, body = answer.partition(b"\n")
    assert json.loads(head)["type"] == "error"
    assert said in json.loads(body)["text"]


def test_events_that_it_does_not_know_are_passed_over(wyoming):
    async def converse(client):
        await client.write_event(streamrnn_event("run-satellite"))
        await client.write_event(Ping("still there").event())
        return await next_of(client, Pong)

    assert speak(wyoming.port, converse).text == "still there"


def streamrnn_event(kind):
    from wyoming.event import Event

    return Event(kind)


def test_the_example_of_the_page_hears_what_it_says(wyoming, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    satellite, server = examples("Home Assistant", {"10400": str(wyoming.port)})
    run_example(satellite)
    assert capsys.readouterr().out == "['left', 'go']\n"
    served = []
    monkeypatch.setattr("streamrnn.serve.serve", lambda models, dialects: served.append((models, dialects)))
    run_example(server)
    [(models, [dialect])] = served
    assert (models, dialect.port) == (["keywords-en", "digits-ctc"], wyoming.port)


def test_the_command_line_speaks_wyoming_where_a_port_is_given():
    *always, dialect = dialects(Serve(("keywords-en",), wyoming=10_400, zeroconf="kitchen"))
    assert (dialect.port, dialect.zeroconf) == (10_400, "kitchen")
    assert [type(one) for one in dialects(Serve(("keywords-en",)))] == [type(one) for one in always]
    with pytest.raises(ValueError, match="Pass --wyoming PORT as well"):
        dialects(Serve(("keywords-en",), zeroconf="kitchen"))


def test_a_server_that_ends_says_what_was_said_before(running, spoken, monkeypatch):
    dialect = Wyoming(0)
    words = spoken("commands.flac")[:36_000]

    async def converse(client, server):
        await client.write_event(Transcribe().event())
        await client.write_event(AudioStart(16_000, 2, 1).event())
        await client.write_event(AudioChunk(16_000, 2, 1, words.tobytes()).event())
        session = None
        while session is None or session.received_samples < len(words):
            await asyncio.sleep(0.01)
            session = next(iter(server.server.sessions.values()), None)
        server.ask_to_end()
        return await next_of(client, Transcript), await next_of(client, Error)

    # The token is for the web server: Wyoming has no words for it.
    monkeypatch.setenv("STREAMRNN_TOKEN", "secret")
    with running({"keywords-en": streamrnn.load("keywords-en")}, [dialect]) as server:
        transcript, error = speak(dialect.port, lambda client: converse(client, server))
    assert transcript.text == "yes up"
    assert error.code == "shutting_down"


def test_a_server_that_hears_no_words_does_not_speak_wyoming(loudness):
    dialect = Wyoming(0)
    with pytest.raises(ValueError, match="needs a model that hears words; served are loudness"):
        make_app({"loudness": loudness}, ServerSettings(), [dialect])
    asyncio.run(dialect.end())


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(wyoming):
    with pytest.raises(CannotListen, match=f"port {wyoming.port}"):
        make_app(["no such model"], ServerSettings(), [Wyoming(wyoming.port)])


@pytest.mark.parametrize(
    ("found", "said"), [(None, "wyoming is missing"), ("1.5.0", "1.5.0 is installed; this needs 1.10")]
)
def test_a_package_that_is_missing_or_old_is_named_with_the_extra(monkeypatch, found, said):
    from importlib.metadata import PackageNotFoundError

    def version(name):
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr("streamrnn.packages.version", version)
    with pytest.raises(ImportError, match=said) as caught:
        Wyoming(0).prepare(ServerSettings())
    assert "pip install 'streamrnn[wyoming]'" in str(caught.value)


def test_home_assistant_finds_it_in_the_local_network():
    zeroconf = pytest.importorskip("zeroconf.asyncio")
    from streamrnn.integrations.wyoming import SERVICE, announced

    async def found():
        telling = await announced("streamrnn test", "127.0.0.1", 10_400)
        looking = zeroconf.AsyncZeroconf(interfaces=["127.0.0.1"])
        try:
            info = await looking.async_get_service_info(SERVICE, f"streamrnn test.{SERVICE}", 3000)
        finally:
            await looking.async_close()
            await telling.async_close()
        return info

    info = asyncio.run(found())
    assert info is not None
    assert (info.parsed_addresses(), info.port) == (["127.0.0.1"], 10_400)
