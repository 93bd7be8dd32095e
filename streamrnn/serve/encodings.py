"""Encodings of sound in binary messages."""

import asyncio

import numpy as np
from jaxtyping import Float

from streamrnn.audio import AudioError, Encoding, as_samples
from streamrnn.audio.encodings import from_bytes, sample_bytes
from streamrnn.audio.encodings import to_bytes as encoded

# Validating longer messages would take long enough for other streams to notice.
LONG_BYTES = 65_536


def decoded(data: bytes, encoding: Encoding, channels: int) -> Float[np.ndarray, " samples"]:
    """Decodes a binary message to float32[samples], mono, in [-1, 1].

    Raises:
        AudioError: as `unpacked`; or it holds NaN, infinity or amplitudes above 64.
    """
    return as_samples(unpacked(data, encoding, channels))


def unpacked(data: bytes, encoding: Encoding, channels: int) -> np.ndarray:
    """A binary message as a chunk, int16 or float32, [samples] or [samples, channels]; values are not checked.

    Raises:
        AudioError: it is not a whole number of samples of all channels.
    """
    frame_bytes = sample_bytes(encoding) * channels
    if len(data) % frame_bytes:
        raise AudioError(
            f"a message of sound has {len(data)} bytes; {channels} channels of {encoding} need a multiple of "
            f"{frame_bytes}. Keep the rest for the next message."
        )
    samples = from_bytes(data, encoding)
    return samples if channels == 1 else samples.reshape(-1, channels)


async def checked(data: bytes, encoding: Encoding, channels: int) -> np.ndarray:
    """Like `unpacked`, with checked values; in another thread if the check takes long.

    Raises:
        AudioError: as `unpacked` and `as_samples`.
    """
    samples = unpacked(data, encoding, channels)
    # Any 16 bits are valid sound; only mixing more than two channels can exceed the range.
    if encoding != "f32le" and channels <= 2:
        return samples
    return as_samples(samples) if samples.nbytes < LONG_BYTES else await asyncio.to_thread(as_samples, samples)


__all__ = ["checked", "decoded", "encoded", "unpacked"]
