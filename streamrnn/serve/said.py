"""The messages sent to one client: numbered, and kept within limits for replay."""

from collections import deque

from streamrnn.serve.buffered import Buffered
from streamrnn.serve.handover import Handover
from streamrnn.serve.protocol import Resume

Payload = str | bytes


class Said:
    """The numbered messages of a stream, the last of them kept.

    Args:
        most_bytes: limit of what is kept.
        buffered: the total kept by all streams of the server.

    Attributes:
        seq: number of the last message.
        sounded_bytes: bytes of binary messages since the stream began.
        kept_bytes: bytes kept now.
        heard: number of the last message that the client received from another server.
    """

    def __init__(self, most_bytes: int, buffered: Buffered):
        self._most_bytes, self._buffered = most_bytes, buffered
        self._kept: deque[Payload] = deque()
        self.seq = self.sounded_bytes = self.kept_bytes = self.heard = 0
        self._heard_bytes = 0
        buffered.holders.add(self)

    def add(self, payload: Payload) -> Payload | None:
        """Numbers a message. Returns what to send of it; None if the client received it from another server."""
        if isinstance(payload, bytes) and self._heard_bytes:
            heard, self._heard_bytes = self._heard_bytes, max(0, self._heard_bytes - len(payload))
            payload = payload[heard:]
            if not payload:
                return None
        self.seq += 1
        self.sounded_bytes += len(payload) if isinstance(payload, bytes) else 0
        self._keep(payload)
        self._buffered.make_room()
        return payload if self.seq > self.heard else None

    def go_on(self, handover: Handover, resume: Resume, by_number: bool) -> None:
        """Continues after another server's messages, of which the client may have received more than the handover
        includes: repetitions of these are not sent.

        Args:
            handover: the other server's position.
            resume: the client's position.
            by_number: messages are repeated one by one; else they are sound, which ticks may cut differently.
        """
        self.give_up(0)
        self.seq, self.sounded_bytes, self.heard = handover.seq, handover.sounded_bytes, resume.seq
        for payload in handover.said:
            self._keep(payload)
        if resume.seq > handover.seq and not by_number:
            self.give_up(0)
            self._heard_bytes = resume.sounded_bytes - handover.sounded_bytes
            self.seq, self.sounded_bytes = resume.seq, resume.sounded_bytes

    def begin(self) -> None:
        """A new stream begins. None of it came from another server, whatever came of the old one."""
        if self.heard > self.seq:
            self.give_up(0)
            self.seq = self.heard
        self.sounded_bytes = self._heard_bytes = self.heard = 0

    @property
    def first(self) -> int:
        """Number of the first message kept; of the next message if none is."""
        return self.seq - len(self._kept) + 1

    def after(self, heard: int, last: int) -> list[Payload]:
        """The messages after number `heard`, up to `last`."""
        return list(self._kept)[max(0, heard + 1 - self.first) : max(0, last + 1 - self.first)]

    def last(self, most_bytes: int) -> list[Payload]:
        """The last messages, up to so many bytes in total."""
        found: deque[Payload] = deque()
        for payload in reversed(self._kept):
            most_bytes -= len(payload)
            if most_bytes < 0:
                break
            found.appendleft(payload)
        return list(found)

    def keep_nothing(self) -> None:
        """Stops keeping messages: nobody can ask for a replay."""
        self._most_bytes = 0
        self.give_up(0)

    def end(self) -> None:
        """Discards everything."""
        self.give_up(0)
        self._buffered.holders.discard(self)

    def give_up(self, most: int) -> None:
        """Keeps at most so many bytes."""
        while self.kept_bytes > most:
            dropped = len(self._kept.popleft())
            self.kept_bytes -= dropped
            self._buffered.bytes -= dropped

    def _keep(self, payload: Payload) -> None:
        self._kept.append(payload)
        self.kept_bytes += len(payload)
        self._buffered.bytes += len(payload)
        self.give_up(self._most_bytes)


__all__ = ["Payload", "Said"]
