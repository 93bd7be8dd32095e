"""Sound that is played arrives, sample by sample, through the operating system and `streamrnn.audio.Microphone`."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import correlate

ROOT = Path(__file__).parents[2]
RECORDER = [sys.executable, "-m", "tests.system.record"]
RECORDED_S = 4.0
RECORD_TIMEOUT_S = 40

pytestmark = pytest.mark.system


def babble(sample_rate: int) -> np.ndarray:
    """Two seconds of noise with the rhythm of syllables: alike at no two places, so that it can be found again."""
    rng = np.random.default_rng(0)
    time_s = np.arange(2 * sample_rate) / sample_rate
    noise = soxr.resample(rng.normal(0, 0.15, time_s.size // 4), sample_rate / 4, sample_rate)
    return (noise * np.sin(2 * np.pi * 2 * time_s) ** 2).astype(np.float32)


def record_while_playing(microphone, wav: Path, out: Path, sample_rate: int | None) -> tuple[np.ndarray, int]:
    """What a fresh process hears while `wav` is played, and at which rate."""
    command = [*RECORDER, str(out), str(RECORDED_S), *([str(sample_rate)] if sample_rate else [])]
    recorder = subprocess.Popen(command, env=microphone.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    # A read from a pipe has no time-out of its own; it ends when the recorder does.
    watchdog = threading.Timer(RECORD_TIMEOUT_S, recorder.kill)
    watchdog.start()
    with recorder:
        try:
            announcement = recorder.stdout.readline() if recorder.stdout else ""
            assert announcement.startswith("hearing "), "the recorder heard nothing"
            microphone.play(wav)
            assert recorder.wait() == 0
        finally:
            watchdog.cancel()
            recorder.kill()
    return np.load(out), int(announcement.split()[1])


def correlation_at_best_lag(heard: np.ndarray, played: np.ndarray) -> float:
    lag = int(np.argmax(correlate(heard, played, mode="valid", method="fft")))
    return float(np.corrcoef(heard[lag : lag + played.size], played)[0, 1])


@pytest.mark.parametrize("sample_rate", [16000, None], ids=["asked for 16 kHz", "the device's own rate"])
def test_the_microphone_hears_what_is_played(microphone, tmp_path: Path, sample_rate: int | None):
    played = babble(microphone.sample_rate)
    soundfile.write(tmp_path / "played.wav", played, microphone.sample_rate)
    heard, rate = record_while_playing(microphone, tmp_path / "played.wav", tmp_path / "heard.npy", sample_rate)
    assert sample_rate in (None, rate)
    heard = soxr.resample(heard, rate, microphone.sample_rate)
    assert correlation_at_best_lag(heard, played) > 0.99
