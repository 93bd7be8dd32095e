"""The interface of models to streams and pools, whether JAX, ONNX Runtime or something else computes the step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from streamrnn.decisions.outlets import Outlet
from streamrnn.signals import Timed

if TYPE_CHECKING:
    from streamrnn.models import Model
    from streamrnn.runtime.rows import Rows

    AnyModel: TypeAlias = "Model | Step"
else:
    # At run time a Model would have to be imported, and JAX with it.
    AnyModel = Any

# The arrays of a state by name, each [batch, ...]: all that streams remember.
State = Mapping[str, Any]


class Step(Timed, ABC):
    """One block of any number of streams: frames and states in, outputs and states out. Subclasses are models, too.

    Attributes:
        signal, stride, lookahead: see `streamrnn.models.Model`.
        out_features, labels: numbers per output frame, and their names where they have any.
        decision: default settings of its outlet; None: it gives numbers alone.
        fresh_state: that of one fresh stream. No call changes it.
        name: what errors call it.
    """

    out_features: int
    labels: tuple[str, ...]
    decision: Any
    fresh_state: State
    name: str

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of everything that a state depends on: weights, settings, timing, labels."""

    @abstractmethod
    def __call__(self, state: State, x: np.ndarray) -> tuple[State, Any]:
        """(state, x[batch, stride, features]) -> (state, outputs[batch, 1, out]), float32; nothing is changed."""

    @abstractmethod
    def outlet(self, **settings: Any) -> Outlet:
        """What becomes of one stream's outputs; settings override those of `decision`."""

    def scan(self, state: State, x: np.ndarray) -> tuple[State, Any]:
        """Many blocks of one stream: (state, x[1, time, features]) -> (state, outputs[1, time / stride, out])."""
        outputs = [np.zeros((1, 0, self.out_features), np.float32)]
        for start in range(0, x.shape[1], self.stride):
            state, y = self(state, x[:, start : start + self.stride])
            outputs.append(np.asarray(y))
        return state, np.concatenate(outputs, axis=1)

    def loaded(self, arrays: Mapping[str, np.ndarray]) -> State:
        """The state from a snapshot's arrays."""
        return {name: array.copy() for name, array in arrays.items()}

    def rows(self, capacity: int, devices: Sequence[Any] | None) -> "Rows":
        """The states of many streams side by side.

        Raises:
            ValueError: devices came, which this step has none of.
        """
        from streamrnn.runtime.rows import HostRows

        if devices is not None:
            raise ValueError(f"{self.name} runs on this machine's processor. Leave devices out.")
        return HostRows(self, capacity)


def step_of(model: AnyModel) -> Step:
    """The step of a Model, compiled for its current weights; a Step is returned as it is.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(model, Step):
        return model
    # Here, not above: a step from elsewhere needs no JAX.
    from streamrnn.runtime.compiled import CompiledModel

    return CompiledModel(model)


__all__ = ["AnyModel", "State", "Step", "step_of"]
