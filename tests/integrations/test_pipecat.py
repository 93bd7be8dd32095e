"""Pipecat's own pipelines hear by our voice activity, denoiser and wake words, at any rate."""

import asyncio
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pipecat", reason="pipecat-ai is missing; make test-integrations has it")
    from pipecat.audio.vad.vad_analyzer import VADParams
    from pipecat.frames.frames import (
        FilterEnableFrame,
        InputAudioRawFrame,
        UserStartedSpeakingFrame,
        VADUserStartedSpeakingFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.processors.audio.vad_processor import VADProcessor
    from pipecat.tests.utils import run_test
    from pipecat.turns.user_start import VADUserTurnStartStrategy
    from pipecat.turns.user_turn_processor import UserTurnProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies

    from streamrnn.integrations.pipecat import (
        StreamrnnDenoiser,
        StreamrnnVADAnalyzer,
        WakeWordUserTurnStartStrategy,
    )

from streamrnn.pretrained import load
from streamrnn.runtime import Enhancer, Stream, run_file_events, speech_segments
from tests.integrations.conftest import SOUNDS
from tests.integrations.pages import example

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")


def frames(sound: np.ndarray, rate: int, frame_ms: int = 20) -> list:
    size, channels = rate * frame_ms // 1000, 1 if sound.ndim == 1 else sound.shape[1]
    return [
        InputAudioRawFrame(audio=sound[at : at + size].tobytes(), sample_rate=rate, num_channels=channels)
        for at in range(0, len(sound), size)
    ]


def run(processor, sent) -> list:
    """What comes out of a pipeline of the processor, in order."""

    async def pipeline():
        down, _ = await run_test(processor, frames_to_send=sent, start_timeout=20.0)
        return list(down)

    return asyncio.run(pipeline())


def times_s(down, kind, frame_ms: int = 20) -> list[float]:
    """When frames of a kind came, by the sound before them."""
    heard, found = 0, []
    for frame in down:
        heard += isinstance(frame, InputAudioRawFrame)
        if isinstance(frame, kind):
            found.append(heard * frame_ms / 1000)
    return found


@pytest.mark.parametrize("rate", [16_000, 44_100, 8000])
def test_a_pipeline_hears_when_somebody_speaks(exported, recording, rate):
    sound = np.concatenate([recording("conversation.flac", rate), np.zeros(rate, np.int16)])
    analyzer = StreamrnnVADAnalyzer.load(exported("vad"), sample_rate=rate)
    down = run(VADProcessor(vad_analyzer=analyzer, audio_idle_timeout=0), frames(sound, rate))
    expected = speech_segments(
        load(exported("vad")), sound, rate, min_speech_ms=100, min_silence_ms=200, off_threshold=0.5, padding_ms=0
    )
    starts, stops = times_s(down, VADUserStartedSpeakingFrame), times_s(down, VADUserStoppedSpeakingFrame)
    assert len(starts) == len(stops) == len(expected) > 2
    # Later by what Pipecat waits for and the model looks ahead.
    for start, stop, segment in zip(starts, stops, expected, strict=True):
        assert 0.05 < start - segment.start_s < 0.3
        assert 0.15 < stop - segment.end_s < 0.4


def test_confidences_are_probabilities_of_whatever_comes(exported, recording):
    analyzer = StreamrnnVADAnalyzer.load(exported("vad"), params=VADParams(confidence=0.9))
    analyzer.set_sample_rate(48_000)
    assert analyzer.num_frames_required() == 960 and analyzer.params.confidence == 0.9
    sound = recording("conversation.flac", 48_000)[: 48_000 * 2]
    found = [analyzer.voice_confidence(sound[at : at + 960].tobytes()) for at in range(0, len(sound), 960)]
    assert max(found[:20]) < 0.3 and max(found) > 0.9
    assert analyzer.voice_confidence(b"") == found[-1]
    with pytest.raises(ValueError, match="multiple of 2"):
        analyzer.voice_confidence(b"123")
    with pytest.raises(ValueError, match="200000"):
        analyzer.set_sample_rate(200_000)


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_a_filter_gives_as_many_bytes_as_it_takes(exported, recording, rate):
    sound = recording("hall_far.ogg", rate)[: 2 * rate]

    async def filtered():
        denoiser = StreamrnnDenoiser.load(exported("denoise"))
        assert await denoiser.filter(b"1234") == b"1234"
        await denoiser.start(rate)
        given = [await denoiser.filter(frame.audio) for frame in frames(sound, rate)]
        await denoiser.process_frame(FilterEnableFrame(enable=False))
        assert await denoiser.filter(b"1234") == b"1234"
        late = denoiser._steady.late_samples
        await denoiser.stop()
        return given, late

    given, late = asyncio.run(filtered())
    assert {len(part) for part in given} == {rate // 25}
    found, clean = np.frombuffer(b"".join(given), np.int16), Enhancer(load(exported("denoise")), rate).process(sound)
    np.testing.assert_allclose(found[late:], clean[: len(found) - late] * 32768, atol=1)


def test_a_filter_that_is_turned_on_again_gives_no_sound_of_before(exported):
    loud, quiet = np.full(16_000, 8000, np.int16).tobytes(), bytes(3200)

    async def filtered():
        denoiser = StreamrnnDenoiser.load(exported("denoise"), max_attenuation_db=0.0)
        await denoiser.start(16_000)
        await denoiser.filter(loud)
        for enable in (False, True):
            await denoiser.process_frame(FilterEnableFrame(enable=enable))
        return await denoiser.filter(quiet)

    assert not np.frombuffer(asyncio.run(filtered()), np.int16).any()


@pytest.fixture(scope="module")
def wakes(exported, recording):
    """Sound at 24 kHz with words that wake, the model, and when they are heard."""
    model = load(exported("keywords-en"))
    sound = recording("commands.flac", 24_000)
    events = run_file_events(model, sound, 24_000)
    assert len(events) > 2
    return model, sound, events


def test_a_word_that_is_heard_begins_a_turn(wakes):
    model, sound, events = wakes
    words, strategy = [], WakeWordUserTurnStartStrategy(model, awake_s=100.0)
    strategy.add_event_handler("on_wake_word", lambda _strategy, word: words.append(word) or asyncio.sleep(0))
    processor = UserTurnProcessor(user_turn_strategies=UserTurnStrategies(start=[strategy]))
    down = run(processor, frames(sound, 24_000))
    assert len([frame for frame in down if isinstance(frame, UserStartedSpeakingFrame)]) == 1
    assert words == [event.label for event in events]
    assert strategy.is_awake


def test_asleep_nothing_else_begins_one(wakes):
    model, _, events = wakes
    silence = np.zeros(24_000, np.int16)
    strategy = WakeWordUserTurnStartStrategy(model, [events[0].label], awake_s=0.5)
    processor = UserTurnProcessor(user_turn_strategies=UserTurnStrategies(start=[strategy, VADUserTurnStartStrategy()]))
    down = run(processor, [*frames(silence, 24_000), VADUserStartedSpeakingFrame(), *frames(silence, 24_000)])
    assert not [frame for frame in down if isinstance(frame, UserStartedSpeakingFrame)]


def test_models_words_and_settings_that_do_not_fit_are_refused(exported, wakes):
    with pytest.raises(TypeError, match="finds speech"):
        StreamrnnVADAnalyzer(wakes[0])
    with pytest.raises(TypeError, match="finds keywords"):
        WakeWordUserTurnStartStrategy.load(exported("vad"))
    with pytest.raises(ValueError, match="does not know abracadabra; it knows"):
        WakeWordUserTurnStartStrategy(wakes[0], ["abracadabra"])
    with pytest.raises(TypeError, match="sound"):
        StreamrnnDenoiser(wakes[0])


def test_an_exported_model_hears_without_jax(exported):
    code = (
        "import sys; from streamrnn.integrations.pipecat import StreamrnnDenoiser, StreamrnnVADAnalyzer\n"
        "StreamrnnVADAnalyzer.load(sys.argv[1]).set_sample_rate(24000); StreamrnnDenoiser.load(sys.argv[2])\n"
        "assert 'jax' not in sys.modules, 'jax was imported'"
    )
    command = [sys.executable, "-c", code, exported("vad"), exported("denoise")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rate", [16_000, 8000])
def test_its_own_wrapper_of_silero_runs_a_file_of_that_shape(silero_shaped, recording, rate):
    from pipecat.audio.vad.silero import SileroOnnxModel

    path, model = silero_shaped
    sound = recording("conversation.flac", rate).astype(np.float32) / 32768
    wrapper, block = SileroOnnxModel(str(path)), 512 * rate // 16_000
    blocks = [sound[at : at + block] for at in range(0, len(sound) - block, block)]
    found = np.array([wrapper(part, rate).item() for part in blocks])
    ours = Stream(model, rate).process(sound)[: 4 * len(found), 0].reshape(-1, 4).max(axis=1)
    np.testing.assert_allclose(found, ours, atol=1e-4) if rate == 16_000 else None
    assert np.mean((found > 0.5) == (ours > 0.5)) > 0.97
    assert wrapper(np.stack([blocks[0]] * 3), rate).shape == (3, 1)


@pytest.mark.parametrize("name", SOUNDS)
def test_its_own_analyzer_finds_the_segments_of_vad_compact_in_every_sample(compact, agree, name):
    """With its resets of the model's state, every two seconds where nobody speaks."""
    from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
    from pipecat.audio.vad.vad_analyzer import VADState

    start_s, stop_s = 0.128, 0.48
    params = VADParams(confidence=0.5, start_secs=start_s, stop_secs=stop_s, min_volume=0.0)
    analyzer = SileroVADAnalyzer(sample_rate=16_000, params=params)
    analyzer._model = SileroOnnxModel(str(compact[0]))
    analyzer.set_sample_rate(16_000)

    def hear(sound):
        found, began_s = [], None
        for at in range(512, len(sound), 512):
            state = asyncio.run(analyzer.analyze_audio(sound[at - 512 : at].tobytes()))
            if state == VADState.SPEAKING and began_s is None:
                began_s = at / 16_000 - start_s
            elif state == VADState.QUIET and began_s is not None:
                found.append((began_s, at / 16_000 - stop_s))
                began_s = None
        return found

    settings = {"min_speech_ms": 1000 * start_s, "min_silence_ms": 1000 * stop_s, "off_threshold": 0.5}
    agree(hear, name, hesitant={"german_platform.ogg"}, padding_ms=0, **settings)


def test_the_example_of_the_page_runs(exported, tmp_path, monkeypatch, capsys):
    (tmp_path / "vad.onnx").symlink_to(exported("vad"))
    monkeypatch.chdir(tmp_path)
    exec(compile(example("pipecat"), "voice-agents.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.count("somebody speaks") > 2
