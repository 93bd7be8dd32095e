"""What one can change on the page of `streamrnn serve`, in a real browser: settings, samples, code to take away."""

import ast
import re
import shlex
import subprocess

import pytest
from playwright.sync_api import expect

from tests.system.page.conftest import SAMPLES

pytestmark = pytest.mark.system


def move(page, setting: str, value: float) -> None:
    """As a finger does: the slider moves, and rests."""
    page.evaluate(
        """([name, value]) => {
            const slider = document.querySelector(`#sliders input[name=${name}]`);
            slider.value = value;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        [setting, value],
    )


def test_a_slider_changes_what_is_heard_of_a_sample_and_the_code_says_the_same(desk, server):
    visit = desk.visit(server.url)
    page = visit.page
    page.evaluate("document.querySelector('input[value=once]').checked = true")
    page.click("#sample")
    visit.wait_until(lambda: len(visit.speech()) >= 4)
    visit.wait_for_state("ready")
    before = visit.speech()
    page.click("#settings summary")
    move(page, "min_silence_ms", 2000)
    visit.wait_until(lambda: 0 < len(visit.speech()) < len(before))
    expect(page.locator("#sliders")).to_contain_text("2000 ms")
    page.click("#code summary")
    assert "min_silence_ms=2000" in page.inner_text("#snippet")
    page.click("#defaults")
    visit.wait_until(lambda: visit.speech() == before)
    assert "min_silence_ms" not in page.inner_text("#snippet")


def test_every_kind_of_model_has_a_sample_and_settings_of_its_own(desk, server):
    visit = desk.visit(server.url)
    page = visit.page
    groups = page.locator("#model optgroup").evaluate_all("groups => groups.map((group) => group.label)")
    assert groups == ["Speech", "Words", "Sound", "Transcription"]
    page.select_option("#model", "keywords-en")
    page.click("#sample")
    visit.wait_until(lambda: len(visit.words()) > 1)
    assert page.locator("#sliders input").evaluate_all("inputs => inputs.map((input) => input.name)") == [
        "threshold",
        "smoothing_ms",
        "refractory_ms",
    ]


def test_the_code_that_is_shown_runs(desk, server):
    """curl as it is; of Python, that it is Python and names what is there."""
    visit = desk.visit(server.url)
    page = visit.page
    page.click("#settings summary")
    move(page, "threshold", 0.7)
    page.click("#code summary")
    code = page.inner_text("#snippet")
    ast.parse(code)
    assert f'connect("ws://127.0.0.1:{server.port}/v1/stream", "vad", sample_rate=16_000, threshold=0.7)' in code
    page.check("#code-js")
    assert '"threshold":0.7' in page.inner_text("#snippet")
    page.check("#code-curl")
    command = shlex.split(page.inner_text("#snippet").replace("recording.wav", str(SAMPLES / "conversation.flac")))
    run = subprocess.run([*command, "-sS"], capture_output=True, text=True, timeout=60)
    assert run.stdout.count("speech_end") == 4, run.stdout + run.stderr
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text(re.compile("Copied|Marked"))


def test_sound_that_the_browser_paused_goes_on_when_the_page_is_seen_again(desk, server):
    contexts = """
        window.contexts = [];
        const Original = AudioContext;
        window.AudioContext = class extends Original {
            constructor(...options) { super(...options); window.contexts.push(this); }
        };
    """
    flags = desk.hearing("conversation.flac")
    visit = desk.open(server.url, *flags, before=lambda page: page.add_init_script(contexts))
    page = visit.page
    expect(page.locator("#microphone")).to_be_enabled(timeout=60_000)
    page.click("#microphone")
    visit.wait_for_state("live")
    page.evaluate("contexts.at(-1).suspend()")
    expect(page.locator("#notice")).to_contain_text("The browser has paused the microphone")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#notice")).to_be_hidden()
    assert page.evaluate("contexts.at(-1).state") == "running"


def test_samples_are_the_packages_own_and_nothing_else(desk, server):
    page = desk.visit(server.url).page
    status = page.evaluate(
        "async () => Promise.all(['digits.opus', 'nothing.opus', '__init__.py'].map(async (name) => "
        "(await fetch(`samples/${name}`)).status))"
    )
    assert status == [200, 404, 404]
    desk.forgive("404")


def test_a_phrase_that_is_typed_is_listened_for(desk, own_server):
    visit = desk.visit(own_server("phrases").url)
    page = visit.page
    expect(page.locator("#about")).to_contain_text("Hears phrases that you type")
    page.fill("#sliders textarea", "good morning\n\n turn on the light ")
    move(page, "max_alarms_per_hour", 30)
    page.click("#sample")
    visit.wait_until(lambda: visit.words() == ["good morning"])
    page.click("#code summary")
    code = page.inner_text("#snippet")
    ast.parse(code)
    assert 'phrases=["good morning","turn on the light"], max_alarms_per_hour=30' in code
    page.check("#code-curl")
    assert "phrases=good+morning&phrases=turn+on+the+light" in page.inner_text("#snippet")


def test_a_phrase_that_nobody_can_say_is_refused_in_words(desk, own_server):
    visit = desk.visit(own_server("phrases").url)
    visit.page.fill("#sliders textarea", "xqzzy")
    visit.page.click("#sample")
    visit.wait_until(lambda: "xqzzy" in visit.page.inner_text("body"))
    desk.forgive("WebSocket")
