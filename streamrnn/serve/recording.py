"""Keeping what streams hear, where whoever runs the server asked for it: by session, for some days."""

import hmac
import logging
import time
import wave
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)

DAY_S = 86_400.0
# Between two looks for files whose time is over.
LOOK_S = 3600.0


class Recorder:
    """The recordings of a server: a WAV file of 16 bits per stream, SESSION.PROOF.wav, readable by its owner alone.

    PROOF follows from the session's secret, which only its client knows and without which nobody deletes it.

    Args:
        folder: made where missing.
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
        try:
            file = self._open.get(session) or self._begin(session, secret, samples, sample_rate)
            whole = samples if samples.dtype == np.int16 else np.clip(samples * 32767, -32768, 32767).astype("<i2")
            # The header is true after each write, however the server ends.
            file.writeframes(whole.astype("<i2", copy=False).tobytes())
        except OSError as error:
            logger.error("a recording can't be written", extra={"session": session, "reason": error.strerror})

    def end(self, session: str) -> None:
        """Closes the session's file, if there is one."""
        if file := self._open.pop(session, None):
            with suppress(OSError):
                file.close()

    def delete(self, session: str, secret: str) -> bool:
        """Deletes the session's recording, also one that is being written. False if there is none with this secret."""
        wanted = _name(session, secret)
        found = next((path for path in self.folder.glob("*.wav") if hmac.compare_digest(path.name, wanted)), None)
        if found is None:
            return False
        self.end(session)
        found.unlink(missing_ok=True)
        return True

    def look(self) -> None:
        """Deletes files whose time is over; once an hour, however often it is called."""
        now = time.time()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        for path in self.folder.glob("*.wav"):
            with suppress(OSError):
                if now - path.stat().st_mtime > self.days * DAY_S:
                    path.unlink()

    def _begin(self, session: str, secret: str, samples: np.ndarray, sample_rate: int) -> wave.Wave_write:
        path = self.folder / _name(session, secret)
        path.touch(0o600)
        file = wave.open(str(path), "wb")  # noqa: SIM115, open until the session ends
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        self._open[session] = file
        return file


def _name(session: str, secret: str) -> str:
    return f"{session}.{sha256(secret.encode()).hexdigest()[:32]}.wav"


__all__ = ["Recorder"]
