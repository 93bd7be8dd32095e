"""The page of `streamrnn serve` in a real browser: what it hears, shows and plays, and how it is used."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

SAMPLES = Path(__file__).parents[3] / "audio_samples"
# The beginning of what a browser's microphone hears is lost: 23 to 41 ms, more on a busy machine. Then no more.
LOST_S = 0.4
MICROPHONE_TOLERANCE_S = 0.035
# A browser decodes 16 bits not quite as others do: a frame more or less.
FILE_TOLERANCE_S = 0.011

Spans = list[tuple[float, float]]

pytestmark = pytest.mark.system


def near(spans: Spans, tolerance_s: float):
    return [pytest.approx(span, abs=tolerance_s) for span in spans]


def milliseconds(page: Page, number: str) -> int:
    text = page.inner_text(number)
    assert re.fullmatch(r"\d+ ms", text), text
    return int(text.split()[0])


def test_the_microphone_gives_the_events_expected_for_the_recording(desk, server, expected_speech):
    visit = desk.visit(server.url, *desk.hearing("conversation.flac"))
    page = visit.page
    page.click("#microphone")
    expected = expected_speech("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == len(expected))
    lost_s = expected[0][0] - visit.speech()[0][0]
    assert -MICROPHONE_TOLERANCE_S < lost_s < LOST_S
    heard = [(start_s - lost_s, end_s - lost_s) for start_s, end_s in expected]
    assert visit.speech() == near(heard, MICROPHONE_TOLERANCE_S)
    visit.wait_for_state("live")
    assert milliseconds(page, "#worst") >= milliseconds(page, "#latency") >= milliseconds(page, "#algorithmic") > 0
    page.get_by_role("button", name="Stop").click()
    visit.wait_for_state("ready")
    expect(page.get_by_role("button", name="Use the microphone")).to_be_visible()
    visit.open_recording("stereo_44k.flac")
    visit.wait_for_state("live")


@pytest.mark.parametrize("recording", ["telephone_8k.wav", "stereo_44k.flac", "french_cafe.ogg"])
def test_a_recording_that_is_sent_at_once_gives_the_same_events(desk, server, expected_speech, recording: str):
    visit = desk.visit(server.url)
    visit.page.evaluate("document.querySelector('input[value=once]').checked = true")
    visit.open_recording(recording)
    visit.wait_for_state("ready")
    assert visit.speech() == near(expected_speech(recording), FILE_TOLERANCE_S)
    expect(visit.page.locator("#speed")).to_have_text(re.compile(r"\d+ \u00d7"))


def test_a_recording_that_is_dropped_is_played_and_heard(desk, server, expected_speech):
    visit = desk.visit(server.url)
    # Browsers play sound only after a click or a key.
    visit.page.click("h1")
    drop(visit.page, SAMPLES / "stereo_44k.flac")
    expected = expected_speech("stereo_44k.flac")
    visit.wait_until(lambda: len(visit.speech()) == len(expected))
    assert visit.speech() == near(expected, FILE_TOLERANCE_S)
    visit.wait_until(lambda: visit.page.inner_text("#clock") == "0:07 / 0:07")
    expect(visit.page.locator("#play")).to_have_text("Play")


def drop(page: Page, path: Path) -> None:
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name));
            const options = { dataTransfer, bubbles: true, cancelable: true };
            for (const type of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, options));
            }
        }""",
        [content, path.name],
    )


def test_keywords_and_digits_become_captions(desk, server):
    visit = desk.visit(server.url)
    visit.open_recording("commands.flac", "keywords-en")
    visit.wait_until(lambda: "left" in visit.words())
    visit.page.check("input[value=once]")
    visit.open_recording("digits.flac", "digits-ctc")
    visit.wait_for_state("ready")
    assert "three" in visit.captions() and "nine" in visit.captions()
    assert visit.words() == []


# Every sound that goes to the loudspeaker passes a meter, too.
METER = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
    if (target === this.context.destination) {
        window.meter = new AnalyserNode(this.context, { fftSize: 2048 });
        connect.call(this, window.meter);
    }
    return connect.call(this, target, ...rest);
};
window.loudness = () => {
    const samples = new Float32Array(2048);
    window.meter.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
};
"""


def add_meter(page: Page) -> None:
    page.add_init_script(METER)


def loudness_between(page: Page, version: str, from_s: float, to_s: float) -> float:
    """What is heard of the recording there, in the mean: RMS of the loudspeaker's signal."""
    page.check(f"input[value={version}]")
    page.locator("#position").fill(str(from_s))
    page.get_by_role("button", name="Play", exact=True).click()
    heard = []
    while (position_s := float(page.input_value("#position"))) < to_s:
        if position_s > from_s + 0.2:
            heard.append(page.evaluate("loudness()"))
        page.wait_for_timeout(30)
    page.get_by_role("button", name="Pause").click()
    return float(np.mean(heard))


def test_the_cleaned_sound_is_played_and_quieter_in_the_pauses(desk, server):
    visit = desk.visit(server.url, before=add_meter)
    visit.open_recording("noise_only.ogg", "denoise")
    visit.page.check("input[value=once]")
    visit.wait_for_state("ready")
    visit.page.get_by_role("button", name="Pause").click()
    noisy = loudness_between(visit.page, "original", 3, 5)
    clean = loudness_between(visit.page, "clean", 3, 5)
    assert noisy > 0.01
    assert clean < 0.5 * noisy


def test_the_cleaned_sound_of_the_microphone_is_heard_once_it_is_switched_on(desk, server):
    visit = desk.visit(server.url, *desk.hearing("french_cafe.ogg"), before=add_meter)
    page = visit.page
    page.select_option("#model", "denoise")
    page.click("#microphone")
    expect(page.locator("#now")).to_contain_text("dB")
    assert page.evaluate("loudness()") == 0
    page.get_by_role("switch").check()
    visit.wait_until(lambda: page.evaluate("loudness()") > 0.003)


def test_the_keyboard_is_enough(desk, server):
    visit = desk.visit(server.url, *desk.hearing("stereo_44k.flac"))
    page = visit.page
    for control in ("microphone", "open", "sample", "model"):
        page.keyboard.press("Tab")
        expect(page.locator(f"#{control}")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    visit.wait_for_state("live")
    visit.wait_until(lambda: len(visit.speech()) == 1)
    page.keyboard.press("Enter")
    visit.wait_for_state("ready")


@pytest.mark.parametrize("model", ["vad", "keywords-en", "denoise"])
def test_a_phone_of_360_pixels_never_scrolls_sideways(desk, server, model: str):
    visit = desk.visit(server.url, viewport={"width": 360, "height": 740}, has_touch=True)
    visit.open_recording("commands.flac", model)
    visit.wait_until(lambda: visit.page.inner_text("#clock").startswith("0:03"))
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360


def colours(page: Page) -> set[str]:
    """Which colours a coarse look at the picture finds."""
    found = page.evaluate(
        """() => {
            const { width, height } = document.getElementById("scope");
            const context = new OffscreenCanvas(width, height).getContext("2d");
            context.drawImage(document.getElementById("scope"), 0, 0);
            const pixels = context.getImageData(0, 0, width, height).data;
            const found = new Set();
            for (let at = 0; at < pixels.length; at += 4 * 97) found.add(pixels.slice(at, at + 4).join());
            return [...found];
        }"""
    )
    return set(found)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_picture_shows_the_sound_and_follows_the_colour_scheme(desk, server, motion: str):
    visit = desk.visit(server.url, color_scheme="light", reduced_motion=motion)
    assert len(colours(visit.page)) < 60
    visit.open_recording("conversation.flac")
    visit.wait_until(lambda: len(visit.speech()) == 1)
    light = colours(visit.page)
    assert len(light) > 100
    visit.page.get_by_role("button", name="Pause").click()
    visit.page.emulate_media(color_scheme="dark")
    visit.wait_until(lambda: len(colours(visit.page) - light) > 100)


def test_a_tone_lies_in_its_row_of_the_spectrogram(desk, server):
    found = desk.visit(server.url).page.evaluate(
        """async (sampleRate) => {
            const { SoundHistory } = await import("./history.js");
            const { ROWS } = await import("./spectrum.js");
            const history = new SoundHistory(sampleRate);
            const tone = (_, n) => 0.1 * Math.sin((2 * Math.PI * 1000 * n) / sampleRate);
            history.push(Float32Array.from({ length: sampleRate }, tone));
            const column = history.rows.slice(50 * ROWS, 51 * ROWS);
            return [history.end, column.indexOf(Math.max(...column)), history.high[50], history.low[50]];
        }""",
        44100,
    )
    lowest, tone, highest = (2595 * np.log10(1 + hz / 700) for hz in (60, 1000, 8000))
    row = int(96 * (tone - lowest) / (highest - lowest))
    assert found == [100, pytest.approx(row, abs=1), pytest.approx(0.1, rel=0.01), pytest.approx(-0.1, rel=0.01)]


def test_latency_is_counted_from_the_capture_of_the_sample(desk, server):
    measured = desk.visit(server.url).page.evaluate(
        """async () => {
            const { CaptureClock, LatencyMeter } = await import("./latency.js");
            const clock = new CaptureClock(1000);
            for (const end of [20, 40, 60]) clock.note(end, 5000 + end);
            const meter = new LatencyMeter();
            meter.add(900, 80_000);
            for (const latency_ms of [30, 50, 40, NaN]) meter.add(latency_ms, 100_000);
            return [clock.timeOf(35), clock.timeOf(60), Number.isNaN(clock.timeOf(80)), meter.summary(100_001)];
        }"""
    )
    assert measured == [5035, 5060, True, {"median_ms": 40, "worst_ms": 50}]


def test_sound_is_kept_to_be_sent_again_until_there_is_no_room(desk, server):
    told = desk.visit(server.url).page.evaluate(
        """async () => {
            const { Outbox } = await import("./outbox.js");
            const outbox = new Outbox(4);
            outbox.push(Float32Array.of(0, 0.5, -1, 2, 0.25));
            outbox.sent = outbox.oldest;
            const parts = [outbox.next(9), outbox.next(9), outbox.next(9)].map((part) => part && [...part]);
            return [parts, outbox.rewind(0), outbox.rewind(3), outbox.room, [...outbox.next(1)]];
        }"""
    )
    assert told == [[[16384, -32768, 32767], [8192], None], False, True, 2, [32767]]
