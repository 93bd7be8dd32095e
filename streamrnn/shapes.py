"""The axes, one word each, and the array types that signatures use.

batch     streams that run side by side; axis 0 of every array and of every leaf of a state
time      frames, in their order in the stream
stride    input frames that one output frame consumes; the time axis of one step's input
hop       samples of one frame of raw audio
features  the numbers of one frame, whatever they mean

The aliases cost nothing at run time. Tests enable jaxtyping's import hook, which checks every annotated call.
"""

from typing import Any

from jax import Array
from jaxtyping import Complex, Float, Num

# A pytree whose leaves all have the stream as axis 0. Layers differ, so the type is no more specific.
State = Any

# Underscores: a layer may change the number and width of frames, so inputs and outputs may differ.
# Num rather than Float: a series of ids is int32.
Frames = Num[Array, "batch _time _features"]
Block = Num[Array, "batch stride features"]
OutputFrame = Num[Array, "batch 1 out"]
Samples = Float[Array, "batch time hop"]
Spectrum = Complex[Array, "batch time bins"]

__all__ = ["Block", "Frames", "OutputFrame", "Samples", "Spectrum", "State"]
