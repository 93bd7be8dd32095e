import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.audio import AudioError, BlockBuffer


def chunked(samples, lengths):
    """The samples in chunks of these lengths, the rest as the last one."""
    return np.split(samples, np.minimum(np.cumsum(lengths, dtype=int), len(samples)))


@given(block=st.integers(1, 40), length=st.integers(0, 300), lengths=st.lists(st.integers(0, 90), max_size=12))
def test_any_chunking_gives_the_same_blocks(block, length, lengths):
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    buffer = BlockBuffer(block)
    pushed = np.concatenate([buffer.push(chunk) for chunk in chunked(samples, lengths)])
    assert buffer.pending == length % block
    blocks = np.concatenate([pushed, buffer.flush()])
    padded = np.pad(samples, (0, -length % block))
    np.testing.assert_array_equal(blocks, padded.reshape(-1, block))
    assert blocks.dtype == np.float32 and buffer.pending == 0


def test_a_chunk_of_length_zero_changes_nothing():
    buffer = BlockBuffer(4)
    buffer.push(np.ones(3, np.float32))
    assert buffer.push(np.ones(0, np.float32)).shape == (0, 4)
    assert buffer.pending == 3


def test_an_empty_buffer_flushes_no_block():
    assert BlockBuffer(4).flush().shape == (0, 4)


def test_blocks_stay_as_they_are_while_the_buffer_goes_on():
    buffer = BlockBuffer(4)
    blocks = buffer.push(np.arange(4, dtype=np.float32))
    buffer.push(np.full(7, 9, np.float32))
    np.testing.assert_array_equal(blocks, [[0, 1, 2, 3]])


def test_a_chunk_may_be_overwritten_after_the_push():
    buffer, chunk = BlockBuffer(4), np.ones(2, np.float32)
    buffer.push(chunk)
    chunk[:] = 9
    np.testing.assert_array_equal(buffer.push(np.zeros(2, np.float32)), [[1, 1, 0, 0]])


def test_a_reset_buffer_equals_a_fresh_one():
    buffer = BlockBuffer(4)
    buffer.push(np.ones(3, np.float32))
    buffer.reset()
    assert buffer.pending == 0
    np.testing.assert_array_equal(buffer.push(np.zeros(4, np.float32)), np.zeros((1, 4)))


def test_a_snapshot_is_a_copy_that_another_buffer_goes_on_from():
    buffer, other = BlockBuffer(4), BlockBuffer(4)
    buffer.push(np.array([1, 2, 3], np.float32))
    snapshot = buffer.snapshot()
    buffer.push(np.zeros(10, np.float32))
    other.push(np.ones(2, np.float32))
    other.restore(snapshot)
    np.testing.assert_array_equal(other.push(np.array([4], np.float32)), [[1, 2, 3, 4]])


def test_the_snapshot_of_a_longer_block_is_refused():
    with pytest.raises(AudioError, match="snapshot holds 4 samples"):
        BlockBuffer(4).restore(np.zeros(4, np.float32))


def test_a_block_needs_a_sample():
    with pytest.raises(ValueError, match="block_samples is 0"):
        BlockBuffer(0)
