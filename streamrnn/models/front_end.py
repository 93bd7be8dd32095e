"""What models of sound hear: levels of mel bands, and how far each stands above its noise floor."""

import math

from streamrnn.contract import Layer
from streamrnn.features import QUIET_DB, AboveFloor, scaled_levels
from streamrnn.layers import Apply


def levels_above_floor(
    mels: int, frames_per_s: float, fall_s: float, rise_s: float, silence: float
) -> tuple[Layer, ...]:
    """Layers behind a log-mel spectrum, for a Chain: decibels[batch, time, mels] -> [batch, time, 2 mels], around 0.

    Args:
        mels: bands.
        frames_per_s: spectra per second.
        fall_s, rise_s: time constants of the floor in seconds, above 0; see AboveFloor.
        silence: mel power, of full scale 1, below which there is no sound.

    Raises:
        ValueError: a time constant is not positive.
    """
    floor = AboveFloor(mels, fall_s * frames_per_s, rise_s * frames_per_s, QUIET_DB, 10 * math.log10(2 * silence))
    return floor, Apply(scaled_levels)


__all__ = ["levels_above_floor"]
