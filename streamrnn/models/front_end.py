"""The input of models of sound: levels of mel bands, and how far each is above its noise floor."""

import math

from streamrnn.contract import Layer
from streamrnn.features import QUIET_DB, AboveFloor, scaled_levels
from streamrnn.layers import Apply


def levels_above_floor(
    mels: int, frames_per_s: float, fall_s: float, rise_s: float, silence: float
) -> tuple[Layer, ...]:
    """Layers after a log-mel spectrum, for a Chain: decibels[batch, time, mels] -> [batch, time, 2 mels], around 0.

    Args:
        mels: number of bands.
        frames_per_s: spectra per second.
        fall_s, rise_s: time constants of the floor in seconds, above 0; see AboveFloor.
        silence: mel power (full scale 1) below which sound counts as silence.

    Raises:
        ValueError: a time constant is not positive.
    """
    floor = AboveFloor(mels, fall_s * frames_per_s, rise_s * frames_per_s, QUIET_DB, 10 * math.log10(2 * silence))
    return floor, Apply(scaled_levels)


__all__ = ["levels_above_floor"]
