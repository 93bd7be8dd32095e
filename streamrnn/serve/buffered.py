"""The memory that a server uses for its streams, in total."""

from typing import Protocol

# Every stream may keep this much, however much the others keep: some tens of events.
FAIR_BYTES = 8192


class Holder(Protocol):
    """Keeps messages that can be replayed."""

    @property
    def kept_bytes(self) -> int: ...
    def give_up(self, most: int) -> None: ...


class Buffered:
    """Bytes queued or kept for replay, over all streams.

    Attributes:
        most: the limit.
        bytes: the current total.
        holders: the streams that keep messages.
    """

    def __init__(self, most: int):
        self.most, self.bytes = most, 0
        self.holders: set[Holder] = set()

    def make_room(self) -> None:
        """While too much is kept, makes the streams that keep most drop half, not those that came last."""
        while self.is_full:
            greediest = max(self.holders, key=lambda session: session.kept_bytes, default=None)
            if greediest is None or greediest.kept_bytes <= FAIR_BYTES:
                return
            greediest.give_up(greediest.kept_bytes // 2)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be kept."""
        return self.bytes > self.most


__all__ = ["FAIR_BYTES", "Buffered", "Holder"]
