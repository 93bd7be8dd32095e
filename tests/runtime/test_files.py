"""Whole recordings: the numbers and events of a live stream, in segments."""

import math

import numpy as np
import pytest

from streamrnn.audio import AudioError, AudioWarning, write_audio
from streamrnn.decisions import segments
from streamrnn.runtime import Listener, Stream, run_file, run_file_events, speech_segments


@pytest.mark.parametrize(("sample_rate", "channels"), [(8_000, 1), (16_000, 2), (44_100, 2)])
def test_a_recording_gives_the_outputs_of_a_stream(any_model, bursts, run, recording, sample_rate, channels):
    sound = bursts(1.0123, sample_rate, channels)
    outputs = run_file(any_model, recording(sound, sample_rate))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, run(Stream(any_model, sample_rate), [sound]), atol=1e-5)


def test_state_is_carried_over_the_segments_of_a_long_recording(model, bursts, run, recording):
    sound = bursts(61)
    outputs = run_file(model, recording(sound))
    assert outputs.shape == (6100, 1)
    np.testing.assert_allclose(outputs, run(Stream(model), [sound]), atol=1e-5)


# A segment of 0.5 s is 50 blocks; three of look-ahead follow the last, and may need a segment for themselves.
@pytest.mark.parametrize("samples", [0, 1, 159, 7519, 7520, 7521, 7840, 7999, 8000, 8001, 15_999, 16_000, 16_001])
def test_a_recording_may_end_anywhere_in_a_segment(any_model, bursts, run, recording, monkeypatch, samples):
    monkeypatch.setattr("streamrnn.runtime.files.SEGMENT_S", 0.5)
    sound = bursts(1.1)[:samples]
    outputs = run_file(any_model, recording(sound))
    assert outputs.shape == (math.ceil(samples / any_model.block_samples), 1)
    np.testing.assert_allclose(outputs, run(Stream(any_model), [sound]), atol=1e-5)


def test_a_recording_without_a_sample_has_no_outputs_and_no_events(any_model, recording):
    path = recording(np.zeros((0, 2), np.int16), 44_100)
    assert run_file(any_model, path).shape == (0, 1)
    assert run_file_events(any_model, path) == []
    assert speech_segments(any_model, path) == []


def test_a_recording_of_one_sample_has_one_output(model, recording):
    assert run_file(model, recording(np.ones(1, np.int16), 44_100)).shape == (1, 1)


def test_speech_segments_are_those_of_the_live_events(model, bursts, hear, recording):
    sound = bursts(1.6)
    live = segments(hear(Listener(model), [sound]))
    offline = speech_segments(model, recording(sound))
    assert len(offline) >= 2
    assert [(s.label, s.start_s, s.end_s) for s in offline] == [(s.label, s.start_s, s.end_s) for s in live]


def test_decision_settings_are_overridden_for_one_recording(loudness, tone_between, recording):
    path = recording(tone_between([(0.2, 0.4), (0.6, 0.8)], 1.0))
    assert len(speech_segments(loudness, path)) == 1
    assert len(speech_segments(loudness, path, min_silence_ms=100)) == 2
    with pytest.raises(TypeError, match="treshold"):
        run_file_events(loudness, path, treshold=0.5)


def test_a_missing_file_and_a_file_without_sound_are_told_apart(model, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    for run_it in (run_file, run_file_events, speech_segments):
        with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
            run_it(model, tmp_path / "nothing.wav")
        with pytest.raises(AudioError, match="damaged or not in a format"):
            run_it(model, tmp_path / "text.wav")


def test_the_end_of_a_file_that_was_cut_off_is_its_last_sample(loudness, tone_between, run, tmp_path):
    whole, path = tmp_path / "whole.flac", tmp_path / "cut.flac"
    write_audio(whole, tone_between([(0.2, 9.0)], 9.0), 16_000)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.warns(AudioWarning, match="cut off"):
        outputs = run_file(loudness, path)
    with pytest.warns(AudioWarning, match="cut off"):
        [segment] = speech_segments(loudness, path)
    assert 0.01 * (len(outputs) - 1) < segment.end_s <= 0.01 * len(outputs) < 9


def test_samples_in_memory_give_the_outputs_of_their_file(model, bursts, recording):
    sound = bursts(1.3, 44_100, 2)
    np.testing.assert_array_equal(run_file(model, sound, 44_100), run_file(model, recording(sound, 44_100)))
    assert speech_segments(model, sound, 44_100) == speech_segments(model, recording(sound, 44_100))
    with pytest.raises(AudioError, match="Pass sample_rate"):
        run_file(model, sound)


def test_a_file_named_like_a_source_is_a_file(model):
    with pytest.raises(FileNotFoundError, match="mic"):
        run_file(model, "mic")
