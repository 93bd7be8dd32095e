"""Over HTTP: who is let in, what they are told, and what no answer says."""

import json
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

TOKEN = "open-sesame-0123456789"
ENDPOINTS = [("GET", "/v1/models"), ("POST", "/v1/recordings"), ("GET", "/metrics")]


@pytest.fixture(scope="module")
def guarded(running, tmp_path_factory):
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(TOKEN + "\n")
    with running(token_file=path) as server:
        yield server


@pytest.fixture
def get():
    """get(server, path, method, **options) -> the answer."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield lambda server, path, method="GET", **options: client.request(method, server.url + path, **options)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_a_wrong_token_opens_nothing(guarded, get, method, path, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = get(guarded, path, method, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer" and TOKEN not in answer.text


def test_the_right_token_opens_all(guarded, get, talk):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert get(guarded, "/v1/models", headers=headers).status_code == 200
    assert get(guarded, "/metrics", headers=headers).status_code == 200
    assert talk(guarded, additional_headers=headers).hello()["type"] == "ready"
    assert talk(guarded).hello(token=TOKEN)["type"] == "ready"


def test_the_page_and_the_state_of_health_need_no_token(guarded, get):
    assert get(guarded, "/healthz").status_code == 200
    assert get(guarded, "/").status_code == 200


@pytest.mark.parametrize("fields", [{}, {"token": "wrong"}, {"token": ""}, {"token": "\ud800"}, {"model": "gpt"}])
def test_a_stream_without_the_token_is_refused_before_anything_else_is_said(guarded, talk, fields):
    client = talk(guarded)
    client.say("hello", version=1, **fields)
    messages, code, reason = client.ending()
    assert (messages[0]["code"], code, reason) == ("unauthorized", 1008, "unauthorized")
    assert TOKEN not in messages[0]["message"]


def test_a_wrong_header_is_refused_also_for_a_stream(guarded, talk):
    client = talk(guarded, additional_headers={"Authorization": "Bearer wrong"})
    assert client.hello()["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        ("http://127.0.0.1:{port}", True),
        ("https://friends.example", True),
        ("https://evil.example", False),
        ("http://127.0.0.1:1", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_only_pages_of_its_own_and_listed_ones_may_use_the_server(running, get, talk, origin, trusted):
    with running(origins=("https://friends.example/",)) as server:
        headers = {"Origin": origin.format(port=server.port)}
        assert get(server, "/v1/models", headers=headers).status_code == (200 if trusted else 403)
        if trusted:
            assert talk(server, additional_headers=headers).hello()["type"] == "ready"
        else:
            with pytest.raises(InvalidStatus) as refused:
                talk(server, additional_headers=headers)
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body)["error"]["code"] == "forbidden"


def test_a_name_that_was_made_to_point_at_this_machine_is_not_its_own(server, guarded, get):
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert get(server, "/v1/models", headers=headers).status_code == 403
    # Who has the token is let in under any name.
    headers |= {"Authorization": f"Bearer {TOKEN}"}
    assert get(guarded, "/v1/models", headers=headers).status_code == 200


def test_listed_pages_are_told_that_they_may_read_the_answer(running, get):
    with running(origins=("https://friends.example",)) as server:
        friend = get(server, "/v1/models", headers={"Origin": "https://friends.example"})
        stranger = get(server, "/v1/models", headers={"Origin": "https://evil.example"})
    assert friend.headers["access-control-allow-origin"] == "https://friends.example"
    assert "access-control-allow-origin" not in stranger.headers


def test_listed_pages_may_have_their_recordings_deleted(running):
    asked = {
        "Origin": "https://friends.example",
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "x-session-secret",
    }
    with running(origins=("https://friends.example",)) as server, httpx.Client(trust_env=False) as http:
        assert http.options(f"{server.url}/v1/recordings/0", headers=asked).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../settings.py",
        "/%2e%2e/settings.py",
        "/..%2fsettings.py",
        "/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..\\settings.py",
        "/%00",
        "/" + "a" * 5000,
        "/nothing",
    ],
)
def test_no_path_leads_out_of_the_page(server, raw, path):
    peer = raw(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while part := peer.recv(65_536):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"404"
    assert json.loads(body)["error"]["code"] == "not_found"
    assert str(Path(__file__).parents[2]).encode() not in answer and b"Traceback" not in answer


def test_browsers_are_told_to_run_nothing_but_the_page(server, get):
    for path in ("/", "/v1/models", "/nothing"):
        headers = get(server, path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(("path", "method"), [("/v1/models", "DELETE"), ("/v1/recordings", "GET"), ("/", "DELETE")])
def test_other_methods_are_refused(server, get, path, method):
    answer = get(server, path, method)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "bad_request")


def test_the_state_of_health_is_told(running, get, talk):
    with running(max_streams=1) as server:
        answer = get(server, "/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok", "streams": 0, "max_streams": 1})
        client = talk(server)
        client.hello()
        answer = get(server, "/healthz")
        assert (answer.status_code, answer.json()["status"]) == (503, "full")


def test_metrics_count_what_happens(running, get, talk, bursts):
    with running() as server:
        client = talk(server)
        client.hello(sample_rate=8000)
        client.send(bursts(2.0, 8000))
        client.flush()
        text = get(server, "/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["streamrnn_connections"]) == 1
    assert float(figures['streamrnn_streams{model="loudness"}']) == 1
    assert float(figures['streamrnn_capacity{model="loudness"}']) == 32
    assert float(figures['streamrnn_received_seconds_total{model="loudness"}']) == pytest.approx(2)
    assert float(figures['streamrnn_events_total{kind="speech_start",model="loudness"}']) == 2
    assert float(figures['streamrnn_tick_seconds_count{model="loudness"}']) > 0
    assert 0 < float(figures['streamrnn_real_time_factor{model="loudness"}']) < 100
    assert float(figures["streamrnn_buffered_bytes"]) > 0


def test_a_failure_of_the_server_says_nothing_of_its_inside(running, get, monkeypatch, caplog):
    with running() as server:

        def fail():
            raise RuntimeError("at /etc/secret")

        monkeypatch.setattr(server.server.metrics, "as_text", fail)
        answer = get(server, "/metrics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "secret" not in answer.text and "secret" in caplog.text


def test_a_listed_page_may_send_recordings_however_its_origin_was_written(running):
    with running(origins=("HTTPS://Friends.example:443/",)) as server:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        for origin, status in (("https://friends.example", 200), ("https://evil.example", 400)):
            headers = {"Origin": origin, **asks}
            assert httpx.options(f"{server.url}/v1/recordings", headers=headers, trust_env=False).status_code == status


def test_a_server_without_a_token_does_not_answer_to_names_that_it_was_not_told(running, get, monkeypatch):
    monkeypatch.delenv("STREAMRNN_TOKEN", raising=False)
    with running(origins=("http://known.example",)) as server:
        for path in ("/v1/models", "/metrics"):
            assert get(server, path, headers={"Host": "rebound.example"}).status_code == 403
            assert get(server, path, headers={"Host": "known.example"}).status_code == 200
        assert get(server, "/healthz", headers={"Host": "rebound.example"}).status_code == 200
