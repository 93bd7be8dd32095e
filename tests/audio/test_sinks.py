"""Sinks: what is written is what was given, and what can't be is told."""

import io
import sys
import types

import numpy as np
import pytest

from streamrnn.audio import AudioError, read_audio
from streamrnn.audio.sinks import FileSink, PipeSink, Speaker, open_sink

CHUNKS = [np.array([0.0, 0.5, -0.25], np.float32), np.zeros(0, np.float32), np.array([2.0, -2.0], np.float32)]
HEARD = [0, 0.5, -0.25, 32767 / 32768, -1]


class OutputStream:
    """Stands for PortAudio: notes what is played."""

    def __init__(self, **options):
        if options["device"] == "none":
            raise ValueError("No output device matching 'none'")
        self.options, self.active, self.closed, self.played = options, False, False, []

    def start(self):
        self.active = True

    def write(self, samples):
        self.played.append(samples)
        return len(self.played) == 2

    def stop(self):
        self.active = False

    def close(self):
        self.closed = True


@pytest.fixture
def sounddevice(monkeypatch):
    module = types.SimpleNamespace(
        OutputStream=OutputStream, PortAudioError=OSError, query_devices=lambda: "0 Headphones"
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_file_holds_what_was_written_to_it(tmp_path, name):
    with open_sink(tmp_path / name, 8_000) as sink:
        for chunk in CHUNKS:
            sink.write(chunk)
    samples, rate = read_audio(tmp_path / name)
    assert rate == 8_000
    np.testing.assert_allclose(samples, HEARD, atol=2**-15)
    sink.close()


def test_a_file_that_cannot_be_written_says_why(tmp_path):
    with pytest.raises(FileNotFoundError, match="Create it first"):
        FileSink(tmp_path / "nowhere" / "a.wav", 16_000)
    with pytest.raises(AudioError, match=r"no format '.xyz'"):
        FileSink(tmp_path / "a.xyz", 16_000)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match=r"Check that the folder .* is writable"):
        FileSink(tmp_path / "folder.wav", 16_000)


def test_a_closed_file_takes_no_more(tmp_path):
    sink = FileSink(tmp_path / "a.wav", 16_000)
    sink.close()
    with pytest.raises(AudioError, match="cannot write"):
        sink.write(CHUNKS[0])


def test_a_pipe_gets_raw_samples_at_once():
    stream = io.BytesIO()
    with PipeSink(16_000, stream) as sink:
        for chunk in CHUNKS:
            sink.write(chunk)
    assert np.frombuffer(stream.getvalue(), "<i2").tolist() == [0, 16384, -8192, 32767, -32768]


def test_a_terminal_is_no_pipe(monkeypatch):
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(isatty=lambda: True))
    with pytest.raises(AudioError, match="a terminal"):
        open_sink("-", 16_000)


def test_a_speaker_plays_and_counts_gaps(sounddevice):
    with open_sink("speaker", 16_000) as sink:
        assert isinstance(sink, Speaker)
        for chunk in CHUNKS:
            sink.write(chunk)
        stream = sink._stream
    assert stream.options["samplerate"] == 16_000 and stream.options["channels"] == 1
    np.testing.assert_allclose(np.concatenate(stream.played)[:, 0], [0, 0.5, -0.25, 1, -1])
    assert sink.gaps == 1 and stream.closed
    sink.close()


def test_a_speaker_that_is_gone_is_told(sounddevice):
    with pytest.raises(AudioError, match="0 Headphones"):
        Speaker(16_000, "none")
    speaker = Speaker(16_000)
    speaker._stream.active = False
    with pytest.raises(AudioError, match="plugged in"):
        speaker.write(CHUNKS[0])


def test_without_sounddevice_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ImportError, match=r"streamrnn\[mic\]"):
        Speaker(16_000)
