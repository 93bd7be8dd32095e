"""LiveKit's own classes hear by our VAD and denoiser: at any rate, with the times and the sound of our segments."""

import asyncio
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    agents = pytest.importorskip(
        "livekit.agents", reason="livekit-agents is missing: make test-integrations installs it"
    )
    from livekit import rtc

    from streamrnn.integrations.livekit import VAD, Denoiser

from streamrnn.pretrained import load
from streamrnn.runtime import Enhancer, speech_segments
from tests.integrations.conftest import SOUNDS
from tests.integrations.pages import example

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")
START, DONE, END = (agents.vad.VADEventType[n] for n in ("START_OF_SPEECH", "INFERENCE_DONE", "END_OF_SPEECH"))


def frames(sound: np.ndarray, rate: int, frame_ms: int = 10) -> list:
    size, channels = rate * frame_ms // 1000, 1 if sound.ndim == 1 else sound.shape[1]
    return [
        rtc.AudioFrame(part.tobytes(), rate, channels, len(part))
        for part in (sound[at : at + size] for at in range(0, len(sound), size))
    ]


def heard(vad: VAD, *pushed) -> list:
    """The events of a stream; None is a flush."""

    async def run():
        stream = vad.stream()
        for frame in pushed:
            if frame is None:
                stream.flush()
            else:
                stream.push_frame(frame)
        stream.end_input()
        return [event async for event in stream]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def model(exported):
    return load(exported("vad"))


@pytest.mark.parametrize(
    ("rate", "channels", "frame_ms"), [(24_000, 1, 10), (48_000, 2, 20), (16_000, 1, 30), (44_100, 1, 50)]
)
def test_events_carry_the_times_and_the_sound_of_segments(model, recording, rate, channels, frame_ms):
    sound = np.concatenate([recording("conversation.flac", rate), np.zeros(rate, np.int16)])
    pushed = np.repeat(sound[:, None], channels, axis=1) if channels > 1 else sound
    events = heard(VAD(model), *frames(pushed, rate, frame_ms))
    expected = speech_segments(model, sound, rate, min_silence_ms=550)
    starts, ends = ([event for event in events if event.type == kind] for kind in (START, END))
    assert len(starts) == len(ends) == len(expected) > 1
    for start, end, segment in zip(starts, ends, expected, strict=True):
        assert start.timestamp - start.speech_duration == pytest.approx(segment.start_s, abs=0.011)
        assert end.timestamp - end.silence_duration == pytest.approx(segment.end_s, abs=0.011)
        assert end.speech_duration == pytest.approx(segment.end_s - segment.start_s, abs=0.011)
        assert start.timestamp - segment.start_s < 0.25
        [carried], [begun] = end.frames, start.frames
        assert (carried.sample_rate, carried.num_channels) == (rate, 1)
        last = round(segment.end_s * rate)
        found = np.frombuffer(carried.data, np.int16)
        np.testing.assert_allclose(found, sound[last - len(found) : last], atol=1)
        assert len(begun.data) / rate == pytest.approx(start.speech_duration + min(0.5, segment.start_s), abs=0.35)
    done = [event for event in events if event.type == DONE]
    assert {event.speaking for event in done} == {True, False}
    assert max(event.raw_accumulated_speech for event in done) > 0.5 < max(e.raw_accumulated_silence for e in done)
    assert all(event.inference_duration > 0 for event in done)


def test_a_flush_begins_anew_and_so_does_another_rate(model, recording):
    first = frames(recording("conversation.flac", 24_000)[: 24_000 * 2], 24_000)
    other = frames(recording("conversation.flac", 8000)[: 8000 * 2], 8000)
    events = heard(VAD(model), *first, None, *first, *other)
    starts = [event.timestamp for event in events if event.type == START]
    assert len(starts) == 3 and starts[0] == starts[1] == pytest.approx(starts[2], abs=0.05)


def test_what_events_carry_has_bounds(model, recording):
    vad = VAD(model, longest_s=0.5, pre_roll_ms=0)
    sound = np.concatenate([recording("conversation.flac", 16_000), np.zeros(16_000, np.int16)])
    ends = [event for event in heard(vad, *frames(sound, 16_000)) if event.type == END]
    assert max(len(end.frames[0].data) for end in ends) <= 8000
    assert max(end.speech_duration for end in ends) > 1


def test_a_recogniser_without_streams_gets_whole_utterances(model, recording):
    """stt.StreamAdapter hands what END_OF_SPEECH carries to a recogniser."""

    class Lengths(agents.stt.STT):
        def __init__(self):
            super().__init__(capabilities=agents.stt.STTCapabilities(streaming=False, interim_results=False))

        async def _recognize_impl(self, buffer, *, language, conn_options):
            samples = sum(f.samples_per_channel for f in (buffer if isinstance(buffer, list) else [buffer]))
            text = f"{samples / 24_000:.2f}"
            return agents.stt.SpeechEvent(
                type=agents.stt.SpeechEventType.FINAL_TRANSCRIPT,
                alternatives=[agents.stt.SpeechData(language="en", text=text)],
            )

    async def run():
        adapter = agents.stt.StreamAdapter(stt=Lengths(), vad=VAD(model))
        stream = adapter.stream()
        sound = np.concatenate([recording("conversation.flac", 24_000), np.zeros(24_000, np.int16)])
        for frame in frames(sound, 24_000):
            stream.push_frame(frame)
        stream.end_input()
        return [float(e.alternatives[0].text) async for e in stream if e.alternatives]

    expected = speech_segments(model, recording("conversation.flac", 24_000), 24_000, min_silence_ms=550)
    found = asyncio.run(run())
    assert len(found) == len(expected)
    for seconds, segment in zip(found, expected, strict=True):
        assert segment.end_s - segment.start_s <= seconds + 0.02 <= segment.end_s - segment.start_s + 0.54


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (48_000, 2), (16_000, 1)])
def test_a_denoised_room_keeps_the_length_of_its_frames(exported, recording, rate, channels):
    denoiser = Denoiser.load(exported("denoise"))
    sound = recording("hall_far.ogg", rate)[: 2 * rate]
    given = [denoiser._process(f) for f in frames(sound if channels == 1 else np.repeat(sound[:, None], 2, 1), rate)]
    assert {(f.samples_per_channel, f.sample_rate, f.num_channels) for f in given} == {(rate // 100, rate, channels)}
    found = np.concatenate([np.frombuffer(f.data, np.int16).reshape(-1, channels)[:, 0] for f in given])
    clean = Enhancer(load(exported("denoise")), rate).process(sound)
    late = denoiser._steady.late_samples
    assert 0 < late < 0.06 * rate and not found[:late].any()
    np.testing.assert_allclose(found[late:], clean[: len(found) - late] * 32768, atol=1)
    denoiser.enabled = False
    [frame] = frames(sound[: rate // 100], rate)
    assert denoiser._process(frame) is frame
    denoiser._close()


def test_models_and_settings_that_do_not_fit_are_refused(model, exported):
    with pytest.raises(TypeError, match="finds speech"):
        VAD.load(exported("keywords-en"))
    with pytest.raises(ValueError, match="threshold"):
        VAD(model, threshold=2.0)
    with pytest.raises(ValueError, match="longest_s"):
        VAD(model, longest_s=0)
    with pytest.raises(TypeError, match="sound"):
        Denoiser(model)
    assert VAD(model).min_silence_duration == 0.55 and VAD(model).provider == "streamrnn"


def test_an_exported_model_hears_without_jax(exported):
    code = (
        "import sys; from streamrnn.integrations.livekit import VAD, Denoiser\n"
        "VAD.load(sys.argv[1]); Denoiser.load(sys.argv[2])\n"
        "assert 'jax' not in sys.modules, 'jax was imported'"
    )
    command = [sys.executable, "-c", code, exported("vad"), exported("denoise")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_its_own_plugin_for_silero_runs_a_file_of_that_shape(silero_shaped, recording):
    silero = pytest.importorskip("livekit.plugins.silero")
    path, model = silero_shaped
    vad = silero.VAD.load(
        onnx_file_path=path, sample_rate=16_000, min_silence_duration=0.3, prefix_padding_duration=0.0
    )
    sound = np.concatenate([recording("conversation.flac", 24_000), np.zeros(24_000, np.int16)])
    events = heard(vad, *frames(sound, 24_000))
    expected = speech_segments(model, sound, 24_000, off_threshold=0.35, min_silence_ms=300, padding_ms=0)
    ends = [event for event in events if event.type == END]
    assert len(ends) == len(expected) > 1
    for end, segment in zip(ends, expected, strict=True):
        assert end.timestamp - end.silence_duration == pytest.approx(segment.end_s, abs=0.1)
        assert end.speech_duration == pytest.approx(segment.end_s - segment.start_s, abs=0.1)


@pytest.mark.parametrize("name", SOUNDS)
def test_its_own_plugin_finds_the_segments_of_vad_compact_in_every_sample(compact, agree, name):
    silero = pytest.importorskip("livekit.plugins.silero")
    settings = {"min_silence_duration": 0.32, "min_speech_duration": 0.256, "prefix_padding_duration": 0.0}
    vad = silero.VAD.load(onnx_file_path=compact[0], sample_rate=16_000, **settings)

    def hear(sound):
        ends = [event for event in heard(vad, *frames(sound, 16_000)) if event.type == END]
        stops = [event.timestamp - event.silence_duration for event in ends]
        return [(stop - end.speech_duration, stop) for stop, end in zip(stops, ends, strict=True)]

    agree(hear, name, min_silence_ms=320, min_speech_ms=256, padding_ms=0)


def test_the_example_of_the_page_prepares_a_worker(exported, tmp_path, monkeypatch):
    for name in ("vad", "denoise"):
        (tmp_path / f"{name}.onnx").symlink_to(exported(name))
    monkeypatch.chdir(tmp_path)
    names, proc, started = {}, SimpleNamespace(userdata={}), []
    exec(compile(example("livekit"), "voice-agents.md", "exec"), names)

    async def start(self, agent, *, room, room_input_options):
        started.append((self.vad, room_input_options.noise_cancellation))

    monkeypatch.setattr(names["AgentSession"], "start", start)
    names["prewarm"](proc)
    asyncio.run(names["entrypoint"](SimpleNamespace(proc=proc, room=None)))
    [(vad, denoiser)] = started
    assert isinstance(vad, VAD) and isinstance(denoiser, Denoiser)
