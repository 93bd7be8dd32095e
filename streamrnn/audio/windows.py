"""Windows on files, for decoders that read one recording from its first byte to its last."""

import io
import os
from collections.abc import Callable
from typing import BinaryIO

# Bytes that a decoder may reread: headers that it read before it knew the format.
REWIND_BYTES = 65_536
# The length reported for a stream, and the range before it in which decoders find the end that they look for.
ENDLESS_BYTES, END_BYTES = 2**40, 65_536


class Window:
    """The bytes [start, end) of a file after `prefix`, with soundfile's interface of files: seek, tell, readinto.

    Errors cannot pass through libsndfile: if reading fails, the window ends and `error` has the reason.

    Args:
        file: binary and seekable.
        start, end: byte range.
        prefix: bytes before them.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, prefix: bytes = b""):
        self._file, self._start, self._prefix = file, start, prefix
        self._size = len(prefix) + max(0, end - start)
        self._position = 0
        self.error: Exception | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence])
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        data = self._read(len(buffer))
        memoryview(buffer).cast("B")[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, count: int) -> bytes:
        head = self._prefix[self._position : self._position + count]
        left = min(count, self._size - self._position) - len(head)
        if left <= 0:
            return head
        try:
            self._file.seek(self._start + self._position + len(head) - len(self._prefix))
            return head + self._file.read(left)
        except (OSError, ValueError) as error:
            self.error = error
            return head


class PassingWindow:
    """A stream with soundfile's interface of files, which can seek within the first 64 kB.

    Bytes far beyond the current position do not exist yet. Decoders that look for a length at the end find `end`, which
    must say that there is none.

    Args:
        read: returns up to that many of the next bytes, and none at the end.
        end: the bytes to report as the last ones.

    Attributes:
        passed: bytes of the stream so far.
        ended: whether there are no more.
    """

    def __init__(self, read: Callable[[int], bytes], end: bytes = b""):
        self._next, self._end = read, end
        self._head, self.passed, self._position = b"", 0, 0
        self.ended = False
        self.error: Exception | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: ENDLESS_BYTES}[whence]
        self._position = max(0, offset + base)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target) and (data := self._read(len(target) - done)):
            target[done : done + len(data)] = data
            done += len(data)
            self._position += len(data)
        return done

    def _read(self, count: int) -> bytes:
        if self._position < len(self._head):
            return self._head[self._position : self._position + count]
        if self._position > max(self.passed, REWIND_BYTES):
            return self._told_end(count)
        try:
            while self.passed < self._position and self._advance(self._position - self.passed):
                pass
            return self._advance(count) if self.passed == self._position else b""
        except Exception as error:
            self.error = error
            return b""

    def _told_end(self, count: int) -> bytes:
        if not self._end or not ENDLESS_BYTES - END_BYTES <= self._position < ENDLESS_BYTES:
            return b""
        place = self._position - (ENDLESS_BYTES - END_BYTES)
        return self._end.rjust(END_BYTES, b"\0")[place : place + count]

    def _advance(self, count: int) -> bytes:
        data = self._next(min(count, io.DEFAULT_BUFFER_SIZE))
        if len(self._head) == self.passed and self.passed < REWIND_BYTES:
            self._head += data
        self.passed += len(data)
        self.ended = not data
        return data


__all__ = ["PassingWindow", "Window"]
