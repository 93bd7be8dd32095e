"""Metrics of enhanced sound."""

import math

import numpy as np
from numpy.typing import ArrayLike


def si_sdr_db(estimate: ArrayLike, clean: ArrayLike) -> float:
    """The scale-invariant signal-to-distortion ratio of a recording, in dB.

        10 log10(|a s|^2 / |a s - e|^2),   a = <e, s> / |s|^2,   e: estimate, s: clean

    The mean is not subtracted. Infinite for the clean recording itself; minus infinity for an estimate orthogonal to
    it. Source: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        estimate: [samples], aligned with `clean` to the sample.
        clean: [samples].

    Raises:
        ValueError: shapes differ, or the clean recording is silent.
    """
    e, s = np.asarray(estimate, np.float64), np.asarray(clean, np.float64)
    if e.ndim != 1 or e.shape != s.shape:
        raise ValueError(f"si_sdr_db got shapes {e.shape} and {s.shape}; it needs two of the same shape [samples].")
    energy = s @ s
    if not energy > 0:
        raise ValueError("si_sdr_db got a silent clean recording, for which any estimate is pure distortion. Omit it.")
    target = (e @ s / energy) * s
    if not target.any():
        return -math.inf
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(target @ target / np.square(target - e).sum()))


__all__ = ["si_sdr_db"]
