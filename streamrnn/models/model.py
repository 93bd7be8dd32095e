"""What a model is: sound in, decisions' raw material out."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import numpy as np
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.decisions import Event
from streamrnn.shapes import Block, Frames, OutputFrame, State


@runtime_checkable
class Decoder(Protocol):
    """Turns a model's outputs into events; plain Python, one per stream. See streamrnn.decisions."""

    def push(self, outputs: np.ndarray) -> list[Event]: ...
    def finish(self, duration_s: float) -> list[Event]: ...
    def reset(self) -> None: ...
    def snapshot(self) -> dict: ...
    def restore(self, snapshot: dict) -> None: ...


class Model(Layer):
    """A network over raw audio: x[batch, time, hop_samples] -> logits y[batch, time/stride, out].

    A task subclasses it, builds the network (front end, core and head, most often in a Chain) from its frozen dataclass
    of settings, and says how logits become outputs (`readout`) and outputs become events (`decoder`).

    Attributes:
        network: the layer that does the work.
        settings: what the model was built from; stored with its weights.
        decision: default settings of its decoder; stored with its weights.
        sample_rate: samples per second of the audio that it hears.
        hop_samples: samples per input frame.
        out_features: numbers per output frame.
    """

    Settings: ClassVar[type]
    Decision: ClassVar[type]
    sample_rate: int
    hop_samples: int
    out_features: int

    def __init__(self, settings: Any, decision: Any, network: Layer, out_features: int):
        self.settings, self.decision = settings, decision
        self.sample_rate, self.hop_samples = settings.sample_rate, settings.hop_samples
        self.network, self.out_features = network, out_features
        self.stride, self.lookahead = network.stride, network.lookahead

    @property
    def block_samples(self) -> int:
        """Samples that one step consumes."""
        return self.hop_samples * self.stride

    @property
    def frame_s(self) -> float:
        """Seconds of audio per output frame."""
        return self.block_samples / self.sample_rate

    @property
    def lookahead_s(self) -> float:
        """Seconds of later audio that an output waits for."""
        return self.lookahead * self.hop_samples / self.sample_rate

    @property
    def algorithmic_latency_ms(self) -> float:
        """The block being filled plus the look-ahead: what no faster machine can remove."""
        return 1000 * (self.frame_s + self.lookahead_s)

    def init_state(self, batch_size: int) -> State:
        return self.network.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.network.step(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self.network.scan(state, x)

    def readout(self, logits: jax.Array) -> jax.Array:
        """Logits -> what users see (probabilities, sound); runs inside the compiled step."""
        return logits

    def activity(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs[frames, out] -> how much is heard of what the model listens for, [frames], for meters and plots."""
        return outputs[:, 0]

    def begin_with(self, other: "Model") -> None:
        """Takes the weights of another model where both have one of the same shape in the same place.

        Raises:
            ValueError: nothing fits.
        """
        given = dict(nnx.to_flat_state(nnx.state(other, nnx.Param)))
        own = nnx.to_flat_state(nnx.state(self, nnx.Param))
        fitting = [(path, given[path]) for path, weight in own if path in given and given[path].shape == weight.shape]
        if not fitting:
            raise ValueError(
                f"no weight of the {type(other).__name__} to start from fits into this {type(self).__name__}. "
                "Start from a model of the same task and size, or with random weights."
            )
        nnx.update(self, nnx.from_flat_state(fitting))

    def decoder(self, **overrides: Any) -> Decoder:
        """A fresh decoder for one stream; keyword arguments override the model's decision settings."""
        raise NotImplementedError(f"{type(self).__name__} defines no decoder")


__all__ = ["Decoder", "Model"]
