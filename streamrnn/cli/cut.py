"""`streamrnn run --utterances FOLDER`: what is said, as files of sound, each as soon as it has ended."""

from pathlib import Path

import numpy as np

from streamrnn.audio import write_audio
from streamrnn.cli.hearing import Hearing
from streamrnn.decisions import Event
from streamrnn.runtime.cutting import Cutter


class Cuts:
    """Writes utterances to FOLDER/0001_12.340s.wav and so on: their number, and the time at which they start.

    Args:
        folder: made if it is missing.
        hearing: the stream that is heard.
        pre_roll_ms, longest_s: see streamrnn.Utterances.

    Raises:
        OSError: the folder cannot be made.
        ValueError: the model does not find speech, or a setting is out of range.
    """

    def __init__(self, folder: Path, hearing: Hearing, pre_roll_ms: float, longest_s: float):
        if hearing.speech is None:
            raise ValueError("--utterances is for models that say where speech starts and ends, such as vad.")
        self._cutter = Cutter(
            hearing.sample_rate, hearing.frame_s, hearing.speech, pre_roll_ms=pre_roll_ms, longest_s=longest_s
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._hearing, self.written = folder, hearing, 0

    def take(self, samples: np.ndarray | None, events: list[Event]) -> None:
        """Takes what was heard (None: the end), and what was decided by it.

        Raises:
            OSError: a file cannot be written.
        """
        if samples is not None:
            self._cutter.hear(samples)
        for utterance in self._cutter.take(events, [(None, self._hearing.activity)], complete=samples is None):
            self.written += 1
            path = self._folder / f"{self.written:04d}_{utterance.start_s:.3f}s.wav"
            write_audio(path, utterance.samples, utterance.sample_rate)


__all__ = ["Cuts"]
