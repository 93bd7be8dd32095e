"""How clients find a server, and how long they look for one that was lost."""

import re

import pytest

from streamrnn.serve import ConnectionLost, connect
from streamrnn.serve.client_link import LONGEST_PAUSE_S, LONGEST_TRY_S, Patience, address, keyed
from streamrnn.serve.client_stream import ClientStream
from streamrnn.serve.protocol import Hello


@pytest.fixture
def clock(monkeypatch):
    """A list whose only number is the time."""
    now_s = [1000.0]
    monkeypatch.setattr("streamrnn.serve.client_link.time.monotonic", lambda: now_s[0])
    return now_s


def test_the_first_try_comes_at_once_and_later_ones_after_growing_pauses_until_the_time_is_over(clock):
    patience, pauses_s = Patience(ClientStream(Hello()), reconnect_s=20), []
    with pytest.raises(ConnectionLost, match="cable cut"):
        while True:
            pauses_s.append(patience.pause_s("cable cut"))
            clock[0] += pauses_s[-1] + 0.01
    assert pauses_s[0] == 0 and 0 < pauses_s[1] <= 0.1
    assert max(pauses_s) <= LONGEST_PAUSE_S and max(pauses_s) > 0.5
    assert 1020 <= clock[0] < 1021


def test_a_stream_that_got_on_between_two_losses_has_all_the_time_again(clock):
    stream = ClientStream(Hello())
    patience = Patience(stream, reconnect_s=1)
    for _ in range(5):
        assert patience.pause_s("") == 0
        clock[0] += 2
        stream.advances += 1


def test_a_loss_long_after_the_last_one_is_another_one(clock):
    patience = Patience(ClientStream(Hello()), reconnect_s=1)
    patience.pause_s("")
    clock[0] += LONGEST_TRY_S + 1
    assert patience.pause_s("") == 0


def test_a_server_that_always_comes_back_and_never_answers_is_lost(clock):
    patience = Patience(ClientStream(Hello()), reconnect_s=30)
    patience.pause_s("")
    clock[0] += LONGEST_TRY_S - 1
    with pytest.raises(ConnectionLost):
        patience.pause_s("")


def test_without_patience_the_first_loss_is_the_last():
    with pytest.raises(ConnectionLost):
        Patience(ClientStream(Hello()), reconnect_s=0).pause_s("")


@pytest.mark.parametrize(
    ("url", "streams"),
    [
        ("ws://a:1", "ws://a:1/v1/stream"),
        ("https://a/", "wss://a/v1/stream"),
        ("http://[::1]:1/voice", "ws://[::1]:1/voice/v1/stream"),
        ("wss://a/v1/stream", "wss://a/v1/stream"),
    ],
)
def test_the_address_of_streams_follows_from_that_of_the_server(url, streams):
    assert address(url) == streams


@pytest.mark.parametrize("token", ["two\nlines", "é"])
def test_what_cannot_be_a_token_is_refused(token):
    with pytest.raises(ValueError, match="a header cannot hold"):
        connect("ws://127.0.0.1:1", token=token)


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "ftp://a", "ws://", ""])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match=r"ws://127\.0\.0\.1:8765"):
        connect(url)


def test_the_address_gets_a_random_key_by_which_balancers_know_the_client_again():
    first, second = (keyed(address("http://host")) for _ in range(2))
    assert first != second and re.fullmatch(r"ws://host/v1/stream\?s=[0-9a-f]{32}", first)
    assert re.fullmatch(r"ws://host/v1/stream\?room=7&s=[0-9a-f]{32}", keyed(address("ws://host?room=7")))
    own = address("ws://host?s=mine")
    assert keyed(own) == own
