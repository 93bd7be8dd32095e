"""What a server holds in memory for its streams, all of them together."""

from typing import Protocol

# So much every stream may keep, however much all of them keep: some tens of events.
FAIR_BYTES = 8192


class Holder(Protocol):
    """Keeps what could be said again."""

    @property
    def kept_bytes(self) -> int: ...
    def give_up(self, most: int) -> None: ...


class Buffered:
    """Bytes that wait or are kept, of all streams together.

    Attributes:
        most: how many there should be.
        bytes: how many there are.
        holders: the streams that keep some.
    """

    def __init__(self, most: int):
        self.most, self.bytes = most, 0
        self.holders: set[Holder] = set()

    def make_room(self) -> None:
        """While too much is kept, makes those give up half who keep most: they, and not who comes last, fill it."""
        while self.is_full:
            greediest = max(self.holders, key=lambda session: session.kept_bytes, default=None)
            if greediest is None or greediest.kept_bytes <= FAIR_BYTES:
                return
            greediest.give_up(greediest.kept_bytes // 2)

    @property
    def is_full(self) -> bool:
        """Whether no more should be kept."""
        return self.bytes > self.most


__all__ = ["FAIR_BYTES", "Buffered", "Holder"]
