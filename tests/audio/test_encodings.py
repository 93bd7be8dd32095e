"""G.711 against libsndfile: every code, and the nearest one for every sample."""

import io

import numpy as np
import pytest
import soundfile

from streamrnn.audio import AudioError, PipeSource, as_samples
from streamrnn.audio.encodings import ENCODINGS, from_bytes, sample_bytes, to_bytes

LAWS = {"mulaw": "ULAW", "alaw": "ALAW"}
CODES = bytes(range(256))


@pytest.mark.parametrize("law", LAWS)
def test_every_code_is_the_sample_that_libsndfile_reads(law):
    raw = {"format": "RAW", "subtype": LAWS[law], "samplerate": 8000, "channels": 1}
    expected, _ = soundfile.read(io.BytesIO(CODES), dtype="int16", **raw)
    np.testing.assert_array_equal(from_bytes(CODES, law), expected)
    np.testing.assert_array_equal(as_samples(CODES, law), expected.astype(np.float32) / 32768)
    np.testing.assert_array_equal(as_samples(np.frombuffer(CODES, np.uint8), law), as_samples(CODES, law))


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_becomes_the_nearest_code(law):
    samples = np.arange(-32768, 32768, 7)
    values = from_bytes(CODES, law).astype(int)
    found = from_bytes(to_bytes((samples / 32768).astype(np.float32), law), law)
    nearest = np.abs(samples[:, None] - values).min(axis=1)
    np.testing.assert_array_equal(np.abs(samples - found), nearest)


def test_silence_is_what_telephones_send_for_it():
    assert to_bytes(np.zeros(2, np.float32), "mulaw") == b"\xff\xff"
    assert to_bytes(np.zeros(1, np.float32), "alaw") in (b"\xd5", b"\x55")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_loud_sound_is_clipped_and_the_rest_comes_back(encoding):
    sound = np.array([-0.5, 0.25, 0.125, 2.0], np.float32)
    data = to_bytes(sound, encoding)
    assert len(data) == 4 * sample_bytes(encoding)
    back = as_samples(data, encoding)
    np.testing.assert_allclose(back[:3], sound[:3], rtol=0.04)
    assert back[3] == 2 if encoding == "f32le" else 0.95 < back[3] <= 1


def test_half_a_sample_is_refused():
    with pytest.raises(AudioError, match=r"3 bytes; samples of 32 bits \(f32le\) need a multiple of 4"):
        as_samples(b"abc", "f32le")


def test_bytes_of_a_telephone_without_an_encoding_are_told_apart_from_samples():
    with pytest.raises(TypeError, match="encoding='mulaw' or 'alaw'"):
        as_samples(np.zeros(160, np.uint8))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_pipe_carries_raw_samples_of_any_encoding(encoding, channels):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    data = to_bytes(sound, encoding)
    source = PipeSource(io.BytesIO(data), 8000, channels, encoding=encoding)
    heard = np.concatenate(list(source))
    assert source.sample_rate == 8000
    np.testing.assert_allclose(heard.reshape(-1), as_samples(data, encoding), atol=1e-7)


def test_a_pipe_refuses_encodings_that_there_are_not():
    with pytest.raises(ValueError, match="encoding is 'opus'; it must be s16le, f32le, mulaw or alaw"):
        PipeSource(io.BytesIO(b"12"), encoding="opus")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="encoding is 'opus'"):
        as_samples(b"12", "opus")  # pyright: ignore[reportArgumentType]
