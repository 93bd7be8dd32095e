"""The interface of recipes: everything needed to train one task."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import numpy as np
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.data.recordings import Recordings
from streamrnn.data.series import Files
from streamrnn.learning import TrainingSettings
from streamrnn.models import Model
from streamrnn.models.model import require_counts

T = TypeVar("T")

# Settings of a model that tell what it listens for, and not its sizes.
VOCABULARY = {"words", "symbols"}
# For validation. At module level, because a new wrapper each time would compile anew.
outputs = nnx.jit(aligned)


@runtime_checkable
class Recipe(Protocol):
    """Built from folders of data and its settings; read by training and by the command line.

    Attributes:
        Settings: frozen dataclass of the recipe's settings, with a field `training`; it gives the command line's flags.
        settings: the recipe's settings, completed from the recordings where they were left open.
        training: settings.training.
        recordings: the training data: Recordings, or Files of a task of lines.
    """

    Settings: type
    settings: Any
    training: TrainingSettings

    def __init__(self, data: Sequence[Path], settings: Any): ...

    # Read alone, so that a recipe may say which of the two it has.
    @property
    def recordings(self) -> Recordings | Files: ...

    def model(self, rngs: nnx.Rngs) -> Model:
        """A fresh model."""
        ...

    def batches(self, start: int, stop: int) -> Iterator[Any]:
        """The batches of steps start to stop - 1: arrays with the row as axis 0, and "names" of the rows, if any: each
        a str, or a tuple of str with all recordings in a row; () for one without a voice.

        A batch depends only on its step and the seed.
        """
        ...

    @property
    def loss(self) -> Callable[..., Any]:
        """(model, batch) -> the loss: a losses.Mean, or a scalar, a mean over rows. A method; see Carrying."""
        ...

    def validate(self, model: Any) -> float:
        """The metric on recordings outside of the training data; higher is better."""
        ...


@runtime_checkable
class Carrying(Protocol):
    """A recipe whose rows continue over batches; its loss is (model, batch, carry) -> (loss, carry). See fit."""

    def initial_carry(self, model: Any, batch: Any) -> Any:
        """The carry of fresh streams: a pytree whose leaves have the row as axis 0."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A recipe whose data depend on the model that training begins with."""

    def begin_with(self, start: Any) -> None:
        """Given the model of --start, or None, once and before the first batch; it stays as it is."""
        ...


@runtime_checkable
class Finishing(Protocol):
    """A recipe that settles how its model decides once the weights are found, such as a threshold."""

    def finish(self, model: Any) -> None:
        """Sets the model's decision by what it gives for the validated data.

        Called at the end, and after each validation that is the best so far, with a copy: what needs time should be
        remembered from `validate`; see OfLastWeights.
        """
        ...


@runtime_checkable
class Drawing(Protocol):
    """A recipe that can draw its units (clips or speakers) by lot, for private training: Poisson sampling.

    Attributes:
        share: the probability with which each unit is in a batch, independently of all others.
    """

    share: float

    def drawn_batches(self, start: int, stop: int, secret: int) -> Iterator[Any]:
        """The batches of steps start to stop - 1: a row per unit, which is clipped. Padding has drawn[row] False."""
        ...


def digest_of(model: Any) -> str:
    """An identifier of 16 digits from a model's weights."""
    digest = blake2b(digest_size=8)
    for weight in jax.tree.leaves(nnx.state(model, nnx.Param)):
        digest.update(np.asarray(weight).tobytes())
    return digest.hexdigest()


class OfLastWeights(Generic[T]):
    """What `compute` finds of a model, remembered until it is asked for that of other weights."""

    def __init__(self, compute: Callable[[Any], T]):
        self._compute = compute
        self._last: tuple[str, T] | None = None

    def __call__(self, model: Any) -> T:
        digest = digest_of(model)
        if self._last is None or self._last[0] != digest:
            self._last = digest, self._compute(model)
        return self._last[1]


def require_positive(settings: Any, *names: str) -> None:
    """Raises ValueError where one of these settings is not above 0, or not finite."""
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise ValueError(f"{name} is {getattr(settings, name)}; it must be above 0, and finite.")


def require_shares(settings: Any, *names: str) -> None:
    """Raises ValueError where one of these settings is not from 0 to 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; it must be from 0 to 1.")


def require_not_negative(settings: Any, *names: str) -> None:
    """Raises ValueError where one of these settings is below 0, or not finite."""
    for name in names:
        if not 0 <= getattr(settings, name) < math.inf:
            raise ValueError(f"{name} is {getattr(settings, name)}; it must be 0 or above, and finite.")


def refuse_babble(share: float) -> None:
    """Raises ValueError where a private training would mix other recordings into rows that do not name them."""
    if share:
        raise ValueError(
            "babble mixes voices of other clips into a row, which clipping rows does not bound. Pass --babble-share 0 "
            "for private training."
        )


def like(settings: Any, start: Model) -> Any:
    """A recipe's settings whose model has the sizes of another one, if both are models of sound of one kind.

    Its words or symbols stay, as do all settings of models of anything else, which follow from the data.

    Raises:
        TypeError: it is no Model, but an exported one, say.
    """
    if not isinstance(start, Model):
        raise TypeError(
            f"{start} is no model that can be trained on. Pass one that was loaded from a .safetensors file."
        )
    ours: Any = getattr(settings, "model", None)
    theirs: Any = start.settings
    if not hasattr(ours, "sample_rate") or not (isinstance(theirs, type(ours)) or isinstance(ours, type(theirs))):
        return settings
    same = {field.name for field in fields(ours)} & {field.name for field in fields(theirs)} - VOCABULARY
    return replace(settings, model=replace(ours, **{name: getattr(theirs, name) for name in same}))


__all__ = [
    "Beginning",
    "Carrying",
    "Drawing",
    "Finishing",
    "OfLastWeights",
    "Recipe",
    "digest_of",
    "like",
    "outputs",
    "refuse_babble",
    "require_counts",
    "require_not_negative",
    "require_positive",
    "require_shares",
]
