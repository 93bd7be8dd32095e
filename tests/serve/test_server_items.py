"""Streams of anything but sound: items as JSON, an answer to each, and all that streams of sound can do."""

import base64
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from flax import nnx

import streamrnn
from streamrnn.layers import Dense
from streamrnn.lines import ForecastLines, PenLines, QueryLines
from streamrnn.models import Model
from streamrnn.runtime import Stream
from streamrnn.signals import Series

NAMES = ("pen", "intent", "forecast")
SEVEN = ["10,90", "50,95", "90,95", "75,70", "60,45", "50,25", "45,10", "40,0"]
ROW = "2018-06-26 {hour:02}:00:00,10.7,3.5,8.8,1.5,3.5,1.3,10.1"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def models():
    return {name: streamrnn.load(name) for name in NAMES}


@pytest.fixture(scope="module")
def server(running, models):
    with running(models, resume_s=5.0) as server:
        yield server


def asked(client, name, items, **fields) -> list[dict]:
    """The answers to items of a stream of its own."""
    assert client.hello(model=name, encoding="json", **fields)["type"] == "ready"
    client.say("items", items=items)
    return [message for message in client.flush() if message["type"] == "answer"]


def test_each_point_of_a_pen_is_answered_by_what_a_stream_gives(server, models, talk):
    answers = asked(talk(server), "pen", SEVEN)
    outputs = Stream(models["pen"]).process(PenLines(models["pen"]).frames(",".join(SEVEN)))
    assert [answer["frame"] for answer in answers] == list(range(8))
    assert next(iter(answers[-1]["posteriors"])) == "7"
    for answer, output in zip(answers, outputs, strict=True):
        posteriors = np.array([answer["posteriors"][label] for label in models["pen"].labels])
        np.testing.assert_allclose(posteriors, output, atol=2e-4)


def test_frames_as_numbers_are_those_of_the_same_texts(server, models, talk):
    frames = PenLines(models["pen"]).frames(",".join(SEVEN))
    assert asked(talk(server), "pen", frames.tolist()) == asked(talk(server), "pen", SEVEN)


def test_a_query_is_answered_word_by_word_as_the_command_line_does(server, models, talk):
    question = "please transfer a hundred dollars from checking to savings"
    told = QueryLines(models["intent"]).answer(Stream(models["intent"]), question)
    assert told is not None
    answers = asked(talk(server), "intent", question.split())
    assert [answer["label"] for answer in answers] == [after["label"] for after in told["after"]]
    assert answers[-1]["label"] == "transfer"
    strict = asked(talk(server), "intent", [question], settings={"threshold": 1.0})
    assert len(strict) == 9 and {answer["label"] for answer in strict} == {""}


def test_rows_of_a_table_are_answered_by_their_fans(server, models, talk):
    rows = [ROW.format(hour=hour) for hour in range(20)]
    lines, stream = ForecastLines(models["forecast"]), Stream(models["forecast"])
    told = [lines.answer(stream, row) for row in rows][-1]
    assert told is not None
    answer = asked(talk(server), "forecast", rows)[-1]
    for name, fan in answer["columns"].items():
        np.testing.assert_allclose(fan["mean"], told["columns"][name]["mean"], atol=1e-3)
        assert fan["quantiles"].keys() == told["columns"][name]["quantiles"].keys()


def test_a_model_says_what_its_items_are(server, talk):
    ready = talk(server).hello(model="pen", encoding="json")
    assert (ready["takes"], ready["gives"], ready["task"]) == ("items", "answers", "pen")
    assert ready["frame"] == {"features": 2, "dtype": "float32", "ids": None} and ready["sample_rate"] is None


@pytest.mark.parametrize(
    ("name", "items", "said"),
    [
        ("pen", [SEVEN[0], "here,there"], "item 1 of the message cannot be used: 'here' stands where a number belongs"),
        ("pen", ["10"], "the last one is not whole"),
        ("pen", [[1, 2, 3]], "must be a text, or 2 numbers"),
        ("pen", [[1, True]], "must be a text, or 2 numbers"),
        ("pen", [None], "must be a text"),
        ("pen", [[1e300, 0]], "NaN, infinite"),
        # What rasters and tables have in place of a missing number.
        ("forecast", [[-3.4028235e38] * 7], "beyond 1e+18"),
        ("forecast", ["2018-06-26 19:00:00,1,2,3,-3.4028235e38,5,6,7"], "is too large"),
        ("forecast", ["2018-06-26 19:00:00,1,2,3,,5,6,7"], "MULL has no number; give what came above"),
        ("forecast", ["date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"], "is no date"),
        ("intent", ["?!", "  "], "it has no words"),
        ("intent", [[2] * 20, [6000] * 20], "this model knows 0 to"),
        ("intent", [[0.5] * 20], "20 whole numbers"),
        ("intent", [[10**30] * 20], "too large"),
    ],
)
def test_items_that_cannot_be_used_are_refused_together_and_the_stream_goes_on(server, talk, name, items, said):
    client = talk(server)
    client.hello(model=name, encoding="json")
    client.say("items", items=items)
    error = client.read()
    assert (error["type"], error["code"], error["fatal"]) == ("error", "bad_items", False) and said in error["message"]
    assert error["received_samples"] == 0 and error["why"] in error["message"]
    client.say("items", items=[])
    after = client.flush()
    assert after[-1]["duration_s"] == 0 and "answer" not in [message["type"] for message in after]


def test_a_refused_item_is_named_by_its_place_and_what_was_taken_before(server, talk):
    client = talk(server)
    client.hello(model="pen", encoding="json")
    client.say("items", items=SEVEN[:3])
    client.say("items", items=[SEVEN[3], SEVEN[4], [1e300, 0], SEVEN[5]])
    client.say("items", items=SEVEN[3:])
    client.say("items", items=["here,there"])
    errors = [message for message in client.flush() if message["type"] == "error"]
    assert [(error["received_samples"], error["item"]) for error in errors] == [(3, 2), (8, 0)]


def test_numbers_that_json_lacks_are_named(server, talk):
    client = talk(server)
    client.hello(model="pen", encoding="json")
    client.socket.send('{"type": "items", "items": [[NaN, 1]]}')
    error = client.read()
    assert error["code"] == "bad_message" and "has NaN, which is no JSON" in error["message"]


def test_sound_and_items_are_not_mixed_up(running, loudness, models, talk):
    with running({"loudness": loudness, "pen": models["pen"]}) as server:
        assert "takes items" in talk(server).hello(model="pen")["message"]
        assert "takes sound" in talk(server).hello(model="loudness", encoding="json")["message"]
        of_sound, of_items = talk(server), talk(server)
        of_sound.hello(model="loudness")
        of_sound.say("items", items=["1,2"])
        assert of_sound.read()["code"] == "bad_message"
        of_items.hello(model="pen", encoding="json")
        of_items.socket.send(b"\0\0\0\0")
        assert of_items.read()["code"] == "bad_message"
        of_items.say("items", items=SEVEN)
        assert of_items.flush()[-1]["duration_s"] == 8
        of_items.say("items", items=SEVEN)
        assert of_items.read()["code"] == "finished"


def test_a_stream_of_items_goes_on_after_a_lost_connection(server, talk):
    whole = asked(talk(server), "pen", SEVEN)
    client = talk(server)
    ready = client.hello(model="pen", encoding="json")
    client.say("items", items=SEVEN[:3])
    first = [client.read() for _ in range(3)]
    client.drop()
    client = talk(server)
    # The last one was lost on its way.
    client.seq = 2
    resume = {"session": ready["session"], "secret": ready["secret"], "seq": 2}
    ready = client.hello(model="pen", encoding="json", resume=resume)
    assert (ready["received_samples"], ready["seq"]) == (3, 3)
    again = client.read()
    client.say("items", items=SEVEN[3:])
    answers = [message for message in client.flush() if message["type"] == "answer"]
    assert [*first[:2], again, *answers] == whole


def test_another_server_goes_on_with_a_stream_of_items(running, models, talk, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY)
    with running(models, resume_key_file=key) as server:
        whole = asked(talk(server), "pen", SEVEN)
        client = talk(server)
        ready = client.hello(model="pen", encoding="json")
        client.say("items", items=SEVEN[:4])
        first = [client.read() for _ in range(4)]
        server.ask_to_end()
        going = client.until("going")[-1]
    state = base64.b64decode(going["state"])
    assert going["received_samples"] == 4
    with running(models, resume_key_file=key) as server:
        client = talk(server)
        client.seq = going["said"]
        resume = {"session": ready["session"], "secret": ready["secret"], "seq": 4, "state_bytes": len(state)}
        client.say("hello", version=1, model="pen", encoding="json", resume=resume)
        for at in range(0, len(state), 8192):
            client.socket.send(state[at : at + 8192])
        assert client.read()["received_samples"] == 4
        client.say("items", items=SEVEN[4:])
        answers = [message for message in client.flush() if message["type"] == "answer"]
    assert first + answers == whole


def test_more_items_than_may_wait_are_taken_as_fast_as_they_are_worked_off(server, models, talk):
    words = ["weather"] * 1400
    answers = asked(talk(server), "intent", words)
    outputs = Stream(models["intent"]).process(QueryLines(models["intent"]).frames(" ".join(words)))
    assert len(answers) == 1400
    assert answers[-1]["confidence"] == pytest.approx(float(outputs[-1].max()), abs=2e-4)


def test_items_may_come_seldom(running, models, talk):
    with running({"pen": models["pen"]}, idle_s=0.3) as server:
        client = talk(server)
        client.hello(encoding="json")
        with pytest.raises(TimeoutError):
            client.read(1.5)
        client.say("items", items=SEVEN[:1])
        assert client.read()["type"] == "answer"


def test_a_model_without_a_task_takes_frames_alone(running, talk):
    model = Model.of(Dense(3, 2, rngs=nnx.Rngs(0)), signal=Series(3, 1.0))
    with running({"mine": model}) as server:
        (answer,) = asked(talk(server), "mine", [[1, 2, 3.5]])
        expected = Stream(model).process(np.array([[1, 2, 3.5]], np.float32))[0]
        np.testing.assert_allclose(answer["outputs"], expected, rtol=1e-4)
        client = talk(server)
        client.hello(encoding="json")
        client.say("items", items=["1,2,3"])
        assert "not known here" in client.read()["message"]


def test_recordings_are_for_models_that_hear(server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/v1/recordings?model=pen", b"RIFF", timeout=20)
    assert caught.value.code == 400 and "takes items" in json.loads(caught.value.read())["error"]["message"]
