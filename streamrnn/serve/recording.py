"""Keeping what streams hear, where whoever runs the server asked for it: by session, for some days."""

import hmac
import logging
import re
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)

DAY_S = 86_400.0
# Between two looks for files whose time is over.
LOOK_S = 3600.0
# Of a file: its header counts in 32 bits, which some programs read as signed.
MOST_BYTES = 1 << 31

_OURS = re.compile(r"[0-9a-f]{16}\.([0-9a-f]{32})\.[0-9]+\.wav")


class Recorder:
    """The recordings of a server: WAV files of 16 bits, SESSION.PROOF.PART.wav, readable by their owner alone.

    PROOF follows from the session's secret, which only its client knows and without which nobody deletes it. PART is 1,
    and more where the stream changed over to another worker, or where a file would be too long for its header.

    Args:
        folder: made where missing; other files in it are left alone.
        days: a file is deleted so long after it was last written to.
    """

    def __init__(self, folder: Path, days: float):
        self.folder, self.days = Path(folder), days
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, wave.Wave_write] = {}
        self._looked_at = 0.0
        self.look()

    def hear(self, session: str, secret: str, samples: np.ndarray, sample_rate: int) -> None:
        """Adds int16 or float32 samples, [n] or [n, channels], to the session's file. What can't be written is logged,
        and the stream goes on."""
        whole = samples if samples.dtype == np.int16 else np.clip(samples * 32767, -32768, 32767).astype("<i2")
        data = whole.astype("<i2", copy=False).tobytes()
        try:
            file = self._open.get(session)
            if file is not None and file.getnframes() * file.getnchannels() * 2 + len(data) > MOST_BYTES:
                self.end(session)
                file = None
            # The header is true after each write, however the server ends.
            (file or self._begin(session, secret, samples, sample_rate)).writeframes(data)
        except OSError as error:
            logger.error("a recording can't be written", extra={"session": session, "reason": error.strerror})

    def end(self, session: str) -> None:
        """Closes the session's file, if there is one."""
        if file := self._open.pop(session, None):
            with suppress(OSError):
                file.close()

    def delete(self, session: str, secret: str) -> bool:
        """Deletes all of the session's recording, also what is being written. False if there is none with this
        secret."""
        proof = _proof(secret)
        found = [
            path
            for path, its_proof in self._files()
            if path.name.startswith(f"{session}.") and hmac.compare_digest(its_proof, proof)
        ]
        if not found:
            return False
        self.end(session)
        for path in found:
            path.unlink(missing_ok=True)
        return True

    def look(self) -> None:
        """Deletes files whose time is over; once an hour, however often it is called."""
        now = time.time()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        for path, _ in self._files():
            with suppress(OSError):
                if now - path.stat().st_mtime > self.days * DAY_S:
                    path.unlink()

    def _begin(self, session: str, secret: str, samples: np.ndarray, sample_rate: int) -> wave.Wave_write:
        path = self._next(session, secret)
        try:
            file = wave.open(str(path), "wb")  # noqa: SIM115, open until the session ends
        except OSError:
            path.unlink(missing_ok=True)
            raise
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        self._open[session] = file
        return file

    def _next(self, session: str, secret: str) -> Path:
        """An empty file for what the session says from now on. Raises OSError."""
        for part in count(1):
            path = self.folder / f"{session}.{_proof(secret)}.{part}.wav"
            # Another worker may have written the parts before this one, and may be writing still.
            with suppress(FileExistsError):
                path.touch(0o600, exist_ok=False)
                return path
        raise AssertionError

    def _files(self) -> Iterator[tuple[Path, str]]:
        """The recordings in the folder, with their proofs."""
        for path in self.folder.glob("*.wav"):
            if match := _OURS.fullmatch(path.name):
                yield path, match[1]


def _proof(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()[:32]


__all__ = ["Recorder"]
