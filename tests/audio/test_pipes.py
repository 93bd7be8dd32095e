"""A pipe may carry raw samples or a file of any kind; which of them, its first bytes say."""

import io
import itertools
import os
import shutil
import signal
import struct
import subprocess
import threading
import tracemalloc
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError, AudioFile, AudioWarning, PipeSource, as_samples
from streamrnn.audio.containers import FOREIGN, recognise
from tests.audio.broken import RATE, encoded, noise, wave_of, without_telling_frame

FORMS = ["AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV"]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


class Pipe(io.RawIOBase):
    """Gives bytes in pieces of a length of its own, cannot seek, and counts."""

    def __init__(self, data, piece_bytes=1000):
        self.data, self.piece_bytes, self.place = data, piece_bytes, 0

    def read1(self, size):
        piece = self.data[self.place : self.place + min(size, self.piece_bytes)]
        self.place += len(piece)
        return piece


def heard(data, piece_bytes=1000, **options):
    source = PipeSource(Pipe(data, piece_bytes), **options)
    none = np.zeros(0 if source.channels == 1 else (0, source.channels), np.float32)
    return np.concatenate([none, *source]), source.sample_rate


def of_file(data):
    with AudioFile(io.BytesIO(data)) as file:
        return np.concatenate(list(file.chunks(1000)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece_bytes", [333, 10**6])
def test_a_piped_file_sounds_as_the_file_does(form, piece_bytes):
    data = encoded(noise(1.5, 44_100, 2), 44_100, form)
    samples, rate = heard(data, piece_bytes)
    assert rate == 44_100
    np.testing.assert_array_equal(samples, of_file(data))


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ALAW", "ULAW", "PCM_U8"])
def test_encodings_of_wave_files_are_decoded(subtype):
    data = encoded(noise(1.0, 8000), 8000, "WAV", subtype)
    np.testing.assert_array_equal(heard(data)[0], of_file(data))


def test_a_wave_file_of_big_endian_samples_is_heard():
    np.testing.assert_allclose(heard(wave_of(noise(1.0), 2 * RATE, order=">"))[0], noise(1.0), atol=1e-4)


@pytest.mark.parametrize("form", [("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_of_joined_files_in_a_pipe_all_are_heard(form):
    data = encoded(noise(1.2), RATE, *form) + encoded(noise(0.7, seed=1), RATE, *form)
    np.testing.assert_array_equal(heard(data)[0], of_file(data))


@pytest.mark.parametrize("between", [b"", b"LIST\x04\x00\x00\x00abcd"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "PCM_U8", "GSM610", "IMA_ADPCM"])
def test_of_joined_wave_files_in_a_pipe_all_are_heard(subtype, between):
    first = encoded(noise(0.5)[:-1], RATE, "WAV", subtype)
    others = [encoded(noise(0.3, 44_100, 2), 44_100, "WAV"), encoded(noise(0.2, seed=1), RATE, "WAV", subtype)]
    data = between.join([first, *others])
    np.testing.assert_array_equal(heard(data)[0], of_file(data))


def test_a_recording_of_another_rate_that_follows_is_converted():
    data = encoded(noise(1.0), RATE) + encoded(noise(1.0, 48_000, 2), 48_000)
    np.testing.assert_array_equal(heard(data)[0], of_file(data))


def test_an_mp3_that_tells_no_length_sounds_as_the_file_does():
    data = without_telling_frame(encoded(noise(1.5), RATE, "MP3"))
    np.testing.assert_array_equal(heard(data)[0], of_file(data))


@pytest.mark.parametrize("form", ["MP3", "WAV", "AIFF", "RF64", "FLAC", "OGG"])
def test_tags_before_the_sound_are_passed_over(form):
    tag = b"ID3\x04\x00\x00\x00\x03\x00\x00" + bytes(3 * 2**14)
    data = encoded(noise(0.5), RATE, form)
    np.testing.assert_array_equal(heard(tag + data)[0], of_file(data))
    np.testing.assert_array_equal(of_file(tag + data), of_file(data))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "PCM_U8"])
def test_what_follows_the_sound_of_an_rf64_file_is_not_heard(subtype):
    data = encoded(noise(0.5)[:-1], RATE, "RF64", subtype)
    np.testing.assert_array_equal(heard(data + b"LIST\x04\x00\x00\x00abcd")[0], of_file(data))
    np.testing.assert_array_equal(heard(data + data)[0], np.tile(of_file(data), 2))
    np.testing.assert_array_equal(of_file(data + data), np.tile(of_file(data), 2))


@pytest.mark.parametrize("between", [b"", b"LIST\x04\x00\x00\x00abcd"])
def test_a_wave_file_without_sound_is_passed_over(between):
    first, last = wave_of(noise(0), 0), wave_of(noise(0.5), RATE)
    for data in (first + between + last, last + between + first + last):
        expected = np.tile(of_file(last), data.count(b"RIFF") - 1)
        np.testing.assert_array_equal(heard(data)[0], expected)
        np.testing.assert_array_equal(of_file(data), expected)
    assert len(heard(first + between)[0]) == 0


@pytest.mark.parametrize(("bits", "width"), [(12, 2), (20, 3), (24, 4)])
def test_samples_of_odd_widths_sound_as_in_the_file(bits, width):
    values = (noise(0.4) * 2.0 ** (8 * width - 1)).astype("<i4") & -(1 << (8 * width - bits))
    sound = b"".join(int(value).to_bytes(width, "little", signed=True) for value in values)
    data = bytearray(wave_of(noise(0), len(sound)) + sound)
    struct.pack_into("<IHH", data, 28, width * RATE, width, bits)
    assert len(of_file(bytes(data))) == len(values)
    np.testing.assert_array_equal(heard(bytes(data))[0], of_file(bytes(data)))


@pytest.mark.parametrize("form", ["AU", "FLAC", "MP3", "OGG", "CAF"])
def test_sound_is_heard_before_the_pipe_ends(form):
    data = encoded(noise(10.0), RATE, form)
    reader, writer = os.pipe()
    feeding = threading.Thread(target=lambda: os.write(writer, data[: len(data) // 2]))
    feeding.start()
    with os.fdopen(reader, "rb") as stream, PipeSource(stream) as source:
        chunks = iter(source)
        assert sum(len(next(chunks)) for _ in range(20)) == 2 * RATE
        feeding.join()
        os.close(writer)


def test_what_a_pythons_wave_module_writes_into_a_pipe_is_heard_in_full():
    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_where):
            raise OSError("it is a pipe")

        def tell(self):
            raise OSError("it is a pipe")

        def close(self):
            pass

    pipe, samples = Unseekable(), noise(1.0)
    file = wave.open(pipe, "wb")  # noqa: SIM115
    file.setparams((1, 2, RATE, 0, "NONE", ""))
    for start in range(0, RATE, 1600):
        file.writeframesraw(np.round(samples[start : start + 1600] * 32767).astype("<i2").tobytes())
    file._file = None  # It would complain when it goes that it cannot mend its header.
    data = pipe.getvalue()
    assert struct.unpack_from("<I", data, 40)[0] < 2 * RATE
    np.testing.assert_allclose(heard(data)[0], samples, atol=1e-4)


@pytest.mark.parametrize("odd", [False, True])
def test_known_chunks_behind_the_sound_end_it(odd):
    behind = (b"\0" if odd else b"") + b"LIST\x04\x00\x00\x00abcd"
    data = wave_of(noise(1.0), 2 * RATE, behind=behind)
    if odd:
        data = encoded(noise(1.0)[:-1], RATE, "WAV", "PCM_U8") + behind
    assert len(heard(data)[0]) == RATE - odd


def test_what_stands_in_a_header_beside_the_sound_is_not_kept():
    samples = noise(0.1)
    data = wave_of(samples, 2 * len(samples))
    size = 2**25
    data = data[:12] + b"LIST" + struct.pack("<I", size) + bytes(size) + data[12:]
    tracemalloc.start()
    received, _ = heard(data, 2**16)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(received) == len(samples) and peak_bytes < size / 8


# Raw samples stay raw samples


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 300, 8000, 32_767]), st.integers(0, 9000))
def test_no_sound_is_taken_for_a_container(seed, loudness, length):
    samples = np.random.default_rng(seed).integers(-loudness, loudness + 1, length).astype("<i2")
    data = samples.tobytes()
    assert recognise(lambda count: data[:count]) is None
    np.testing.assert_array_equal(heard(data)[0], as_samples(data))


@pytest.mark.parametrize("value", [0, -1, -2, 1, -1025, -256, 0x4747, -32_768])
def test_no_constant_is_taken_for_a_container(value):
    data = np.full(20_000, value, "<i2").tobytes()
    assert recognise(lambda count: data[:count]) is None


# What only ffmpeg decodes

HEADS = {
    "WebM or Matroska": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01",
    "MP4 or M4A": b"\0\0\0\x20ftypM4A \0\0\0\0",
    "AAC (ADTS)": b"".join(b"\xff\xf1\x60\x40\x02\x1f\xfc" + bytes(9) for _ in range(4)),
    "AMR": b"#!AMR\n",
    "WMA or ASF": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
    "MPEG-TS": (b"\x47\x40\0\x10" + bytes(184)) * 4,
    "AVI": b"RIFF\x00\x10\x00\x00AVI LIST",
    "FLV": b"FLV\x01\x04",
    "Ogg with another codec than Vorbis and Opus": b"OggS\0\2" + bytes(20) + b"\x01\x50Speex   ",
    "CAF with another codec than PCM and ALAC": b"caff\0\1\0\0desc" + bytes(16) + b"aac ",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_without_ffmpeg_every_container_is_refused_by_its_name(kind, monkeypatch):
    monkeypatch.setenv("PATH", "")
    data = HEADS[kind] + bytes(5000)
    with pytest.raises(AudioError) as caught:
        PipeSource(Pipe(data))
    assert kind in str(caught.value) and "ffmpeg" in str(caught.value)
    with pytest.raises(AudioError, match="ffmpeg"):
        AudioFile(io.BytesIO(data))


@needs_ffmpeg
def test_what_ffmpeg_finds_no_sound_in_is_refused_by_name():
    for kind in ("FLV", "AVI"):
        with pytest.raises(AudioError, match=f"{kind}, and ffmpeg finds no sound"):
            PipeSource(Pipe(HEADS[kind] + bytes(5000)))


def converted(options, samples=None):
    samples = noise(1.5) if samples is None else samples
    command = ["ffmpeg", "-loglevel", "error", "-f", "wav", "-i", "-", *options.split(), "-y", "pipe:1"]
    run = subprocess.run(command, input=encoded(samples, RATE, "WAV"), capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"this ffmpeg can't make it: {run.stderr.decode()[-200:]}")
    return run.stdout


@needs_ffmpeg
@pytest.mark.parametrize(
    "options",
    [
        "-c:a pcm_s16le -f matroska",
        "-c:a aac -f adts",
        "-c:a aac -f mpegts",
        "-c:a aac -movflags frag_keyframe+empty_moov -f mp4",
        "-c:a flac -f ogg",
        "-c:a pcm_s16le -f avi",
    ],
)
def test_with_ffmpeg_containers_are_decoded_from_pipes_and_files(options, tmp_path):
    data = converted(options)
    samples, rate = heard(data)
    assert rate == RATE and len(samples) == pytest.approx(1.5 * RATE, abs=0.2 * RATE)
    if "aac" not in options:
        np.testing.assert_allclose(samples, noise(1.5), atol=1e-4)
    (tmp_path / "a.bin").write_bytes(data)
    for place in (tmp_path / "a.bin", io.BytesIO(data)):
        with AudioFile(place) as file:
            assert file.frames is None and file.duration_s is None
            np.testing.assert_array_equal(np.concatenate(list(file.chunks(977))), samples)
            assert file.measured_frames() == len(samples)
            np.testing.assert_array_equal(np.concatenate(list(file.chunks(977, 5000, 9000))), samples[5000:9000])


@needs_ffmpeg
def test_an_mp4_file_with_its_index_at_the_end_is_decoded_from_a_pipe(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(noise(1.5), RATE, "WAV"))
    command = ["ffmpeg", "-loglevel", "error", "-i", tmp_path / "a.wav", "-c:a", "aac", tmp_path / "a.m4a"]
    subprocess.run(command, check=True)
    data = (tmp_path / "a.m4a").read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    assert len(heard(data)[0]) == pytest.approx(1.5 * RATE, abs=0.2 * RATE)


# Ends


def test_a_closed_pipe_of_a_container_ends():
    source = PipeSource(Pipe(encoded(noise(10.0))))
    chunks = iter(source)
    next(chunks)
    source.close()
    assert list(chunks) == []


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("told", [0, 0x7DFFFFFF, 0x7FFFFFFF, "as it is, cut off"])
def test_sound_in_blocks_ends_where_its_bytes_do(subtype, told):
    data = encoded(noise(1.0, 8000), 8000, "WAV", subtype)
    whole, place = of_file(data), data.index(b"data") + 4
    cut_off = data[: len(data) // 2]
    data = data[:place] + struct.pack("<I", told) + data[place + 4 :] if isinstance(told, int) else cut_off
    samples = np.concatenate(list(itertools.islice(PipeSource(Pipe(data)), 100)))
    assert len(samples) == len(whole) or (told == "as it is, cut off" and len(samples) > 0.3 * len(whole))
    np.testing.assert_array_equal(samples, whole[: len(samples)])


@pytest.mark.parametrize("form", FORMS)
def test_a_pipe_that_was_heard_to_its_end_gives_nothing_more(form):
    source = PipeSource(Pipe(encoded(noise(0.5), RATE, form)))
    heard = [len(np.concatenate(list(source)))]
    again = threading.Thread(target=lambda: heard.append(sum(map(len, source))), daemon=True)
    again.start()
    again.join(10)
    assert heard[0] > 0 and heard[1:] == [0]


@pytest.mark.parametrize("form", ["AIFF", "FLAC", "MP3", "OGG"])
def test_a_closed_pipe_is_read_no_further(form):
    pipe = Pipe(encoded(noise(20.0), RATE, form))
    before = set(threading.enumerate())
    with PipeSource(pipe) as source:
        decoding = set(threading.enumerate()) - before
        next(iter(source))
    for thread in decoding:
        thread.join(10)
    assert pipe.place < len(pipe.data) / 2


@needs_ffmpeg
@pytest.mark.parametrize("chunks", [0, 1])
@pytest.mark.parametrize("options", ["-c:a pcm_s16le -f matroska", "-c:a aac -movflags frag_keyframe -f mp4"])
def test_a_closed_pipe_of_a_container_leaves_no_process_and_no_file(options, chunks, monkeypatch):
    data, started, begin = converted(options, noise(30.0)), [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: started.append(begin(*args, **more)) or started[-1])
    source = PipeSource(Pipe(data))
    sound = iter(source)
    for _ in range(chunks):
        next(sound)
    source.close()
    assert [process.poll() is not None and process.stdout.closed for process in started] == [True]
    assert list(sound) == list(source) == []


@needs_ffmpeg
def test_a_silent_pipe_of_a_container_is_closed_in_a_handler_of_signals():
    data = converted("-c:a pcm_s16le -f matroska", noise(3.0))
    reader, writer = os.pipe()
    os.write(writer, data[: len(data) // 2])
    with os.fdopen(reader, "rb") as stream:
        source = PipeSource(stream)
        before = signal.signal(signal.SIGALRM, lambda *_: source.close())
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            assert 0 < sum(map(len, source)) < 3 * RATE
        finally:
            signal.signal(signal.SIGALRM, before)
            os.close(writer)


def test_a_piped_file_that_is_damaged_says_so():
    data = encoded(noise(3.0))
    data = data[: len(data) // 2]
    with pytest.warns(AudioWarning, match="damaged or cut off"):
        samples, _ = heard(data)
    assert RATE < len(samples) < 2 * RATE


def test_a_container_without_sound_is_refused():
    with pytest.raises(AudioError, match="carries FLAC, of which nothing can be decoded"):
        PipeSource(Pipe(b"fLaC" + bytes(50)))


def test_an_error_of_the_pipe_is_no_end_of_the_sound():
    class Failing(Pipe):
        def read1(self, size):
            if self.place > 30_000:
                raise OSError("the line is dead")
            return super().read1(size)

    source = PipeSource(Failing(encoded(noise(5.0))))
    with pytest.raises(AudioError, match="the line is dead"):
        list(source)
