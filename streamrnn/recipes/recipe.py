"""What a recipe is: all that training one task takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
from flax import nnx

from streamrnn.models import Model
from streamrnn.training import TrainingSettings


@runtime_checkable
class Recipe(Protocol):
    """Built from a data folder and its settings; read by training and by the command line.

    Attributes:
        Settings: frozen dataclass of the recipe's settings, with a field `training`; the command line's flags.
    """

    Settings: type
    training: TrainingSettings

    def __init__(self, data: Path, settings: Any): ...

    def model(self, rngs: nnx.Rngs) -> Model:
        """A fresh model."""
        ...

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        """The batches of steps start to stop - 1. A batch depends on its step and the seed alone."""
        ...

    def loss(self, model: Any, batch: Any) -> jax.Array:
        """What training makes small."""
        ...

    def validate(self, model: Any) -> float:
        """A figure on recordings that training never sees; higher is better."""
        ...


__all__ = ["Recipe"]
