"""Tokens and origins, without a server."""

import pytest

from streamrnn.serve.access import Access, is_loopback, read_token


def test_a_token_is_read_from_its_file_before_the_environment(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("  from-file\n")
    monkeypatch.setenv("STREAMRNN_TOKEN", "from-environment")
    assert read_token(tmp_path / "token") == "from-file"
    assert read_token(None) == "from-environment"
    monkeypatch.delenv("STREAMRNN_TOKEN")
    assert read_token(None) is None


@pytest.mark.parametrize("token", ["", "two words", "gehört", "a\tb"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_told(token, monkeypatch):
    monkeypatch.setenv("STREAMRNN_TOKEN", token)
    with pytest.raises(ValueError, match="STREAMRNN_TOKEN") as refused:
        read_token(None)
    assert not token or token not in str(refused.value)


def test_without_a_token_everybody_is_admitted():
    assert Access(None, ()).admits(None) and Access(None, ()).admits("Bearer whatever", "else")


def test_a_token_of_the_hello_counts_before_that_of_the_header():
    access = Access("right", ())
    assert access.admits("Bearer wrong", "right") and access.admits("bearer right")
    assert not access.admits("Bearer right", "wrong")


@pytest.mark.parametrize(
    ("origin", "host", "trusted"),
    [
        (None, None, True),
        ("http://localhost:8765", "localhost:8765", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("https://192.168.1.7", "192.168.1.7", True),
        ("http://LOCALHOST:8765", "localhost:8765", True),
        ("http://localhost:8766", "localhost:8765", False),
        ("http://localhost", None, False),
        ("http://rebound.example", "rebound.example", False),
        ("https://listed.example", "localhost:8765", True),
        ("https://LISTED.example:443", "localhost:8765", True),
        ("https://listed.example/", "localhost:8765", True),
        ("http://listed.example", "localhost:8765", False),
        ("https://listed.example:8443", "localhost:8765", False),
        ("http://127.0.0.1:80", "127.0.0.1", True),
        ("https://listed.example.evil.example", "localhost:8765", False),
        ("file://", "localhost:8765", False),
        ("", "", False),
    ],
)
def test_origins_are_trusted_as_hosts_or_because_they_are_listed(origin, host, trusted):
    assert Access(None, ["https://Listed.example/"]).trusts(origin, host) == trusted


def test_with_a_token_a_name_is_as_good_as_an_address():
    assert Access("token", ()).trusts("https://speech.example", "speech.example")


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]
)
def test_only_this_machine_reaches_a_loopback_address(host, expected):
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    "origin", ["*", "app.example.org", "https://", "https://a/path", "https://user@a", "https://a:x"]
)
def test_what_is_no_origin_is_refused_by_name(origin):
    with pytest.raises(ValueError):
        Access(None, [origin])


@pytest.mark.parametrize(
    ("host", "known"),
    [
        (None, True),
        ("localhost:8765", True),
        ("127.0.0.1:8765", True),
        ("[::1]:8765", True),
        ("speech-box:8765", True),
        ("Listed.example", True),
        ("rebound.example:8765", False),
        ("127.0.0.1.rebound.example", False),
        ("[::1", False),
    ],
)
def test_without_a_token_a_server_answers_only_to_names_that_nobody_else_can_point_at_it(host, known):
    assert Access(None, ["https://listed.example"]).knows(host) == known
    assert Access("token", ()).knows(host)
