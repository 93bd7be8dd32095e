"""Shapes of NumPy arrays in signatures, for modules that run without JAX.

Importing jaxtyping takes longer than importing NumPy. Where nobody checks annotations, they cost nothing; tests import
jaxtyping first, and every call is checked.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Float, Int, Shaped
else:

    class Float:
        """Stands for jaxtyping's: `Float[np.ndarray, "frames out"]` is an array."""

        def __class_getitem__(cls, _item: Any) -> type:
            return np.ndarray

    Int = Shaped = Float


__all__ = ["Float", "Int", "Shaped"]
