"""Standard metrics of speech quality; their optional packages are imported here."""

import warnings
from importlib.util import find_spec

import numpy as np

from streamrnn.audio import resample
from streamrnn.decisions.sound import si_sdr_db

WIDE_BAND_RATE, NARROW_BAND_RATE = 16_000, 8_000


def stoi(estimate: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Short-time objective intelligibility, 0 to about 1; nan for less than 0.4 s of speech, which is too little.

    Source: Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy speech", IEEE
    TASLP, 2011, as implemented by pystoi.

    Args:
        estimate, clean: [samples], aligned with each other.
        sample_rate: of both, in Hz.

    Raises:
        ImportError: pystoi is not installed; the message says how to install it.
    """
    try:
        import pystoi
    except ImportError as error:
        raise ImportError('STOI needs the package pystoi: pip install "streamrnn[metrics]"') from error
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(clean, estimate, sample_rate))
        except RuntimeWarning:
            # pystoi returns this if too few frames are left without the pauses.
            return float("nan")


def has_pesq() -> bool:
    """Whether the package pesq is installed."""
    return find_spec("pesq") is not None


def pesq(estimate: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Perceptual evaluation of speech quality, about 1 (bad) to 4.6; nan if no speech is found.

    Wide band, ITU-T P.862.2, at 16 kHz, to which other rates are resampled; narrow band, P.862, at 8 kHz.

    Args:
        estimate, clean: [samples], aligned with each other.
        sample_rate: of both, in Hz.
    """
    import pesq as measure

    if not (np.any(clean) and np.any(estimate)):
        return float("nan")
    rate = NARROW_BAND_RATE if sample_rate == NARROW_BAND_RATE else WIDE_BAND_RATE
    there, judged = (resample(x, sample_rate, rate) for x in (clean, estimate))
    try:
        return float(measure.pesq(rate, there, judged, "nb" if rate == NARROW_BAND_RATE else "wb"))
    except (measure.NoUtterancesError, measure.BufferTooShortError):
        return float("nan")


def quality(estimate: np.ndarray, clean: np.ndarray, sample_rate: int) -> dict[str, float]:
    """si_sdr_db, stoi and, where it is installed, pesq of one recording. Arguments and errors as those of stoi."""
    figures = {"si_sdr_db": si_sdr_db(estimate, clean), "stoi": stoi(estimate, clean, sample_rate)}
    return figures | ({"pesq": pesq(estimate, clean, sample_rate)} if has_pesq() else {})


__all__ = ["has_pesq", "pesq", "quality", "stoi"]
