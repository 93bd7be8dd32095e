"""The interface between models and streams or pools, whether JAX, ONNX Runtime or something else computes the step."""

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
    # At run time, importing Model would import JAX.
    AnyModel = Any

# The arrays of a state by name, each [batch, ...]: all that streams carry over.
State = Mapping[str, Any]


class Step(Timed, ABC):
    """One block for any number of streams: frames and states in, outputs and states out. Subclasses serve as models.

    Attributes:
        signal, stride, lookahead: see `streamrnn.models.Model`.
        out_features, labels: numbers per output frame, and their names if they have any.
        decision: default settings of its outlet; None: the model outputs numbers only.
        fresh_state: the state of one fresh stream. No call changes it.
        name: its name in error messages.
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
        """(state, x[batch, stride, features]) -> (state, outputs[batch, 1, out]), float32; the inputs stay
        unchanged."""

    @abstractmethod
    def outlet(self, **settings: Any) -> Outlet:
        """The outlet for one stream's outputs; settings override those of `decision`."""

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
            ValueError: devices were passed to a step that does not run on JAX devices.
        """
        from streamrnn.runtime.rows import HostRows

        if devices is not None:
            raise ValueError(f"{self.name} runs on this machine's CPU. Leave devices out.")
        return HostRows(self, capacity)


def step_of(model: AnyModel) -> Step:
    """The step of a Model, compiled for its current weights; a Step is returned as it is.

    Raises:
        TypeError: model is neither.
    """
    if isinstance(model, Step):
        return model
    # Here, not above: other steps do not need JAX.
    from streamrnn.runtime.compiled import CompiledModel

    return CompiledModel(model)


__all__ = ["AnyModel", "State", "Step", "step_of"]
