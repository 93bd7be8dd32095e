"""A server, and browsers that visit its page."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import soundfile
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

SAMPLES = Path(__file__).parents[3] / "audio_samples"
MODELS = ["vad", "keywords-en", "denoise", "digits-ctc"]
START_TIMEOUT_S = 120
# For what depends on the length of a recording, on a busy machine.
LONG_MS = 60_000
TO = " \N{EN DASH} "

Spans = list[tuple[float, float]]


class Server:
    """`streamrnn serve` as a process of its own, which can be killed and started again at the same port."""

    def __init__(self, *models: str, token: str | None = None):
        self._command = [sys.executable, "-m", "streamrnn", "serve", *models]
        self._environment = os.environ | ({"STREAMRNN_TOKEN": token} if token else {})
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.port):
            assert self._process.poll() is None, "the server ended; its last words are above"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait(timeout=5)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Several models; shared, so it must stay alive."""
    server = Server(*MODELS)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


class Visit:
    """A page in a browser, and what somebody who looks at it sees."""

    def __init__(self, page: Page):
        self.page = page

    def open_recording(self, recording: str, model: str = "vad") -> None:
        self.page.select_option("#model", model)
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#open")
        chooser.value.set_files(SAMPLES / recording)
        expect(self.page.locator("#playback")).to_be_visible(timeout=LONG_MS)

    def speech(self) -> Spans:
        """The stretches of speech in the captions that have an end."""
        times = self.page.locator("#log li[data-kind=speech] .time").all_inner_texts()
        return [(seconds(start), seconds(end)) for start, _, end in (time.partition(TO) for time in times) if end]

    def words(self) -> list[str]:
        return self.page.locator("#log li[data-kind=word] .what").all_inner_texts()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG_MS / 1000
        while not condition():
            assert time.monotonic() < deadline, f"it never came; {self.captions()}"
            self.page.wait_for_timeout(50)

    def wait_for_state(self, state: str) -> None:
        expect(self.page.locator("#connection")).to_have_attribute("data-state", state, timeout=LONG_MS)

    def captions(self) -> str:
        return f"{self.page.inner_text('#connection')}: {self.page.inner_text('#log')}"


def seconds(clock: str) -> float:
    minutes, rest = clock.split(":")
    return 60 * int(minutes) + float(rest)


class Desk:
    """Opens browsers and pages, and remembers what their pages complained about and asked of other hosts."""

    def __init__(self, playwright: Playwright, folder: Path):
        self._playwright, self._folder, self._browsers = playwright, folder, list[Browser]()
        self.complaints: list[str] = []
        self.foreign: list[str] = []

    def visit(self, url: str, *flags: str, **options: Any) -> Visit:
        """A page that is ready to be used. Flags are the browser's, options those of open()."""
        visit = self.open(url, *flags, **options)
        expect(visit.page.locator("#microphone")).to_be_enabled(timeout=LONG_MS)
        return visit

    def open(
        self, url: str, *flags: str, before: Callable[[Page], object] = lambda _page: None, **context: Any
    ) -> Visit:
        """A page of a browser of its own. `before` is called before it is loaded."""
        page = self._browser(*flags).new_context(**context).new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda websocket: self._request(websocket.url))
        before(page)
        page.goto(url)
        return Visit(page)

    def hearing(self, recording: str) -> list[str]:
        """Flags with which the browser's microphone hears a recording, once."""
        samples, sample_rate = soundfile.read(SAMPLES / recording)
        wav = self._folder / f"{Path(recording).stem}.wav"
        soundfile.write(wav, samples, sample_rate, subtype="PCM_16")
        fakes = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        return [*fakes, f"--use-file-for-fake-audio-capture={wav}%noloop"]

    def forgive(self, *words: str) -> None:
        """Browsers complain of what a server refuses, and of one that is gone: where that is what was tested."""
        self.complaints = [text for text in self.complaints if not any(word in text for word in words)]

    def close(self) -> None:
        while self._browsers:
            self._browsers.pop().close()

    def _browser(self, *flags: str) -> Browser:
        chromium = shutil.which("chromium")
        assert chromium is not None, "Chromium is missing. `make test-system` installs it."
        browser = self._playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *flags])
        self._browsers.append(browser)
        return browser

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, url: str) -> None:
        if urlsplit(url).hostname != "127.0.0.1":
            self.foreign.append(url)


@pytest.fixture
def desk(playwright: Playwright, tmp_path: Path) -> Iterator[Desk]:
    """Closes all pages; no page asks another host for anything, nor has errors in its console."""
    desk = Desk(playwright, tmp_path)
    yield desk
    desk.close()
    assert desk.foreign == []
    assert desk.complaints == []


@pytest.fixture
def own_server(desk: Desk) -> Iterator[Callable[..., Server]]:
    """Starts a server of the test's own. Its pages are closed first: one that still loads would complain of its end."""
    servers: list[Server] = []

    def start(*models: str, **settings: Any) -> Server:
        servers.append(Server(*models, **settings))
        return servers[-1]

    yield start
    desk.close()
    for server in servers:
        server.stop()


@pytest.fixture
def expected_speech() -> Callable[[str], Spans]:
    """Where speech is in a recording of audio_samples/, by the events expected there."""

    def read(recording: str) -> Spans:
        events = json.loads((SAMPLES / "expected" / f"{Path(recording).stem}.json").read_text())
        return [(event["start_s"], event["end_s"]) for event in events if event["kind"] == "speech_end"]

    return read
