"""The page of `streamrnn serve` when something is wrong: it says what, and goes on as soon as it can."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

SOURCES = Path(__file__).parents[3] / "audio_samples" / "SOURCES.md"
# So much is lost at the beginning of what a browser's microphone hears, at most.
TOLERANCE_S = 0.4
# What a browser complains of while there is no server.
GONE = ["WebSocket connection to", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]

pytestmark = pytest.mark.system


def leave(desk, visit, *also: str) -> None:
    """Closes the page, which would look for its server when that ends with the test."""
    visit.page.close()
    desk.forgive(*GONE, *also)


def test_a_lost_connection_is_resumed_without_losing_anything(desk, server, expected_speech):
    lines = []

    def pass_on(websocket) -> None:
        lines.append(websocket)
        websocket.connect_to_server()

    visit = desk.visit(server.url, before=lambda page: page.route_web_socket("**/v1/stream", pass_on))
    visit.open_recording("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == 1)
    lines[0].close(code=1001)
    expected = expected_speech("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == len(expected))
    assert visit.speech() == [pytest.approx(span, abs=0.011) for span in expected]
    assert len(lines) == 2
    assert visit.page.inner_text("#resumed") == "1"


def test_a_dead_server_is_named_and_the_page_goes_on_when_it_is_back(desk, own_server, expected_speech):
    server = own_server("vad")
    visit = desk.visit(server.url, *desk.hearing("conversation.flac"))
    visit.page.click("#microphone")
    visit.wait_until(lambda: len(visit.speech()) == 1)
    server.kill()
    visit.wait_for_state("lost")
    expect(visit.page.locator("#connection")).to_contain_text("Connection lost, trying again")
    server.start()
    visit.wait_for_state("live")
    expect(visit.page.locator("#log")).to_contain_text("Another stream begins here")
    last = expected_speech("conversation.flac")[-1]
    visit.wait_until(lambda: visit.speech()[-1] == pytest.approx(last, abs=TOLERANCE_S))
    leave(desk, visit)


def test_a_restarted_server_goes_on_with_the_stream_and_no_figure_is_shown_meanwhile(desk, own_server, expected_speech):
    server = own_server("vad")
    visit = desk.visit(server.url)
    visit.open_recording("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == 1)
    expect(visit.page.locator("#latency")).to_contain_text("ms")
    server.stop()
    visit.wait_for_state("lost")
    expect(visit.page.locator("#latency")).to_have_text("\N{EN DASH}")
    server.start()
    visit.wait_for_state("live")
    expected = expected_speech("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == len(expected))
    assert visit.speech() == [pytest.approx(span, abs=0.011) for span in expected]
    assert "Another stream begins" not in visit.page.inner_text("#log")
    leave(desk, visit)


def test_a_stream_begins_with_the_oldest_sound_there_is_when_the_server_was_away_too_long(desk, server):
    readies, first_s = desk.visit(server.url).page.evaluate(
        """async (url) => {
            const { Connection } = await import("./connection.js");
            const { Outbox } = await import("./outbox.js");
            const outbox = new Outbox(8000);
            const quiet = new Float32Array(320);
            let readies = 0;
            const talk = setInterval(() => outbox.push(quiet), 20);
            const first_s = await new Promise((resolve) => {
                const handlers = { state() {}, ready: () => (readies += 1), levels: resolve };
                const hello = { model: "vad", sample_rate: 16000, levels: true };
                const connection = new Connection(url, hello, outbox, handlers);
                for (let n = 0; n < 100; n++) outbox.push(quiet);
                setTimeout(() => resolve(connection.close()), 10_000);
            });
            clearInterval(talk);
            return [readies, first_s];
        }""",
        server.url.replace("http", "ws") + "v1/stream",
    )
    assert readies == 1
    assert 1.5 <= first_s < 10


def test_an_idle_page_says_that_its_server_is_gone_and_that_it_is_back(desk, own_server):
    server = own_server("vad")
    visit = desk.visit(server.url)
    server.kill()
    visit.wait_for_state("down")
    expect(visit.page.locator("#connection")).to_contain_text("No server, trying again")
    expect(visit.page.locator("#microphone")).to_be_disabled()
    server.start()
    visit.wait_for_state("ready")
    expect(visit.page.locator("#microphone")).to_be_enabled()
    desk.forgive(*GONE)


def test_a_server_with_a_token_asks_for_it(desk, own_server):
    visit = desk.open(own_server("vad", token="open-sesame").url, *desk.hearing("stereo_44k.flac"))
    page = visit.page
    visit.wait_for_state("token")
    expect(page.get_by_label("token")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know this token")
    page.fill("#token", "open-sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#microphone")).to_be_enabled()
    expect(page.locator("#token-form")).to_be_hidden()
    page.click("#microphone")
    visit.wait_for_state("live")
    leave(desk, visit, "status of 401")


def test_a_refusal_is_shown_with_its_reason(desk, own_server):
    server = own_server("vad")
    visit = desk.visit(server.url, *desk.hearing("stereo_44k.flac"))
    visit.page.route_web_socket("**/v1/stream", refuse)
    visit.page.click("#microphone")
    visit.wait_for_state("refused")
    expect(visit.page.get_by_role("alert")).to_contain_text("The stream was refused: no such model")
    expect(visit.page.get_by_role("button", name="Use the microphone")).to_be_enabled()
    for figure in ("#latency", "#worst", "#algorithmic", "#heard"):
        expect(visit.page.locator(figure)).to_have_text("\N{EN DASH}")


def refuse(websocket) -> None:
    message = '{"type": "error", "code": "unknown_model", "message": "no such model", "fatal": true}'
    websocket.on_message(lambda _hello: websocket.send(message))


def test_a_denied_microphone_is_explained(desk, server):
    visit = desk.visit(server.url, "--use-fake-device-for-media-stream", permissions=[])
    visit.page.click("#microphone")
    expect(visit.page.get_by_role("alert")).to_contain_text("The microphone is blocked for this page. Allow it")
    expect(visit.page.get_by_role("button", name="Use the microphone")).to_be_enabled()


def test_a_missing_microphone_is_explained(desk, server):
    visit = desk.visit(server.url, permissions=["microphone"])
    visit.page.click("#microphone")
    expect(visit.page.get_by_role("alert")).to_contain_text("No microphone was found")


def test_a_file_that_is_no_sound_is_explained(desk, server):
    visit = desk.visit(server.url)
    visit.page.set_input_files("#file", SOURCES)
    expect(visit.page.get_by_role("alert")).to_contain_text("SOURCES.md can't be decoded")
