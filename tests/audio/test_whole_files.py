"""A file is heard to its real end, whatever its header tells."""

import io
import os
import struct
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError, AudioFile, AudioWarning, open_source, read_audio
from streamrnn.audio.joined import FlacJoints, Mp3Joints, OggJoints
from tests.audio.broken import RATE, encoded, ending_later, noise, wave_of, without_telling_frame

KINDS = {"flac": ("FLAC", None), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", None)}


def file_of(data):
    return AudioFile(io.BytesIO(data))


def whole(data, chunk_samples=7001):
    with file_of(data) as file:
        frames = file.frames
        samples = np.concatenate([np.zeros(0, np.float32), *file.chunks(chunk_samples)])
    assert frames == len(samples)
    return samples


@pytest.mark.parametrize("kind", KINDS)
def test_of_joined_files_all_are_read_as_each_is_alone(kind):
    one, other = (encoded(noise(seconds, seed=seed), RATE, *KINDS[kind]) for seconds, seed in ((1.3, 0), (0.8, 1)))
    np.testing.assert_array_equal(whole(one + other), np.concatenate([whole(one), whole(other)]))


@given(kind=st.sampled_from(sorted(KINDS)), chunk_samples=st.integers(1, 60_000), start=st.integers(0, 40_000))
def test_joined_files_give_the_same_samples_in_any_cutting(kind, chunk_samples, start):
    data = JOINED[kind]
    expected = whole(data)
    chunk_samples = max(chunk_samples, 200)
    with file_of(data) as file:
        chunks = list(file.chunks(chunk_samples, start, 45_000))
    assert {len(chunk) for chunk in chunks[:-1]} <= {chunk_samples}
    samples = np.concatenate([np.zeros(0, np.float32), *chunks])
    # Decoders that start within a file differ in the last bits, and those of MP3 need the frames before.
    tolerance = {"mp3": 0.2, "opus": 0.05}.get(kind, 0)
    np.testing.assert_allclose(samples[1200:], expected[start:45_000][1200:], atol=tolerance if start else 0)
    assert len(samples) == len(expected[start:45_000])


JOINED = {
    kind: b"".join(encoded(noise(1.1, seed=seed), RATE, *form) for seed in range(3)) for kind, form in KINDS.items()
}
FINDERS = {"flac": FlacJoints, "ogg": OggJoints, "opus": OggJoints, "mp3": Mp3Joints}


@given(kind=st.sampled_from(sorted(KINDS)), cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_joints_are_found_in_any_cutting_of_the_bytes(kind, cuts):
    data, finder, place = JOINED[kind], FINDERS[kind](), 0
    for cut in cuts:
        finder.feed(data[place : place + cut])
        assert all(start <= finder.safe for start in finder.starts[:-1])
        place += cut
    finder.feed(data[place:])
    finder.end()
    at_once = FINDERS[kind]()
    at_once.feed(data)
    at_once.end()
    assert finder.starts == at_once.starts and len(finder.starts) == 3


def test_a_recording_of_another_rate_and_more_channels_is_converted_to_those_of_the_first():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
    joined = encoded(noise(1.0), RATE) + encoded(np.stack([tone, tone], axis=1), 48_000)
    samples = whole(joined)
    assert len(samples) == 2 * RATE
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(samples[RATE + 200 : -200], expected[200:-200], atol=1e-3)


def test_a_mono_recording_behind_a_stereo_one_is_on_both_channels():
    with file_of(encoded(noise(0.5, channels=2)) + encoded(noise(0.5, seed=3))) as file:
        second = np.concatenate(list(file.chunks(1000)))[RATE // 2 :]
    np.testing.assert_array_equal(second[:, 0], second[:, 1])
    np.testing.assert_allclose(second[:, 0], noise(0.5, seed=3), atol=1e-4)


def test_an_mp3_of_variable_rate_that_tells_no_length_is_read_to_its_end():
    told = encoded(np.concatenate([noise(1.0), np.zeros(4 * RATE, np.float32), noise(1.0)]), RATE, "MP3")
    # Nothing tells where the encoder's padding ends, either.
    assert 0 <= len(whole(without_telling_frame(told))) - 6 * RATE < 0.2 * RATE
    assert len(whole(told)) == 6 * RATE


def test_an_mp3_that_was_cut_off_says_how_much_is_missing():
    data = encoded(noise(3.0), RATE, "MP3")
    with (
        file_of(data[: len(data) // 2]) as file,
        pytest.warns(AudioWarning, match=r"is cut off: 1\.\d\d s of 3\.\d\d s are there"),
    ):
        samples = np.concatenate(list(file.chunks(1000)))
    assert len(samples) == file.frames
    np.testing.assert_array_equal(samples[:RATE], whole(data)[:RATE])


def test_tags_around_an_mp3_are_no_sound():
    data = encoded(noise(1.0), RATE, "MP3")
    tag = b"ID3\x04\x00\x00\x00\x00\x07\x76" + bytes(1014)
    np.testing.assert_array_equal(whole(tag + data + b"TAG" + bytes(125) + tag + data), whole(data + data))


@pytest.mark.parametrize("told", [0, 2 * RATE // 10, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_wave_file_whose_header_was_never_finished_is_read_to_its_end_and_says_so(told, order):
    samples = noise(1.5)
    with file_of(wave_of(samples, told, order=order)) as file, pytest.warns(AudioWarning, match="never finished"):
        heard = np.concatenate(list(file.chunks(1000)))
    assert file.frames == len(samples)
    np.testing.assert_allclose(heard, samples, atol=1e-4)


BEHIND = [
    b"LIST\x04\x00\x00\x00abcd",
    b"LIST\x40\x00\x00\x00abcd",
    b"abcd\x06\x00\x00\x00123456LIST\x04\x00\x00\x00abcd",
    b"TAG" + bytes(125),
    bytes(20_000),
    b"\x12\x34\x56",
]


@pytest.mark.parametrize("behind", BEHIND)
def test_what_is_no_sound_behind_the_sound_of_a_wave_file_is_left_out_without_a_word(behind):
    assert len(whole(wave_of(noise(1.0), 2 * RATE, behind=behind))) == RATE


def test_a_wave_file_that_holds_no_sound_but_other_chunks_is_empty():
    assert len(whole(wave_of(noise(0), 0, behind=b"LIST\x04\x00\x00\x00abcd"))) == 0


def test_joined_wave_files_are_all_read():
    one, other = noise(1.0), noise(0.7, seed=1)
    samples = whole(wave_of(one, 2 * len(one)) + wave_of(other, 2 * len(other)))
    np.testing.assert_allclose(samples, np.concatenate([one, other]), atol=1e-4)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "NMS_ADPCM_32", "G721_32", "ALAW", "ULAW"])
def test_telephone_encodings_are_read_from_anywhere(subtype):
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 8000).astype(np.float32)
    data = encoded(tone, 8000, "WAV", subtype)
    samples = whole(data)
    np.testing.assert_allclose(samples[1000:15_000], tone[1000:15_000], atol=0.1)
    with file_of(data) as file:
        np.testing.assert_array_equal(np.concatenate(list(file.chunks(999, 3000, 5000))), samples[3000:5000])


def test_more_recordings_than_anybody_joins_are_refused(monkeypatch):
    monkeypatch.setattr("streamrnn.audio.joined.MOST_PARTS", 2)
    with file_of(JOINED["ogg"]) as file, pytest.raises(AudioError, match="joined from more than 2"):
        list(file.chunks(1000))


# Files of strangers


def strangers(data):
    return AudioFile(io.BytesIO(data), trusted=False)


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_the_formats_that_are_named_are_read_from_strangers(form):
    with strangers(encoded(noise(0.5), RATE, form)) as file:
        assert sum(map(len, file.chunks(1000))) == pytest.approx(RATE / 2, abs=100)


@pytest.mark.parametrize("form", ["SVX", "VOC", "IRCAM", "NIST", "MAT4", "MAT5", "HTK", "PVF", "AVR", "PAF"])
def test_other_formats_are_refused_from_strangers(form):
    with pytest.raises(AudioError, match="in no format that is known"):
        strangers(encoded(noise(0.5), RATE, form, "PCM_16"))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_sample_dump_is_refused_by_name_and_prints_nothing(trusted, capfd):
    data = b"\xf0\x7e\x00\x01\x00\x00\x10\x00\x00\x00" + bytes(200)
    with pytest.raises(AudioError, match="SDS"):
        AudioFile(io.BytesIO(data), trusted=trusted)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("head", [b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypM4A ", b"#!AMR\n", b"FLV\x01"])
def test_no_program_is_started_for_a_stranger(head, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_args, **_options: pytest.fail("it was started"))
    with pytest.raises(AudioError, match="which is not read"):
        strangers(head + bytes(100))


@pytest.mark.parametrize("rate, channels", [(44_101, 1), (4000, 1), (192_000, 1), (16_000, 9)])
def test_odd_rates_and_many_channels_are_refused_from_strangers(rate, channels):
    with pytest.raises(AudioError, match=r"samples per second|9 channels"):
        strangers(encoded(noise(0.1, rate, channels), rate, "WAV"))


def test_recordings_of_different_kinds_in_one_file_are_refused_from_strangers():
    data = encoded(noise(0.5)) + encoded(noise(0.5, 8000), 8000)
    with strangers(data) as file, pytest.raises(AudioError, match="different kinds"):
        list(file.chunks(1000))


# Names and other places


def test_names_that_are_not_utf_8_are_read_and_written(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    soundfile.write(tmp_path / "a.wav", noise(0.5), RATE)
    os.rename(tmp_path / "a.wav", path)
    assert len(read_audio(path)[0]) == RATE // 2
    with pytest.raises(AudioError, match=r"caf.*is empty"):
        open(path, "wb").close()
        AudioFile(path)


def test_a_file_object_is_read_as_a_file_and_left_open(tmp_path):
    data = encoded(noise(0.5))
    (tmp_path / "a.flac").write_bytes(data)
    with (tmp_path / "a.flac").open("rb") as file:
        for source in (file, io.BytesIO(data)):
            with open_source(source) as opened:
                assert opened.sample_rate == RATE and sum(map(len, opened)) == RATE // 2
            assert not source.closed


def test_raw_samples_in_a_file_object_need_their_rate():
    raw = np.zeros(1000, "<i2").tobytes()
    with open_source(io.BytesIO(raw), sample_rate=8000) as source:
        assert source.sample_rate == 8000 and sum(map(len, source)) == 1000
    with pytest.raises(AudioError, match="not in a format"):
        open_source(io.BytesIO(raw))
    with pytest.raises(TypeError, match="rb"):
        open_source(io.StringIO("text"))


def test_an_intact_file_gives_no_warning_in_any_format():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("WAV", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "W64", "RF64"):
            whole(encoded(noise(0.7), RATE, form))


def test_a_header_of_a_strange_encoding_names_the_file(tmp_path):
    data = bytearray(encoded(noise(0.5), RATE, "WAV"))
    data[20:22] = struct.pack("<H", 0x4321)
    (tmp_path / "odd.wav").write_bytes(data)
    with pytest.raises(AudioError, match=r"odd\.wav"):
        AudioFile(tmp_path / "odd.wav")


def test_raw_samples_at_a_rate_of_zero_are_refused(monkeypatch):
    raw = io.BytesIO(bytes(100))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False, buffer=raw))
    for what in ("-", raw):
        with pytest.raises(AudioError, match="sample_rate is 0 Hz"):
            open_source(what, sample_rate=0)


@pytest.mark.parametrize("told", ["as it is", 0, 0x7FFFFFFF])
@pytest.mark.parametrize("behind", [b"", b"LIST\x04\0\0\0abcd"])
def test_no_noise_is_made_of_the_byte_that_fills_up_a_file_of_gsm(told, behind):
    """Of 25 blocks of 65 bytes; a 26th was full scale."""
    data = encoded(noise(0.5), RATE, "WAV", "GSM610")
    place = data.index(b"data") + 4
    if isinstance(told, int):
        data = data[:place] + struct.pack("<I", told) + data[place + 4 :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)
        with AudioFile(io.BytesIO(data + (behind if told == "as it is" else b""))) as file:
            samples = np.concatenate(list(file.chunks(1000)))
    assert len(samples) == 25 * 320 and np.abs(samples).max() < 0.6


def test_opus_files_that_tell_of_some_milliseconds_too_many_are_whole():
    sound = encoded(noise(1.3), RATE, "OGG", "OPUS")
    samples, _ = read_audio(io.BytesIO(sound))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        later, _ = read_audio(io.BytesIO(ending_later(sound, 240)))
    assert 0 <= len(later) - len(samples) <= 240 * RATE / 48_000
    np.testing.assert_array_equal(later[: len(samples)], samples)


def test_opus_files_that_tell_of_much_more_than_they_hold_are_cut_off():
    sound = ending_later(encoded(noise(1.3), RATE, "OGG", "OPUS"), 48_000)
    with pytest.warns(AudioWarning, match="is cut off or damaged"):
        read_audio(io.BytesIO(sound))


@pytest.mark.parametrize("told", [0, 1000, 2**64 - 1])
def test_an_rf64_file_is_heard_to_its_end_whatever_its_header_tells(told):
    data = bytearray(encoded(noise(0.5), RATE, "RF64", "PCM_16"))
    expected = whole(bytes(data))
    struct.pack_into("<Q", data, data.index(b"ds64") + 16, told)
    with pytest.warns(AudioWarning, match="a header that was never finished"):
        np.testing.assert_array_equal(whole(bytes(data)), expected)
