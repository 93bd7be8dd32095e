"""What a recipe is: all that training one task takes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from flax import nnx

from streamrnn.contract import aligned
from streamrnn.models import Model
from streamrnn.recipes.recordings import Recordings
from streamrnn.training import TrainingSettings

# For validation. At module level: a wrapper made anew each time would compile anew.
outputs = nnx.jit(aligned)


@runtime_checkable
class Recipe(Protocol):
    """Built from folders of data and its settings; read by training and by the command line.

    Attributes:
        Settings: frozen dataclass of the recipe's settings, with a field `training`; the command line's flags.
        settings: the recipe's own, complete: what was left to the recordings to say is filled in.
        training: settings.training.
        recordings: what it trains on.
    """

    Settings: type
    settings: Any
    training: TrainingSettings
    recordings: Recordings

    def __init__(self, data: Sequence[Path], settings: Any): ...

    def model(self, rngs: nnx.Rngs) -> Model:
        """A fresh model."""
        ...

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        """The batches of steps start to stop - 1: arrays with the row as axis 0, and "names" of the rows, if any.

        A batch depends on its step and the seed alone.
        """
        ...

    def loss(self, model: Any, batch: Any) -> Any:
        """What training makes small: a scalar. Recipes that carry state take and give the carry, too."""
        ...

    def validate(self, model: Any) -> float:
        """A figure on recordings that training never sees; higher is better."""
        ...


@runtime_checkable
class Carrying(Protocol):
    """A recipe whose rows go on from batch to batch; its loss is (model, batch, carry) -> (scalar, carry). See fit."""

    def initial_carry(self, model: Any, batch: Any) -> Any:
        """What fresh streams carry: a pytree whose leaves have the row as axis 0."""
        ...


__all__ = ["Carrying", "Recipe", "outputs"]
