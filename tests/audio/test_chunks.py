import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError, as_samples


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_keep_their_values(dtype):
    samples = as_samples(np.array([0.5, -1.0, 0.25], dtype))
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, [0.5, -1.0, 0.25])


@pytest.mark.parametrize("dtype", [np.int16, ">i2"])
def test_int16_is_divided_by_32768(dtype):
    np.testing.assert_array_equal(as_samples(np.array([-32768, 0, 16384], dtype)), [-1.0, 0.0, 0.5])


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: memoryview(array.array("h", data))])
def test_bytes_are_little_endian_16_bit(wrap):
    np.testing.assert_array_equal(as_samples(wrap(b"\x00\x40\x00\x80")), [0.5, -1.0])


def test_a_memoryview_of_floats_is_read_as_floats():
    np.testing.assert_array_equal(as_samples(memoryview(array.array("f", [0.5, -0.25]))), [0.5, -0.25])


@pytest.mark.parametrize("chunk", [b"", [], np.zeros(0, np.int16), np.zeros((0, 2), np.float32)])
def test_a_chunk_of_length_zero_gives_no_samples(chunk):
    samples = as_samples(chunk)
    assert samples.shape == (0,) and samples.dtype == np.float32


def test_channels_are_averaged():
    np.testing.assert_allclose(as_samples(np.array([[0.2, 0.4], [-1.0, 1.0]])), [0.3, 0.0], atol=1e-7)
    np.testing.assert_array_equal(as_samples(np.array([[16384, 0]], np.int16)), [0.25])
    np.testing.assert_array_equal(as_samples(np.array([[0.5], [0.25]])), [0.5, 0.25])


@given(channels=st.integers(2, 12), cut=st.integers(1, 49), transposed=st.booleans())
def test_the_mean_of_channels_does_not_depend_on_where_a_recording_is_cut(channels, cut, transposed):
    audio = np.random.default_rng(channels).uniform(-1, 1, (50, channels)).astype(np.float32)
    audio = np.asfortranarray(audio) if transposed else audio
    pieces = np.concatenate([as_samples(audio[i : i + cut]) for i in range(0, 50, cut)])
    np.testing.assert_array_equal(pieces, as_samples(audio))


def test_an_odd_number_of_bytes_is_refused():
    with pytest.raises(AudioError, match="3 bytes"):
        as_samples(b"abc")


def test_nan_and_infinity_are_counted_and_located():
    chunk = np.zeros((100, 2))
    chunk[41, 1], chunk[60, 0] = np.nan, np.inf
    with pytest.raises(AudioError, match=r"2 values .* first at sample 41"):
        as_samples(chunk)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.complex64, np.longdouble, object])
def test_other_numbers_are_refused_with_the_conversion(dtype):
    with pytest.raises(TypeError, match=r"2\*\*31"):
        as_samples(np.zeros(4, dtype))


@pytest.mark.parametrize("shape", [(), (2, 3, 4), (5, 0)])
def test_shapes_other_than_n_and_n_by_channels_are_refused(shape):
    with pytest.raises(AudioError, match="shape"):
        as_samples(np.zeros(shape))


def test_swapped_axes_are_recognised():
    as_samples(np.zeros((2, 64)))
    with pytest.raises(AudioError, match="transpose"):
        as_samples(np.zeros((2, 65)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_16_bit_values_stored_as_floats_are_recognised(dtype):
    as_samples(np.array([64.0, -64.0], dtype))
    with pytest.raises(AudioError, match=r"-?12000.* divide by 32768"):
        as_samples(np.array([0.0, -12000.0], dtype))
