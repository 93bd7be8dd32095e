"""Sound on its way to a server: messages are held until they are acknowledged, to be resent after a reconnect."""

from collections import deque


class Outbox:
    """Messages of whole samples, in order; positions count samples per channel from the beginning of the stream.

    Args:
        frame_bytes: bytes of one sample of all channels.
    """

    def __init__(self, frame_bytes: int):
        self._frame_bytes = frame_bytes
        self._messages: deque[bytes] = deque()
        self._sent = self.held_bytes = 0
        self.begin_samples = self.sent_samples = self.end_samples = 0
        """Positions of the first sample held, of the first one unsent, and of the end."""

    def append(self, message: bytes) -> None:
        """Queues a message."""
        self._messages.append(message)
        self.held_bytes += len(message)
        self.end_samples += len(message) // self._frame_bytes

    def take(self) -> bytes | None:
        """Takes the first unsent message and marks it as sent; None if there is none."""
        if self._sent == len(self._messages):
            return None
        message = self._messages[self._sent]
        self._sent += 1
        self.sent_samples += len(message) // self._frame_bytes
        return message

    def confirm(self, position: int) -> bool:
        """Discards what lies before the position; returns whether there was anything."""
        position = min(position, self.end_samples)
        confirmed = max(0, position - self.begin_samples) * self._frame_bytes
        self.held_bytes -= confirmed
        self.begin_samples = max(self.begin_samples, position)
        self.sent_samples = max(self.sent_samples, position)
        rest = confirmed
        while rest and rest >= len(self._messages[0]):
            rest -= len(self._messages.popleft())
            self._sent = max(0, self._sent - 1)
        if rest:
            self._messages[0] = self._messages[0][rest:]
        return confirmed > 0

    def rewind(self, position: int) -> bool:
        """Marks everything from the position on as unsent. Returns False if some of it is no longer held."""
        is_held = position >= self.begin_samples
        self.confirm(position)
        self._sent, self.sent_samples = 0, self.begin_samples
        return is_held

    def drop(self) -> None:
        """Discards everything."""
        self.confirm(self.end_samples)


__all__ = ["Outbox"]
