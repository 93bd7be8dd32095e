"""The interface of all sources of sound."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

from streamrnn.audio.chunks import Chunk


class Source(ABC):
    """An iterable of chunks, and a context manager that closes it.

    Attributes:
        sample_rate: Hz.
        channels: number of channels; None if unknown before the first chunk.
    """

    sample_rate: int
    channels: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Chunk]:
        """The chunks, each float32[n] or [n, channels] unless the source says otherwise."""

    @abstractmethod
    def close(self) -> None:
        """Releases resources. The iteration of a file or a live source ends. Closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


__all__ = ["Source"]
