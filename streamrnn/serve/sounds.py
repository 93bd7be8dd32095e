"""Sound streams: how binary messages are read, and how results are sent. Other streams use Items."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import numpy as np

from streamrnn.audio import Encoding
from streamrnn.audio.encodings import sample_bytes
from streamrnn.runtime import Answer, PooledStream
from streamrnn.serve.encodings import checked, encoded
from streamrnn.serve.protocol import Hello, ProtocolError

# Long messages are fed in pieces, each of which must fit into a stream's queue.
PIECE_S = 0.1
# Messages with less sound than this cost more than they are worth.
SMALL_S = 0.01


class Carried(Protocol):
    """How the messages of a stream are read, and how its answers are sent."""

    sample_rate: int | None
    """Encoding of its sound; None if it carries none."""
    piece: int
    """Samples or frames fed at once."""
    small_bytes: int
    """Binary messages with fewer bytes count as small."""
    by_number: bool
    """Whether each output is one message, rather than as ticks group them."""

    async def units(self, message: Any) -> np.ndarray:
        """The validated samples or frames of a message. Raises ProtocolError."""
        ...

    def said(self, answer: Answer, frame: int) -> Iterator[bytes | tuple[str, dict[str, Any]]]:
        """The messages for an answer whose outputs start at number `frame`: bytes, or kinds of texts with fields."""
        ...


class Sounds:
    """Sound in an encoding; results are events, sound or numbers.

    Args:
        stream: of a model that takes sound.
        hello: the client's request.
    """

    def __init__(self, stream: PooledStream, hello: Hello):
        self.sample_rate: int | None = stream.sample_rate
        self._encoding: Encoding = cast(Encoding, hello.encoding)
        self._channels = hello.channels
        self._gives = stream.outlet.gives
        self.piece, self.by_number = max(1, int(PIECE_S * stream.sample_rate)), self._gives == "events"
        self.small_bytes = int(SMALL_S * stream.sample_rate) * hello.channels * sample_bytes(self._encoding)

    async def units(self, message: Any) -> np.ndarray:
        if not isinstance(message, bytes):
            raise ProtocolError("bad_message", "items arrived, but this stream takes sound. Send it as binary.")
        try:
            return await checked(message, self._encoding, self._channels)
        except ValueError as error:
            raise ProtocolError("bad_audio", str(error)) from None

    def said(self, answer: Answer, frame: int) -> Iterator[bytes | tuple[str, dict[str, Any]]]:
        yield from (("event", event.to_dict()) for event in answer.events)
        if answer.sound is not None and len(answer.sound):
            yield encoded(answer.sound, self._encoding)
        if self._gives == "numbers" and len(answer.outputs):
            yield answer.outputs.astype("<f4").tobytes()


__all__ = ["SMALL_S", "Carried", "Sounds"]
