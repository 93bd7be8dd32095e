import threading
import time
import warnings

import numpy as np
import pytest
import soundfile

from streamrnn.audio import AudioError, AudioFile, AudioWarning, read_audio, write_audio
from streamrnn.audio.decoding import Decoder

RATE = 16000


@pytest.fixture
def speech():
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(3 * RATE)).astype(np.float32)


@pytest.mark.parametrize("subtype, step", [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-24), ("FLOAT", 0)])
def test_every_depth_of_a_wav_file_is_read(tmp_path, speech, subtype, step):
    soundfile.write(tmp_path / "a.wav", speech, RATE, subtype=subtype)
    samples, sample_rate = read_audio(tmp_path / "a.wav")
    assert sample_rate == RATE and samples.dtype == np.float32
    np.testing.assert_allclose(samples, speech, rtol=0, atol=step)


@pytest.mark.parametrize("extension", ["flac", "ogg", "mp3"])
def test_compressed_files_are_read(tmp_path, speech, extension):
    write_audio(tmp_path / f"a.{extension}", speech, RATE)
    samples, sample_rate = read_audio(tmp_path / f"a.{extension}")
    assert sample_rate == RATE and abs(len(samples) - len(speech)) < 0.1 * RATE


def test_seven_channels_are_delivered_and_averaged(tmp_path):
    audio = np.random.default_rng(0).uniform(-1, 1, (1000, 7)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    with AudioFile(tmp_path / "a.wav") as file:
        assert (file.channels, file.frames, file.sample_rate, file.duration_s) == (7, 1000, RATE, 1000 / RATE)
        np.testing.assert_array_equal(np.concatenate(list(file.chunks(64))), audio)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], audio.mean(axis=1), atol=1e-6)


def test_chunks_have_the_length_asked_for_and_a_shorter_end(tmp_path, speech):
    write_audio(tmp_path / "a.wav", speech, RATE)
    with AudioFile(tmp_path / "a.wav") as file:
        lengths = [len(chunk) for chunk in file.chunks(7000)]
        assert lengths == [7000] * 6 + [6000]
        assert [len(chunk) for chunk in file.chunks(7000)] == lengths


def test_a_closed_file_ends_its_chunks(tmp_path, speech):
    write_audio(tmp_path / "a.wav", speech, RATE)
    with AudioFile(tmp_path / "a.wav") as file:
        chunks = file.chunks(100)
        next(chunks)
        file.close()
        assert list(chunks) == []


def test_a_file_that_another_thread_closes_is_closed_after_the_read_that_is_under_way(tmp_path, speech, monkeypatch):
    write_audio(tmp_path / "a.flac", speech, RATE)
    read, close, order, is_reading = Decoder.read, Decoder.close, [], threading.Event()

    def slow_read(decoder, count):
        is_reading.set()
        time.sleep(0.1)
        order.append("read")
        return read(decoder, count)

    def told_close(decoder):
        order.append("closed")
        close(decoder)

    monkeypatch.setattr(Decoder, "read", slow_read)
    monkeypatch.setattr(Decoder, "close", told_close)
    file, heard = AudioFile(tmp_path / "a.flac"), []
    thread = threading.Thread(target=lambda: heard.extend(file.chunks(1000)))
    thread.start()
    assert is_reading.wait(10)
    file.close()
    thread.join(10)
    assert order[:2] == ["read", "closed"] and len(heard) == 1


@pytest.mark.parametrize("part", [(0, 10), (100, 2000), (47000, None), (47000, 99999), (60000, None), (5, 5)])
def test_a_part_of_a_file_equals_that_part_of_the_whole(tmp_path, speech, part):
    write_audio(tmp_path / "a.wav", speech, RATE)
    whole, _ = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", None, *part)[0], whole[slice(*part)])


@pytest.mark.parametrize("part", [(-1, 10), (20, 10)])
def test_a_part_that_ends_before_it_starts_is_refused(tmp_path, speech, part):
    write_audio(tmp_path / "a.wav", speech, RATE)
    with pytest.raises(AudioError, match="0 <= start <= stop"):
        read_audio(tmp_path / "a.wav", None, *part)


def test_chunks_need_a_sample(tmp_path, speech):
    write_audio(tmp_path / "a.wav", speech, RATE)
    with AudioFile(tmp_path / "a.wav") as file, pytest.raises(AudioError, match="chunk_samples is 0"):
        list(file.chunks(0))


def test_a_recording_is_resampled_on_request(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32) * 0.5
    soundfile.write(tmp_path / "a.wav", tone, 44100, subtype="FLOAT")
    samples, sample_rate = read_audio(tmp_path / "a.wav", sample_rate=RATE)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert sample_rate == RATE and len(samples) == RATE
    np.testing.assert_allclose(samples[500:-500], expected[500:-500], atol=1e-4)


def test_the_content_decides_the_format_not_the_extension(tmp_path, speech):
    write_audio(tmp_path / "a.wav", speech, RATE)
    wav = tmp_path / "a.wav"
    wav.rename(tmp_path / "really_wav.flac")
    assert len(read_audio(tmp_path / "really_wav.flac")[0]) == len(speech)


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        AudioFile(tmp_path / "none.wav")


@pytest.mark.parametrize("name", ["text.wav", "headerless.raw"])
def test_a_file_that_is_no_audio_says_how_to_convert_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"neither a header nor samples " * 50)
    with pytest.raises(AudioError, match=r"FLAC.*OGG.*WAV.*ffmpeg"):
        AudioFile(tmp_path / name)


def test_a_directory_and_an_empty_file_are_named_as_such(tmp_path):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match="0 bytes"):
        AudioFile(tmp_path / "empty.wav")
    with pytest.raises(AudioError, match="directory"):
        AudioFile(tmp_path)


def test_a_truncated_ogg_file_just_is_shorter(tmp_path, speech):
    path = tmp_path / "a.ogg"
    write_audio(path, speech, RATE)
    whole, _ = read_audio(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, _ = read_audio(path)
    assert 0.2 * len(whole) < len(samples) < 0.7 * len(whole)
    np.testing.assert_array_equal(samples[: RATE // 2], whole[: RATE // 2])


@pytest.mark.parametrize("chunk_samples", [1000, 10**6])
def test_a_truncated_wav_file_gives_all_that_it_holds_and_then_warns(tmp_path, speech, chunk_samples):
    path = tmp_path / "a.wav"
    write_audio(path, speech, RATE)
    whole, _ = read_audio(path)
    path.write_bytes(path.read_bytes()[: 44 + 2 * RATE])
    chunks = []
    with AudioFile(path) as file, pytest.warns(AudioWarning, match=r"is cut off: 1\.00 s of 3\.00 s are there"):
        chunks.extend(file.chunks(chunk_samples))
    assert file.frames == RATE
    np.testing.assert_array_equal(np.concatenate(chunks), whole[:RATE])


@pytest.mark.parametrize("chunk_samples", [1000, 10**6])
def test_a_truncated_flac_file_gives_all_that_decodes_and_then_warns(tmp_path, speech, chunk_samples):
    path = tmp_path / "a.flac"
    write_audio(path, speech, RATE)
    whole, _ = read_audio(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    chunks = []
    with AudioFile(path) as file, pytest.warns(AudioWarning, match=r"1\.28 s of 3\.00 s could be decoded"):
        chunks.extend(file.chunks(chunk_samples))
    samples = np.concatenate(chunks)
    assert len(samples) == 5 * 4096
    np.testing.assert_array_equal(samples, whole[: len(samples)])


def test_an_intact_part_of_a_truncated_file_gives_no_warning(tmp_path, speech):
    path = tmp_path / "a.flac"
    write_audio(path, speech, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_audio(path, stop=1000)[0]) == 1000


def test_int16_and_stereo_are_written(tmp_path):
    audio = np.array([[0, 100], [-32768, 32767]], np.int16)
    write_audio(tmp_path / "a.wav", audio, RATE)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], audio)


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<i2", ">i2", "<i4", ">i4"])
def test_any_kind_of_samples_is_written_as_the_same_sound(tmp_path, dtype):
    scale = {"i2": 2**15, "i4": 2**31}.get(dtype[1:], 1)
    write_audio(tmp_path / "a.wav", (np.array([0.5, -0.25, 0.125]) * scale).astype(dtype), RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], [0.5, -0.25, 0.125], atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "rate", "error", "message"),
    [
        (np.array([0, np.nan]), RATE, AudioError, "NaN, the first at sample 1"),
        (np.zeros(9, np.int64), RATE, TypeError, "audio is int64"),
        (np.zeros(9, np.uint8), RATE, TypeError, "audio is uint8"),
        (np.zeros(9), 0, AudioError, "at 0 Hz"),
        (np.zeros(9), 16_000.5, AudioError, r"at 16000\.5 Hz"),
        (np.zeros(9), np.nan, AudioError, "at nan Hz"),
        (np.zeros(9), "fast", AudioError, "rate is 'fast'"),
    ],
)
def test_what_cannot_be_written_leaves_the_file_that_is_there(tmp_path, speech, samples, rate, error, message):
    write_audio(tmp_path / "a.wav", speech, 16_000.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(error, match=message):
        write_audio(tmp_path / "a.wav", samples, rate)
    assert len(read_audio(tmp_path / "a.wav")[0]) == len(speech)


def test_values_beyond_full_scale_are_clipped_not_wrapped(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([1.5, -1.5], np.float32), RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], [1, -1], atol=1e-4)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        write_audio(tmp_path / "nowhere" / "a.wav", np.zeros(10), RATE)


def test_a_place_that_cannot_be_written_names_its_folder(tmp_path):
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(AudioError, match=f"the folder {tmp_path} is writable"):
        write_audio(tmp_path / "taken.wav", np.zeros(10), RATE)


def test_an_unknown_extension_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"no format '\.xyz'"):
        write_audio(tmp_path / "a.xyz", np.zeros(10), RATE)


def test_an_array_that_is_no_audio_is_not_written(tmp_path):
    with pytest.raises(AudioError, match="transpose"):
        write_audio(tmp_path / "a.wav", np.zeros((2, 16000)), RATE)
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_flac_whose_length_was_left_open_is_not_lost(tmp_path, speech):
    """Encoders that write to a pipe cannot go back and fill in the length: STREAMINFO says 0 samples."""
    samples = speech
    path = tmp_path / "piped.flac"
    soundfile.write(path, samples, RATE)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # the upper 4 of 36 bits of the number of samples
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with AudioFile(path) as file:
        chunks = list(file.chunks(30_000))
    np.testing.assert_allclose(np.concatenate(chunks), samples, atol=1e-4)


def test_a_file_with_nan_is_refused_with_its_name_and_the_place(tmp_path, speech):
    speech[20_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", speech, RATE, subtype="FLOAT")
    with (
        AudioFile(tmp_path / "nan.wav") as file,
        pytest.raises(AudioError, match=r"nan\.wav .* sample 20000 \(1\.250 s\)"),
    ):
        list(file.chunks(1600))


def test_a_file_of_which_nothing_can_be_decoded_is_refused(tmp_path, speech):
    write_audio(tmp_path / "a.flac", speech, RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    start = data.index(b"\xff\xf8")
    data[start:] = bytes(len(data) - start)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioError, match=r"damaged: none of its 3\.00 s"):
        read_audio(tmp_path / "a.flac")
