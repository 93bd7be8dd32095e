"""What streams carry: sound in binary messages, and what is said of it. Streams of anything else carry Items."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import numpy as np

from streamrnn.audio import Encoding
from streamrnn.audio.encodings import sample_bytes
from streamrnn.runtime import Answer, PooledStream
from streamrnn.serve.encodings import checked, encoded
from streamrnn.serve.protocol import Hello, ProtocolError

# Long messages are fed in pieces: one must fit into what may wait for a stream.
PIECE_S = 0.1
# Messages of less sound than this cost more than they bring.
SMALL_S = 0.01


class Carried(Protocol):
    """How the messages of a stream are read, and what is said of its answers."""

    sample_rate: int | None
    """Of its sound; None where it carries none."""
    piece: int
    """Samples or frames that are fed at once."""
    small_bytes: int
    """Binary messages of fewer bytes are counted."""
    by_number: bool
    """Whether its messages come one by one, and are not cut as ticks like."""

    async def units(self, message: Any) -> np.ndarray:
        """The samples or frames of a message, checked. Raises ProtocolError."""
        ...

    def said(self, answer: Answer, frame: int) -> Iterator[bytes | tuple[str, dict[str, Any]]]:
        """Binary messages, or kinds of texts with their fields, of an answer whose outputs begin with this number."""
        ...


class Sounds:
    """Sound in an encoding; what is said of it are events, sound or numbers.

    Args:
        stream: of a model of sound.
        hello: how it comes.
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
            raise ProtocolError("bad_message", "items came, and this stream hears sound. Send it as binary.")
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
