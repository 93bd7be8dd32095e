"""Sound as bytes, the two ways that the protocol knows."""

import numpy as np
from jaxtyping import Float

from streamrnn.audio import AudioError, as_samples
from streamrnn.serve.protocol import Encoding

DTYPES: dict[str, np.dtype] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}


def decoded(data: bytes, encoding: Encoding, channels: int) -> Float[np.ndarray, " samples"]:
    """A binary message as float32[samples], mono, in [-1, 1].

    Raises:
        AudioError: as `unpacked`; or it holds NaN, infinity or amplitudes above 64.
    """
    return as_samples(unpacked(data, encoding, channels))


def unpacked(data: bytes, encoding: Encoding, channels: int) -> np.ndarray:
    """A binary message as a chunk, int16 or float32, [samples] or [samples, channels]; its values are not looked at.

    Raises:
        AudioError: it is no whole number of samples of all channels.
    """
    dtype = DTYPES[encoding]
    frame_bytes = dtype.itemsize * channels
    if len(data) % frame_bytes:
        raise AudioError(
            f"a message of sound has {len(data)} bytes; {channels} channels of {encoding} need a multiple of "
            f"{frame_bytes}. Keep the rest for the next message."
        )
    samples = np.frombuffer(data, dtype)
    return samples if channels == 1 else samples.reshape(-1, channels)


def encoded(samples: Float[np.ndarray, " samples"], encoding: Encoding) -> bytes:
    """float32[samples] in [-1, 1], mono, as a binary message; s16le clips what lies beyond."""
    if encoding == "f32le":
        return samples.astype(DTYPES[encoding], copy=False).tobytes()
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(DTYPES[encoding]).tobytes()


__all__ = ["DTYPES", "decoded", "encoded", "unpacked"]
