"""Vosk's WebSocket protocol, as its own test client and telephone systems speak it: one answer to each message."""

# ruff: noqa: F811 (fixtures of the server's own tests)

import json

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import streamrnn
from streamrnn.audio import read_audio
from streamrnn.integrations.vosk import Vosk
from tests.integrations.documents import ROOT, examples, run_example
from tests.serve.conftest import SAMPLES, WAIT_S, loudness, running  # noqa: F401

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(scope="module")
def vosk(running):
    with running({"digits-ctc": streamrnn.load("digits-ctc")}, [Vosk()], max_streams=16) as server:
        yield server


@pytest.fixture
def client(vosk):
    with connect(f"ws://127.0.0.1:{vosk.port}/", proxy=None, close_timeout=1) as socket:
        yield socket


def pcm(name: str, rate: int) -> bytes:
    return (read_audio(SAMPLES / name, rate)[0] * 32767).astype(np.int16).tobytes()


def ask(socket, message) -> dict:
    socket.send(message if isinstance(message, bytes) else json.dumps(message))
    return json.loads(socket.recv(timeout=WAIT_S))


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_each_chunk_is_answered_once_and_the_results_hold_all_numbers(client, rate):
    client.send(json.dumps({"config": {"sample_rate": rate, "words": True}}))
    sound, size = pcm("digits.flac", rate), rate // 2
    answers = [ask(client, sound[begin : begin + size]) for begin in range(0, len(sound), size)]
    answers.append(ask(client, {"eof": 1}))
    results = [answer for answer in answers if "text" in answer]
    assert " ".join(result["text"] for result in results).split() == DIGITS
    words = [word for result in results for word in result.get("result", [])]
    assert [word["word"] for word in words] == DIGITS
    assert all(0 < word["conf"] <= 1 and word["start"] < word["end"] for word in words)
    assert words[0]["start"] == pytest.approx(0.7, abs=0.3)
    assert all(set(answer) in ({"partial"}, {"text", "result"}, {"text"}) for answer in answers)
    assert {"zero", "one"} <= {answer.get("partial") for answer in answers}
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=WAIT_S)


def test_the_rate_is_8000_where_a_client_does_not_say(client):
    answers = [ask(client, pcm("digits.flac", 8000)[: 8000 * 4]), ask(client, {"eof": 1})]
    assert [answer["text"] for answer in answers if answer.get("text")] == ["zero", "one"]


def test_a_reset_forgets_what_was_said(client):
    sound = pcm("digits.flac", 8000)
    # In the middle of the utterance.
    assert ask(client, sound[: 8000 * 2 * 5 // 4]) == {"partial": "zero"}
    client.send(json.dumps({"reset": 1}))
    assert ask(client, bytes(16_000)) == {"partial": ""}
    assert ask(client, {"eof": 1}) == {"text": ""}


def test_an_end_without_sound_is_answered(client):
    assert ask(client, {"eof": 1}) == {"text": ""}


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (["no json"], "a text is none of"),
        ([{"config": {"sample_rate": "fast"}}], "sample_rate is 'fast'; it must be a whole number"),
        ([{"config": {"sample_rate": 4000}}], "sample_rate is 4000; it must be 8000 to 96000"),
        (['{"config": {"sample_rate": 8000.5}}'], "sample_rate is '8000.5'; it must be a whole number"),
        (['{"config": {"sample_rate": 1e999}}'], "a text is none of"),
        (['{"config": {"sample_rate": NaN}}'], "a text is none of"),
        ([bytes(3)], "need a multiple of 2"),
        (["[" * 10_000], "a text is none of"),
    ],
)
def test_what_cannot_be_heard_is_told_and_ends_the_connection(client, messages, said):
    for message in messages:
        client.send(message if isinstance(message, bytes | str) else json.dumps(message))
    assert said in json.loads(client.recv(timeout=WAIT_S))["error"]
    with pytest.raises(ConnectionClosed):
        client.recv(timeout=WAIT_S)


def test_configuration_after_sound_is_refused(client):
    ask(client, bytes(1600))
    assert "config came after sound" in ask(client, {"config": {"sample_rate": 16_000}})["error"]


def test_a_server_without_words_says_what_it_has(running):
    with running(dialects=[Vosk()]) as server, connect(f"ws://127.0.0.1:{server.port}/", proxy=None) as socket:
        assert "no model here hears words; there are: loudness" in ask(socket, bytes(1600))["error"]


def test_the_example_of_the_page_hears_all_numbers(vosk, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    [block] = examples("Vosk's clients", {"8765": str(vosk.port)})
    run_example(block)
    assert capsys.readouterr().out.split() == DIGITS
