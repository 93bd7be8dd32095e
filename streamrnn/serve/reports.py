"""Unnumbered messages to a client: levels and progress."""

import time

from streamrnn.runtime import Answer, PooledStream
from streamrnn.serve.protocol import as_text

# Progress is also due after this much sound: a client may hold only so much until it is acknowledged.
PROGRESS_S, PROGRESS_SOUND_S = 0.9, 10.0


class Reports:
    """Levels and progress of one stream.

    Args:
        stream: the stream.
        frame_s: seconds per output of its model.

    Attributes:
        frames: outputs so far.
    """

    def __init__(self, stream: PooledStream, frame_s: float):
        self._stream, self._frame_s = stream, frame_s
        self.frames, self._told_at, self._told_samples = 0, 0.0, 0

    def begin(self, frames: int = 0, received_samples: int = 0) -> None:
        """Starts counting here."""
        self.frames, self._told_samples = frames, received_samples

    def levels(self, answer: Answer, start: int) -> str | None:
        """The message with the levels of outputs from number `start` on; None if there are none."""
        outlet = self._stream.outlet
        if not len(answer.outputs) or outlet.gives != "events":
            return None
        values = [round(level, 3) for level in outlet.activity(answer.outputs).tolist()]
        return as_text("levels", start_s=round(start * self._frame_s, 6), frame_s=self._frame_s, values=values)

    def is_due(self, received_samples: int) -> bool:
        """Whether progress is due; if so, it counts as reported."""
        now, news_s = time.monotonic(), (received_samples - self._told_samples) / self._stream.rate
        if now - self._told_at < PROGRESS_S and news_s < PROGRESS_SOUND_S:
            return False
        self._told_at, self._told_samples = now, received_samples
        return True

    def progress(self, received_samples: int) -> str:
        """The progress message: sound up to here is no longer needed."""
        processed_s = round(min(self.frames * self._frame_s, self._stream.duration_s), 6)
        return as_text("progress", received_samples=received_samples, processed_s=processed_s)


__all__ = ["Reports"]
