"""sherpa-onnx loads a file with Silero's signature, and finds the segments that we find."""

import numpy as np
import pytest

from streamrnn.runtime import speech_segments
from tests.integrations.conftest import SOUNDS

sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is missing; make test-integrations has it")
SAMPLES = ("conversation.flac", "hall_far.ogg")
# What hesitates between the two thresholds is silence to it and speech to us, and a beginning that hesitates is none.
HESITANT = {"arabic_office.flac", "french_cafe.ogg", "german_platform.ogg", "hall_far.ogg"}


def detector(path, **settings):
    silero = sherpa_onnx.SileroVadModelConfig(model=str(path), **settings)
    return sherpa_onnx.VoiceActivityDetector(
        sherpa_onnx.VadModelConfig(silero_vad=silero, sample_rate=16_000), buffer_size_in_seconds=60
    )


def segments_s(vad, sound: np.ndarray) -> list[tuple[float, float]]:
    for start in range(0, len(sound) - 511, 512):
        vad.accept_waveform(sound[start : start + 512])
    vad.flush()
    found = []
    while not vad.empty():
        found.append((vad.front.start / 16_000, (vad.front.start + len(vad.front.samples)) / 16_000))
        vad.pop()
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_its_segments_are_ours(silero_shaped, recording, name):
    path, model = silero_shaped
    sound = np.concatenate([recording(name, 16_000), np.zeros(16_000, np.int16)]).astype(np.float32) / 32768
    found = segments_s(detector(path, threshold=0.5, min_silence_duration=0.3, min_speech_duration=0.1), sound)
    ours = speech_segments(model, sound, 16_000, off_threshold=0.35, min_silence_ms=300, min_speech_ms=100)
    assert len(found) == len(ours) > 1
    for (start_s, end_s), segment in zip(found, ours, strict=True):
        assert start_s == pytest.approx(segment.start_s, abs=0.1)
        assert end_s == pytest.approx(segment.end_s, abs=0.1)


@pytest.mark.parametrize("name", SOUNDS)
def test_vad_compact_finds_the_segments_of_every_sample(compact, agree, name):
    vad = detector(compact[0], threshold=0.5, min_silence_duration=0.32, min_speech_duration=0.256)

    def hear(sound):
        return segments_s(vad, sound.astype(np.float32) / 32768)

    agree(hear, name, hesitant=HESITANT, min_silence_ms=320, min_speech_ms=256)
