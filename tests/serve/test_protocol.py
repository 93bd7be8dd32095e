"""Messages: what is understood, what is refused and how, without a connection."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.serve.protocol import (
    CLOSE_CODES,
    MOST_TEXT,
    Hello,
    ProtocolError,
    Resume,
    as_text,
    parse_command,
    read_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = ("version", "model", "sample_rate", "encoding", "channels", "settings", "levels", "token", "resume")


def hello(**fields) -> str:
    return json.dumps({"type": "hello", "version": 1, **fields})


def refusal(text: str) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        Hello.parse(text)
    return caught.value


def test_a_hello_with_nothing_but_a_version_takes_the_defaults():
    assert Hello.parse(hello()) == Hello()


def test_a_hello_says_all_that_was_asked_for():
    asked = Hello("vad", 48_000, "f32le", 2, {"threshold": 0.7}, True, "secret", Resume("a", "b", 3))
    assert Hello.parse(asked.as_text()) == asked


@pytest.mark.parametrize(("field", "needed"), [("sample_rate", "8000 to"), ("channels", "1 to")])
def test_a_zero_is_sent_and_refused(field, needed):
    with pytest.raises(ProtocolError, match=f"{field} is 0; it must be {needed}"):
        Hello.parse(Hello(**{field: 0}).as_text())


def test_null_is_as_good_as_leaving_a_field_out():
    assert Hello.parse(hello(model=None, resume=None)) == Hello()


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[]", "1", '"hello"', "{}", '{"type": 1}', '{"type": "flush"}', "[" * 10_000, '{"type": NaN}']
    + [hello(**{name: [1]}) for name in FIELDS]
    + [hello(sample_rate=True), hello(channels=1.0), hello(resume={"session": "a"}), hello(model="x" * MOST_TEXT)],
)
def test_what_is_no_hello_ends_the_connection_with_1002(text):
    error = refusal(text)
    assert (error.code, error.close_code) == ("bad_message", 1002)


@pytest.mark.parametrize(
    "fields",
    [
        {"sample_rate": 7999},
        {"sample_rate": 96_001},
        {"encoding": "mp3"},
        {"channels": 0},
        {"channels": 9},
        {"encoding": "json", "sample_rate": 16_000},
        {"encoding": "json", "channels": 2},
    ],
)
def test_a_hello_that_asks_for_what_does_not_exist_ends_the_connection_with_1008(fields):
    error = refusal(hello(**fields))
    assert (error.code, error.close_code) == ("bad_hello", 1008)


def test_another_version_is_told_which_there_are_whatever_else_it_says():
    error = refusal('{"type": "hello", "version": 2, "encoding": {"name": "opus"}}')
    assert (error.code, error.close_code) == ("unsupported_version", 1008)
    assert "1" in error.message


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_hello_raises_anything_but_a_protocol_error(fields):
    text = json.dumps({"type": "hello", **fields})
    try:
        Hello.parse(text)
    except ProtocolError as error:
        assert error.fatal


@given(st.text())
def test_no_text_after_hello_raises_anything_but_a_message_that_lets_the_stream_go_on(text):
    with pytest.raises(ProtocolError) as caught:
        parse_command(text)
    assert caught.value.code == "bad_message" and not caught.value.fatal


@pytest.mark.parametrize("command", ["flush", "reset", "close"])
def test_commands_are_understood_whatever_else_is_with_them(command):
    assert parse_command(json.dumps({"type": command, "items": [1]})) == (command, [])


def test_items_come_as_a_list():
    assert parse_command('{"type": "items", "items": ["a", [1, 2.5]]}') == ("items", ["a", [1, 2.5]])
    for wrong in ('{"type": "items"}', '{"type": "items", "items": "a"}', '{"type": "items", "items": [NaN]}'):
        with pytest.raises(ProtocolError) as caught:
            parse_command(wrong)
        assert caught.value.code == "bad_message" and not caught.value.fatal


@pytest.mark.parametrize("depth", [33, 984, 100_000])
def test_brackets_in_brackets_without_end_are_refused_before_anything_is_done_with_them(depth):
    with pytest.raises(ProtocolError, match="more than 32 deep" if depth < MOST_TEXT / 2 else "characters"):
        parse_command(f'{{"type": {"[" * (depth - 1)}{"]" * (depth - 1)}}}')
    with pytest.raises(ValueError):
        read_json("[" * depth + "]" * depth)
    assert read_json("[" * 32 + "]" * 32)


def test_an_error_says_whether_the_connection_ends_with_it():
    assert json.loads(ProtocolError("busy", "full").as_text()) == {
        "type": "error",
        "code": "busy",
        "message": "full",
        "fatal": True,
    }
    assert not json.loads(ProtocolError("finished", "over").as_text())["fatal"]


def test_every_code_of_a_close_is_one_that_a_websocket_may_send():
    assert set(CLOSE_CODES.values()) <= {1001, 1002, 1007, 1008, 1009, 1011, 1012, 1013}


def test_messages_hold_no_token_when_they_are_printed():
    assert "hush" not in repr(Hello(token="hush"))


def test_numbers_that_json_cannot_hold_are_never_sent():
    with pytest.raises(ValueError):
        as_text("event", score=float("nan"))


def test_the_words_of_any_alphabet_come_through():
    assert json.loads(as_text("event", label="نعم \ud800"))["label"] == "نعم \ud800"
