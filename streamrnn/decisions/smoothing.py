"""A moving average that does not depend on chunking."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def moving_mean(x: NDArray[np.floating], window_frames: int) -> Floats:
    """Means of x[window_frames - 1 + n, classes] over every window: [n, classes].

    A sum over 1, 2, 4, ... frames is two sums of half the length, and the sums for the window's binary digits add up to
    the window's. So, unlike with a running sum, a mean is the same sum in the same order for any chunking.
    """
    n = len(x) - window_frames + 1
    total, summed_frames, sums, width = np.zeros((n, x.shape[1])), 0, x, 1
    while width <= window_frames:
        if window_frames & width:
            total += sums[summed_frames : summed_frames + n]
            summed_frames += width
        sums = sums[:-width] + sums[width:]
        width *= 2
    return total / window_frames


__all__ = ["Floats", "moving_mean"]
