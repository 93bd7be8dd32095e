"""Takes the picture of the page for the README: `python scripts/make_page_picture.py docs/page.png`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
from playwright.sync_api import sync_playwright

RECORDING = Path(__file__).parents[1] / "audio_samples" / "conversation.flac"
HEARD_S = 9.6


def main(out: str) -> None:
    command = [sys.executable, "-m", "streamrnn", "serve", "vad", "keywords-en", "denoise", "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            assert server.stdout is not None
            take_picture(server.stdout.readline().split()[-1], Path(folder) / "heard.wav", out)
        finally:
            server.terminate()


def take_picture(url: str, heard: Path, out: str) -> None:
    soundfile.write(heard, *soundfile.read(RECORDING), subtype="PCM_16")
    fakes = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    flags = ["--no-sandbox", *fakes, f"--use-file-for-fake-audio-capture={heard}%noloop"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 840})
        page.goto(url)
        page.click("#microphone")
        page.wait_for_timeout(1000 * HEARD_S)
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
