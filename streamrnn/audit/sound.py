"""Denoisers in audits: the improvement of a recording in decibels."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioError
from streamrnn.audit.telling import Floats, Told
from streamrnn.audit.words import ratio
from streamrnn.data import Clip
from streamrnn.data.tables import read_table
from streamrnn.decisions.sound import si_sdr_db
from streamrnn.evaluation.denoising import clean_recordings, read_pair
from streamrnn.evaluation.judging import require
from streamrnn.models import Model
from streamrnn.runtime import enhance_file

SNR_DB = 5.0


class SoundTeller:
    """Reports the mean improvement of SI-SDR, in decibels.

    Folders whose manifest has the column clean hold pairs, as for evaluation. Recordings of other folders are assumed
    to be clean: pink noise is added at 5 dB, the same to a recording every time. The loss is the negative output
    SI-SDR. Sound has no probability, so there are no answers.
    """

    figure, higher_is_better, answers = "si_sdr_improvement_db", True, ""

    def __init__(self, model: Model, folders: Sequence[Path]):
        require(model, "sound", "an audit of denoise", "a model that gives sound")
        self.model = model
        paired = [folder for folder in folders if _has_pairs(folder)]
        self.clean = {noisy: path for folder in paired for noisy, path in clean_recordings(folder).items()}

    def tell(self, clip: Clip) -> Told | None:
        if clip.path in self.clean:
            noisy, clean, rate = read_pair(clip, self.clean[clip.path])
        else:
            rate = self.model.sample_rate
            clean = clip.read(rate)
            noisy = clean + pink_noise(clean, clip)
        if not (noisy.any() and clean.any()):
            raise AudioError(f"{clip.path} is silent throughout, so that there is no ratio to measure")
        after = si_sdr_db(enhance_file(self.model, noisy, rate)[0], clean)
        return Told(np.array([after - si_sdr_db(noisy, clean), 1.0]), -after)

    def of(self, sums: Floats) -> Floats:
        return ratio(sums)


def pink_noise(clean: np.ndarray, clip: Clip) -> np.ndarray:
    """float32[n] of noise SNR_DB below `clean`, with equal power per octave, drawn from the clip's name."""
    seed = int.from_bytes(blake2b(f"{clip.path.name} {clip.start}".encode(), digest_size=8).digest(), "little")
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(clean)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, len(clean))
    level = np.sqrt(np.mean(np.square(clean, dtype=np.float64)) / max(np.mean(noise**2), 1e-20))
    return (noise * level * 10 ** (-SNR_DB / 20)).astype(np.float32)


def _has_pairs(folder: Path) -> bool:
    table = folder / "manifest.csv"
    return table.is_file() and "clean" in read_table(table, ("path",))[0]


__all__ = ["SoundTeller", "pink_noise"]
