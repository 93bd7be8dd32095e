"""OpenAI's Realtime API for transcription: by the official client where it is installed, and message by message."""

# ruff: noqa: F811 (fixtures of the server's own tests)

import asyncio
import base64
import json
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import streamrnn
from streamrnn.audio import Encoding, read_audio
from streamrnn.audio.encodings import to_bytes
from streamrnn.integrations.realtime import Realtime
from streamrnn.integrations.realtime_talk import Talk
from streamrnn.serve import ServerSettings
from tests.integrations.documents import ROOT, examples, run_example
from tests.serve.conftest import SAMPLES, WAIT_S, eventually, loudness, running  # noqa: F401

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


@pytest.fixture(scope="module")
def realtime(running):
    models = {name: streamrnn.load(name) for name in ("vad", "digits-ctc")}
    with running(models, [Realtime()], max_streams=16, silence_s=0.5) as server:
        yield server


@pytest.fixture
def client(realtime):
    with connect(f"ws://127.0.0.1:{realtime.port}/v1/realtime?intent=transcription", proxy=None) as socket:
        assert read(socket)["type"] == "session.created"
        yield socket


def read(socket) -> dict:
    return json.loads(socket.recv(timeout=WAIT_S))


def say(socket, kind: str, **fields) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def update(socket, **fields) -> dict:
    say(socket, "session.update", session={"type": "transcription", "audio": {"input": fields}}, event_id="mine")
    return read(socket)


def speech(name: str = "digits.flac", rate: int = 24_000, encoding: Encoding = "s16le") -> bytes:
    return to_bytes(read_audio(SAMPLES / name, rate)[0], encoding)


def append(socket, sound: bytes, size: int = 48_000) -> None:
    for begin in range(0, len(sound), size):
        audio = base64.b64encode(sound[begin : begin + size]).decode()
        say(socket, "input_audio_buffer.append", audio=audio)


def until_completed(socket, count: int) -> list[dict]:
    found = []
    while sum(event["type"] == COMPLETED for event in found) < count:
        found.append(read(socket))
        assert found[-1]["type"] != "error", found[-1]
    return found


@pytest.mark.parametrize(
    ("form", "rate", "encoding"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, 24_000, "s16le"),
        ({"type": "audio/pcmu"}, 8000, "mulaw"),
        ({"type": "audio/pcma"}, 8000, "alaw"),
    ],
)
def test_each_number_is_an_item_that_starts_stops_and_is_written_down(client, form, rate, encoding):
    updated = update(client, format=form, turn_detection={"type": "server_vad", "silence_duration_ms": 300})
    assert updated["type"] == "session.updated"
    append(client, speech(rate=rate, encoding=encoding), rate)
    events = until_completed(client, 10)
    by_item: dict[str, list[dict]] = {}
    for event in events:
        by_item.setdefault(event["item_id"], []).append(event)
    # Of the telephone's sound it may write down another digit.
    heard = streamrnn.Listener(streamrnn.load("digits"), rate, encoding=encoding)
    heard_events = [*heard.feed(speech(rate=rate, encoding=encoding)), *heard.finish()]
    words = [event.label for event in heard_events if event.kind == "word"]
    assert len(words) == len(DIGITS) and sum(map(str.__eq__, words, DIGITS)) >= 9
    assert [items[-1]["transcript"] for items in by_item.values()] == words
    previous = None
    for item_id, items in by_item.items():
        kinds = [event["type"].removeprefix("input_audio_buffer.") for event in items]
        assert sorted(kinds) == sorted(["speech_started", "speech_stopped", "committed", DELTA, COMPLETED])
        assert kinds[0] in ("speech_started", DELTA) and kinds[-1] == COMPLETED
        found = dict(zip(kinds, items, strict=True))
        assert found["committed"]["previous_item_id"] == previous
        assert found["speech_started"]["audio_start_ms"] < found["speech_stopped"]["audio_end_ms"]
        assert found[DELTA]["delta"] == found[COMPLETED]["transcript"]
        previous = item_id


def test_every_start_is_stopped_and_written_down_when_noise_follows(client):
    update(client, turn_detection={"type": "server_vad", "silence_duration_ms": 300})
    append(client, speech() + speech("noise_only.ogg"))
    found = until_completed(client, 10)
    say(client, "input_audio_buffer.commit")
    say(client, "input_audio_buffer.clear")
    while (event := read(client))["type"] != "input_audio_buffer.cleared":
        found.append(event)
    items = {
        kind: {e["item_id"] for e in found if e["type"].endswith(kind)} for kind in ("started", "stopped", "delta")
    }
    assert items["started"] == items["stopped"] == {e["item_id"] for e in found if e["type"] == COMPLETED}
    assert items["delta"] <= items["started"]


def test_words_where_nobody_is_heard_to_speak_are_no_item_that_never_ends(client):
    update(client, turn_detection={"type": "server_vad", "threshold": 1.0})
    append(client, speech() + bytes(48_000 * 3))
    say(client, "input_audio_buffer.commit")
    say(client, "input_audio_buffer.clear")
    assert read(client)["type"] == "input_audio_buffer.cleared"


def test_a_word_that_is_taken_back_ends_its_item(monkeypatch):
    said = []
    monkeypatch.setattr(Talk, "send", lambda talk, message: said.append(message))

    async def hear():
        talk = Talk(None, SimpleNamespace(settings=ServerSettings()))  # pyright: ignore[reportArgumentType]
        for label in ("seven", ""):
            talk._hear_words({"type": "event", "kind": "partial", "label": label, "start_s": 1.0})

    asyncio.run(hear())
    kinds = [json.loads(message)["type"].rpartition(".")[2] for message in said]
    assert kinds == ["speech_started", "speech_stopped", "committed", "completed"]


def test_server_vad_means_the_settings_of_our_detector(client, realtime, eventually):
    update(client, turn_detection={"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 800})
    append(client, speech()[:4800])
    eventually(lambda: len(realtime.server.sessions) == 2)
    sessions = list(realtime.server.sessions.values())
    hearing = next(s for s in sessions if s.engine.name == "vad")
    assert hearing.overrides == {"threshold": 0.7, "padding_ms": 300.0, "min_silence_ms": 800.0}
    writing = next(s for s in sessions if s.engine.name == "digits-ctc")
    assert writing.overrides == {"endpoint_ms": 600.0}


def test_without_turn_detection_what_was_sent_is_written_down_when_it_is_committed(client):
    update(client, turn_detection=None)
    sound = speech()
    append(client, sound[: 48_000 * 2])
    say(client, "input_audio_buffer.commit")
    append(client, sound[48_000 * 2 : 48_000 * 4])
    say(client, "input_audio_buffer.commit")
    completed = [event for event in until_completed(client, 2) if event["type"] == COMPLETED]
    texts = [event["transcript"] for event in completed]
    assert texts[0].split()[0] == "zero" and " ".join(texts).split() == DIGITS[:4]
    # Each tells the length of its own sound alone.
    assert [event["usage"]["seconds"] for event in completed] == [2.0, 2.0]


def test_a_cleared_buffer_leaves_nothing_to_commit(client):
    update(client, turn_detection=None)
    append(client, speech()[:48_000])
    say(client, "input_audio_buffer.clear")
    say(client, "input_audio_buffer.commit", event_id="late")
    found = [read(client)]
    while found[-1]["type"] != "error":
        found.append(read(client))
    # A word may have been told before it was cleared.
    assert [event["type"] for event in found if event["type"] != DELTA] == ["input_audio_buffer.cleared", "error"]
    error = found[-1]
    assert (error["error"]["code"], error["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "late")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("vad", {"speech_started", "speech_stopped", "committed"}), ("digits-ctc", {"speech_started", COMPLETED})],
)
def test_a_model_of_speech_or_one_of_words_is_enough(running, name, kinds):
    with (
        running({name: streamrnn.load(name)}, [Realtime()], max_streams=16, silence_s=0.3) as server,
        connect(f"ws://127.0.0.1:{server.port}/v1/realtime", proxy=None) as socket,
    ):
        assert read(socket)["type"] == "session.created"
        append(socket, speech()[:72_000])
        found = set()
        while not kinds <= found:
            found.add(read(socket)["type"].removeprefix("input_audio_buffer."))


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ("no json", "invalid_json", "no JSON object"),
        ('{"type": "session.update", "event_id": NaN}', "invalid_json", "no JSON object"),
        ('{"type": "session.update", "event_id": 1e999}', "invalid_json", "no JSON object"),
        ({"type": "response.create"}, "invalid_value", "there is no event 'response.create' here"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "invalid_value", "here it is 'transcription'"),
        ({"type": "input_audio_buffer.append", "audio": "!!"}, "invalid_value", "audio is no base64"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "multiple of 2"),
        ({"type": "input_audio_buffer.append"}, "invalid_value", "audio is no base64"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", "no sound to commit"),
    ],
)
def test_what_is_wrong_is_told_and_the_session_goes_on(client, message, code, said):
    client.send(message if isinstance(message, str) else json.dumps(message))
    error = read(client)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert said in error["message"]
    assert update(client, turn_detection=None)["type"] == "session.updated"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"transcription": {"model": "nemo"}}, "there is no model 'nemo' here; there are: digits-ctc"),
        ({"turn_detection": {"type": "semantic_vad"}}, "here it is 'server_vad', or null"),
        ({"turn_detection": {"type": "server_vad", "threshold": 7}}, "threshold=7"),
        ({"turn_detection": {"type": "server_vad", "threshold": "high"}}, "threshold is a str"),
        ({"format": {"type": "audio/mpeg"}}, "format.type is 'audio/mpeg'"),
        ({"format": {"type": []}}, "format.type is '[]'; it must be audio/pcm"),
        ({"format": {"type": "audio/pcm", "rate": 4000}}, "8000 to 96000"),
        ({"format": "pcm16"}, "format is a str; it must be an object"),
    ],
)
def test_a_setting_that_cannot_be_had_changes_nothing(client, fields, said):
    refused = update(client, **fields)
    assert said in refused["error"]["message"]
    assert refused["error"]["event_id"] == "mine"
    kept = update(client)["session"]["audio"]["input"]
    assert kept["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert kept["turn_detection"]["threshold"] == 0.5


def test_names_of_openais_models_stand_for_the_model_that_is_here(client):
    assert update(client, transcription={"model": "gpt-4o-transcribe"})["type"] == "session.updated"


def test_a_server_with_a_token_wants_it_as_the_key(running, monkeypatch, loudness):
    monkeypatch.setenv("STREAMRNN_TOKEN", "secret")
    with running(dialects=[Realtime()]) as server:
        url = f"ws://127.0.0.1:{server.port}/v1/realtime"
        with connect(url, proxy=None) as socket:
            assert read(socket)["error"]["code"] == "unauthorized"
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=WAIT_S)
        with connect(url, proxy=None, additional_headers={"authorization": "Bearer secret"}) as socket:
            assert read(socket)["type"] == "session.created"


# Of how the client calls websockets.
@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")
def test_the_official_client_hears_all_numbers(realtime, monkeypatch, capsys):
    pytest.importorskip("openai")
    monkeypatch.chdir(ROOT)
    [block] = examples("OpenAI's client", {"8765": str(realtime.port)})
    run_example(block)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if "completed" in line] == DIGITS
    assert sum("speech_started" in line for line in lines) == 10
