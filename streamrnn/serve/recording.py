"""Recordings of streams, if the operator asked for them: by session, deleted after some days."""

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
# Time between two searches for expired files.
LOOK_S = 3600.0
# Size limit of a file: its header counts in 32 bits, which some programs read as signed.
MOST_BYTES = 1 << 31

_OURS = re.compile(r"[0-9a-f]{16}\.([0-9a-f]{32})\.[0-9]+\.wav")


class Recorder:
    """The recordings of a server: 16-bit WAV files, SESSION.PROOF.PART.wav, readable by their owner alone.

    PROOF is derived from the session's secret, which only its client knows and which deleting requires. PART is 1, and
    higher if the stream moved to another worker, or if a file would outgrow its header.

    Args:
        folder: made if missing; other files in it are left alone.
        days: a file is deleted this long after its last write.
    """

    def __init__(self, folder: Path, days: float):
        self.folder, self.days = Path(folder), days
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, wave.Wave_write] = {}
        self._looked_at = 0.0
        self.look()

    def hear(self, session: str, secret: str, samples: np.ndarray, sample_rate: int) -> None:
        """Appends int16 or float32 samples, [n] or [n, channels], to the session's file. Write errors are logged, and
        the stream continues."""
        whole = samples if samples.dtype == np.int16 else np.clip(samples * 32767, -32768, 32767).astype("<i2")
        data = whole.astype("<i2", copy=False).tobytes()
        try:
            file = self._open.get(session)
            if file is not None and file.getnframes() * file.getnchannels() * 2 + len(data) > MOST_BYTES:
                self.end(session)
                file = None
            # The header is valid after each write, even if the server is killed.
            (file or self._begin(session, secret, samples, sample_rate)).writeframes(data)
        except OSError as error:
            logger.error("a recording can't be written", extra={"session": session, "reason": error.strerror})

    def end(self, session: str) -> None:
        """Closes the session's file, if it has one."""
        if file := self._open.pop(session, None):
            with suppress(OSError):
                file.close()

    def delete(self, session: str, secret: str) -> bool:
        """Deletes the session's whole recording, including the part being written. Returns False if none matches this
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
        """Deletes expired files; at most once an hour, however often it is called."""
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
        """Opens a new file for the session's sound from now on. Raises OSError."""
        for part in count(1):
            path = self.folder / f"{session}.{_proof(secret)}.{part}.wav"
            # Another worker may have written earlier parts, and may still be writing.
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
