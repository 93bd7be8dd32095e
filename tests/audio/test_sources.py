import io
import itertools
import os
import struct
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from streamrnn.audio import (
    ArraySource,
    AudioError,
    AudioWarning,
    ChunkSource,
    FileSource,
    Microphone,
    PipeSource,
    as_samples,
    open_source,
)

RATE = 16000


def noise(*shape):
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def s16le(samples):
    return np.round(np.asarray(samples) * 32767).astype("<i2").tobytes()


def whole(source):
    return np.concatenate(list(source))


# Files and arrays


def test_a_file_comes_in_chunks_as_often_as_asked(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(4000, 2), RATE, subtype="FLOAT")
    with FileSource(tmp_path / "a.wav", chunk_ms=100) as source:
        assert source.sample_rate == RATE
        assert [chunk.shape for chunk in source] == [(1600, 2), (1600, 2), (800, 2)]
        np.testing.assert_array_equal(whole(source), noise(4000, 2))


def test_an_array_comes_in_chunks_as_often_as_asked():
    with ArraySource(noise(4000), RATE, chunk_ms=100) as source:
        assert [len(chunk) for chunk in source] == [1600, 1600, 800]
        np.testing.assert_array_equal(whole(source), noise(4000))


class Clock:
    """Time that passes only in sleep, and that oversleeps."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, duration_s):
        self.now += duration_s + (0.003 if duration_s else 0)


def test_real_time_pacing_neither_runs_ahead_nor_drifts(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", noise(RATE * 2), RATE)
    clock = Clock(monkeypatch)
    for source in (FileSource(tmp_path / "a.wav", realtime=True), ArraySource(noise(RATE * 2), RATE, realtime=True)):
        start = clock.now
        late = [clock.now - start - 0.1 * (i + 1) for i, _ in enumerate(source)]
        assert len(late) == 20
        assert min(late) >= -1e-9 and max(late) < 0.004
        source.close()


def test_a_slow_consumer_of_a_paced_source_is_not_made_to_wait(monkeypatch):
    clock = Clock(monkeypatch)
    for _ in ArraySource(noise(RATE), RATE, realtime=True):
        clock.now += 0.2
    assert clock.now == pytest.approx(1000 + 0.1 + 0.003 + 10 * 0.2)


@pytest.mark.parametrize("chunk_ms", [0, -1, float("nan")])
def test_a_chunk_needs_a_duration(chunk_ms):
    with pytest.raises(AudioError, match="chunk_ms"):
        ArraySource(noise(100), RATE, chunk_ms=chunk_ms)


# Pipes


class Pipe(io.RawIOBase):
    """Delivers bytes in pieces of given lengths, whatever is asked for, as pipes do."""

    def __init__(self, data, lengths=(7, 1, 3, 640, 2)):
        self.data, self.lengths, self.turn = data, lengths, 0

    def read1(self, size):
        size = min(size, self.lengths[self.turn % len(self.lengths)])
        self.turn += 1
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def wave(samples, encoding=1, channels=1, bits=16, size=None, extra=b"", tail=b"", rate=RATE):
    fields = struct.pack("<HHIIHH", encoding, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    fields += extra
    header = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    header += b"fmt " + struct.pack("<I", len(fields)) + fields
    return header + b"data" + struct.pack("<I", len(samples) if size is None else size) + samples + tail


@pytest.mark.parametrize("lengths", [(1,), (7, 1, 3, 640, 2), (10**6,)])
def test_raw_samples_survive_any_splitting_of_their_bytes(lengths):
    source = PipeSource(Pipe(s16le(noise(5000)), lengths), sample_rate=8000)
    assert source.sample_rate == 8000
    np.testing.assert_array_equal(whole(source), as_samples(s16le(noise(5000))))


def test_raw_stereo_keeps_its_channels_apart():
    received = whole(PipeSource(Pipe(s16le(noise(3000, 2))), channels=2))
    np.testing.assert_allclose(received, noise(3000, 2), atol=1e-4)


def test_no_chunk_of_a_pipe_is_longer_than_asked():
    chunks = list(PipeSource(io.BytesIO(s16le(noise(5000))), chunk_ms=20))
    assert max(map(len, chunks)) == 320 and sum(map(len, chunks)) == 5000


def test_samples_come_out_of_a_pipe_before_the_chunk_is_full():
    reader, writer = os.pipe()
    os.write(writer, s16le(noise(100)))
    with os.fdopen(reader, "rb") as stream:
        chunks = iter(PipeSource(stream, chunk_ms=1000))
        assert len(next(chunks)) == 100
        os.close(writer)
        list(chunks)


def test_an_odd_last_byte_is_dropped_with_a_warning():
    source = PipeSource(Pipe(s16le(noise(100)) + b"\x01"))
    with pytest.warns(AudioWarning, match="1 bytes of a frame of 2"):
        assert sum(map(len, source)) == 100


@pytest.mark.parametrize("data", [b"", b"\x00\x01"])
def test_a_pipe_that_ends_at_once_gives_what_it_held(data):
    assert sum(map(len, PipeSource(io.BytesIO(data)))) == len(data) // 2


@pytest.mark.parametrize("size", [None, 0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wave_header_says_rate_and_channels_whatever_its_sizes(size):
    source = PipeSource(Pipe(wave(s16le(noise(3000, 2)), channels=2, size=size, rate=44100)))
    assert source.sample_rate == 44100
    np.testing.assert_allclose(whole(source), noise(3000, 2), atol=1e-4)


def test_what_follows_the_sound_in_a_wave_file_is_not_sound():
    source = PipeSource(Pipe(wave(s16le(noise(1000)), tail=b"LIST\x04\x00\x00\x00abcd")))
    assert len(whole(source)) == 1000


def packed24(samples):
    return b"".join(int(value).to_bytes(3, "little", signed=True) for value in np.round(samples * (2**23 - 1)))


@pytest.mark.parametrize(
    "encoding, bits, encode",
    [
        (1, 24, packed24),
        (1, 32, lambda samples: np.round(samples * (2.0**31 - 1)).astype("<i4").tobytes()),
        (3, 32, lambda samples: samples.astype("<f4").tobytes()),
        (3, 64, lambda samples: samples.astype("<f8").tobytes()),
    ],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_other_depths_in_a_wave_header_are_decoded(encoding, bits, encode, extensible):
    extra = struct.pack("<HHIH", 22, bits, 0, encoding) + bytes(14) if extensible else b""
    data = wave(encode(noise(1000).astype(float)), 0xFFFE if extensible else encoding, bits=bits, extra=extra)
    np.testing.assert_allclose(whole(PipeSource(Pipe(data))), noise(1000), atol=1e-6)


@pytest.mark.parametrize(
    "data, message",
    [
        (wave(b"", encoding=0x1234), "damaged or not in a format"),
        (wave(b"", bits=40), "40 bit integer.*S16_LE"),
        (wave(b"", channels=0), "0 channels"),
        (b"RIFF\x00\x00\x00\x00RMID....", "no WAVE"),
        (wave(b"")[:30], "ended inside"),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00", "no description"),
    ],
)
def test_a_header_that_cannot_be_used_is_explained(data, message):
    with pytest.raises(AudioError, match=message):
        PipeSource(io.BytesIO(data))


def test_a_closed_pipe_source_ends_and_leaves_the_stream_open():
    stream = io.BytesIO(s16le(noise(5000)))
    with PipeSource(stream, chunk_ms=20) as source:
        chunks = iter(source)
        next(chunks)
    assert list(chunks) == [] and not stream.closed


def test_a_terminal_is_no_source_of_sound(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(AudioError, match="arecord"):
        open_source("-")


# The microphone


class FakeStream:
    """PortAudio's input stream: a thread that calls back with ten chunks, then waits or dies."""

    def __init__(self, samplerate, blocksize, device, channels, dtype, callback):
        if samplerate == 12345:
            raise FakePortAudioError("Invalid sample rate")
        assert channels == 1 and dtype == "float32"
        self.blocksize, self.callback, self.active = blocksize, callback, False

    def start(self):
        self.active = True
        for value in range(10):
            chunk = np.full((self.blocksize, 1), value / 10, np.float32)
            self.callback(chunk, self.blocksize, None, SimpleNamespace(input_overflow=value == 9 and overflowing))
            chunk[:] = np.nan  # PortAudio uses its buffer again

    def close(self):
        self.active = False


class FakePortAudioError(Exception):
    pass


def query_devices(device=None, kind=None):
    if kind is None:
        return "0 Fake microphone, ALSA (1 in, 0 out)"
    if device == "absent":
        raise ValueError("No input device matching 'absent'")
    if device is None and not plugged_in:
        raise FakePortAudioError("Error querying device -1")
    return {"default_samplerate": 44100.0}


overflowing, plugged_in = False, True


@pytest.fixture
def fake_sounddevice(monkeypatch):
    fake = SimpleNamespace(InputStream=FakeStream, PortAudioError=FakePortAudioError, query_devices=query_devices)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


@pytest.mark.usefixtures("fake_sounddevice")
class TestMicrophone:
    def test_it_delivers_copies_of_what_was_recorded_at_the_rate_of_the_device(self):
        with Microphone(chunk_ms=20) as microphone:
            assert microphone.sample_rate == 44100
            chunks = list(itertools.islice(microphone, 10))
        np.testing.assert_array_equal(chunks, np.repeat(np.arange(10, dtype=np.float32)[:, None] / 10, 882, axis=1))
        assert microphone.dropped_chunks == 0

    def test_it_takes_another_rate(self):
        with Microphone(sample_rate=RATE, chunk_ms=10) as microphone:
            assert microphone.sample_rate == RATE
            assert len(next(iter(microphone))) == 160

    def test_closing_it_in_another_thread_ends_the_iteration(self):
        microphone = Microphone()
        timer = threading.Timer(0.05, microphone.close)
        timer.start()
        assert len(list(microphone)) == 10
        timer.join()
        assert list(microphone) == []

    def test_lost_sound_is_counted_and_warned_of_once(self, monkeypatch):
        monkeypatch.setattr(sys.modules[__name__], "overflowing", True)
        monkeypatch.setattr("streamrnn.audio.sources.MICROPHONE_QUEUE_S", 0.1)
        with Microphone(chunk_ms=20) as microphone, pytest.warns(AudioWarning, match="sound was lost") as caught:
            chunks = list(itertools.islice(microphone, 5))
        assert len(chunks) == 5 and len(caught) == 1
        # Five chunks found no room; the last of them also came with PortAudio's own report of a loss.
        assert microphone.dropped_chunks == 6

    def test_a_device_that_stops_by_itself_is_reported(self):
        microphone = Microphone()
        chunks = iter(microphone)
        for _ in range(10):
            next(chunks)
        microphone._stream.active = False
        with pytest.raises(AudioError, match="stopped"):
            next(chunks)

    @pytest.mark.parametrize("options", [{"device": "absent"}, {"sample_rate": 12345}])
    def test_a_device_that_cannot_be_opened_lists_the_others(self, options):
        with pytest.raises(AudioError, match=r"absent|12345") as caught:
            Microphone(**options)
        assert "0 Fake microphone" in str(caught.value)

    def test_a_machine_without_a_microphone_is_reported(self, monkeypatch):
        monkeypatch.setattr(sys.modules[__name__], "plugged_in", False)
        with pytest.raises(AudioError, match="cannot open the default microphone"):
            open_source("mic")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ImportError, match=r'pip install "streamrnn\[mic\]"'):
        Microphone()


def test_a_missing_portaudio_names_the_system_package(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(ImportError, match=r"libportaudio2.*brew install portaudio"):
        Microphone()


# Any source


def test_each_kind_of_sound_opens_its_source(tmp_path, monkeypatch, fake_sounddevice):
    soundfile.write(tmp_path / "a.wav", noise(1000), RATE)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(s16le(noise(10)))))
    assert isinstance(open_source("mic"), Microphone)
    assert isinstance(open_source("-", sample_rate=8000), PipeSource)
    assert isinstance(open_source(str(tmp_path / "a.wav")), FileSource)
    assert isinstance(open_source(noise(100), sample_rate=RATE), ArraySource)
    np.testing.assert_array_equal(whole(open_source(s16le(noise(9)), sample_rate=8000)), as_samples(s16le(noise(9))))


def test_settings_reach_the_source(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1000), RATE)
    with open_source(tmp_path / "a.wav", chunk_ms=10) as source:
        assert len(next(iter(source))) == 160


def test_a_source_is_handed_back_as_it_is():
    source = ArraySource(noise(100), RATE)
    assert open_source(source) is source


def test_an_object_with_a_rate_of_its_own_keeps_it():
    class Radio:
        sample_rate = 22050
        closed = False

        def __iter__(self):
            return iter([b"\x00\x40", noise(3)])

        def close(self):
            self.closed = True

    radio = Radio()
    with open_source(radio, sample_rate=RATE) as source:
        assert source.sample_rate == 22050
        assert [len(as_samples(chunk)) for chunk in source] == [1, 3]
    assert radio.closed


def test_a_plain_iterable_gets_the_rate_that_is_given():
    source = open_source((noise(n) for n in (5, 0, 7)), sample_rate=8000)
    assert isinstance(source, ChunkSource) and source.sample_rate == 8000
    assert [len(chunk) for chunk in source] == [5, 0, 7]


@pytest.mark.parametrize("what", [noise(100), [noise(100)]])
def test_sound_without_a_rate_is_refused(what):
    with pytest.raises(AudioError, match="sample_rate="):
        open_source(what)


def test_what_is_no_sound_is_refused():
    with pytest.raises(TypeError, match="int is no source"):
        open_source(3)
