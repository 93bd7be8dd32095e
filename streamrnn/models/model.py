"""The base of all models: a signal in, the raw material for decisions out."""

import dataclasses
import textwrap
from typing import Any, ClassVar

import jax
from flax import nnx

from streamrnn.contract import Frozen, Layer
from streamrnn.decisions.outlets import Decoder, Outlet, outlet_by, require_outlet
from streamrnn.models.pickling import put_together, taken_apart
from streamrnn.shapes import Block, Frames, OutputFrame, State
from streamrnn.signals import Signal, Sound, Timed


class Model(Layer, Timed):
    """A network over a signal: x[batch, time, features] -> logits y[batch, time/stride, out].

    A task subclasses it, builds the network (front end, core and head, usually in a Chain) from its frozen dataclass of
    settings, and defines how logits become outputs (`readout`). Its decision settings define the outlet.

    Args:
        settings: what the model is built from.
        decision: default settings of its outlet, a dataclass with a method `outlet`, such as those of
            streamrnn.decisions; None: the model outputs numbers only.
        network: the layer that computes the logits.
        out_features: numbers per output frame.
        signal: defines the input frames; default: Sound with the settings' sample_rate and hop_samples.
        labels: names of the outputs in order, or of the ids that a search outputs, by id; "" is the blank.

    Attributes:
        settings, decision, network, out_features, signal, labels: see above; the first two are stored with the weights.
        task: name of the task it was trained for, according to its file; "" if unknown.
        frames_per_item: frames per item of lines, such as a letter.
    """

    Settings: ClassVar[type]
    Decision: ClassVar[type | None] = None
    out_features: int
    task: str = ""
    frames_per_item: ClassVar[int] = 1

    def __init__(
        self,
        settings: Any,
        decision: Any,
        network: Layer,
        out_features: int,
        *,
        signal: Signal | None = None,
        labels: tuple[str, ...] = (),
    ):
        self.settings, self.decision = settings, decision
        self.signal = Sound(settings.sample_rate, settings.hop_samples) if signal is None else signal
        self.network, self.out_features, self.labels = network, out_features, labels
        self.stride, self.lookahead, self.padding = network.stride, network.lookahead, self.signal.padding

    @staticmethod
    def of(
        layer: Layer,
        *,
        sample_rate: int | None = None,
        hop_samples: int | None = None,
        signal: Signal | None = None,
        labels: tuple[str, ...] = (),
        readout: str = "none",
        decision: Any = None,
    ) -> "Model":
        """Makes a model of any layer: it streams, trains and exports without a class of its own.

        It can also be saved and loaded if the layer was built by a function decorated with `streamrnn.builder`.

        Args:
            layer: takes frames of hop_samples samples, or of the signal's features.
            sample_rate, hop_samples: of its input, if that is sound; or
            signal: its input signal.
            labels: names of the outputs in order.
            readout: from logits to outputs, "none", "sigmoid" or "softmax"; anything else can be the last layer.
            decision: decision settings for its outputs, such as SpeechSettings() of streamrnn.decisions; None: numbers.

        Raises:
            TypeError: layer is not a Layer; neither sample_rate and hop_samples nor a signal was passed, or both;
                labels is one string; or decision has no method `outlet`.
            ValueError: the layer does not take such frames, or there is no such readout.
        """
        from streamrnn.models.of_layers import model_of

        if signal is None and sample_rate is not None and hop_samples is not None:
            signal = Sound(sample_rate, hop_samples)
        elif signal is None or (sample_rate, hop_samples) != (None, None):
            raise TypeError("Model.of needs either sample_rate and hop_samples, for sound, or another signal.")
        if isinstance(labels, str):
            raise TypeError(f"Model.of got the labels {labels!r}, one text. Pass ({labels!r},).")
        return model_of(layer, signal, tuple(labels), readout, decision)

    def description(self) -> dict[str, Any]:
        """The description, JSON-friendly, from which the model's file can rebuild it.

        Raises:
            ValueError: it cannot be rebuilt.
        """
        decision = {} if self.decision is None else dataclasses.asdict(self.decision)
        settings = {} if self.settings is None else dataclasses.asdict(self.settings)
        return {"model": type(self).__name__, "settings": settings, "decision": decision}

    def init_state(self, batch_size: int) -> State:
        return self.network.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.network.step(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self.network.scan(state, x)

    def readout(self, logits: jax.Array) -> jax.Array:
        """Logits -> outputs for users (probabilities, sound); runs inside the compiled step."""
        return logits

    def outlet(self, **settings: Any) -> Outlet:
        """A fresh outlet, which turns the outputs of one stream into events, sound or numbers.

        Args:
            settings: override those of `decision`.

        Raises:
            TypeError: there is no such setting.
            ValueError: one is out of range; or the outlet gives sound, but the model does not output as many samples as
                it takes.
        """
        outlet = outlet_by(self.decision, settings, self.labels, self.frame_s, self.lookahead_s)
        taken = self.stride * self.signal.features
        if outlet.gives == "sound" and self.out_features != taken:
            raise ValueError(
                f"{type(self).__name__} takes {taken} samples at a time but outputs {self.out_features} numbers; "
                "for sound, both must be equal. Change the network's output, or leave the decision out."
            )
        return outlet

    def decoder(self, **settings: Any) -> Decoder:
        """The decoder of a fresh `outlet`; settings and errors as for `outlet`.

        Raises:
            TypeError: the model does not emit events; the message says what to use instead.
        """
        outlet = self.outlet(**settings)
        require_outlet(outlet, "events", type(self).__name__)
        return outlet.decoder  # pyright: ignore[reportAttributeAccessIssue]

    def initialise_from(self, other: "Model") -> list[str]:
        """Copies weights from another model wherever both have one of the same shape in the same place.

        Returns:
            The names of the weights left unchanged, such as "network.layers.2.kernel".

        Raises:
            ValueError: nothing fits.
        """
        taken_over = nnx.Any(nnx.Param, Frozen)
        given = dict(nnx.to_flat_state(nnx.state(other, taken_over)))
        own = nnx.to_flat_state(nnx.state(self, taken_over))
        fitting = [(path, given[path]) for path, weight in own if path in given and given[path].shape == weight.shape]
        if not fitting:
            raise ValueError(
                f"no weight of the {type(other).__name__} to start from fits into this {type(self).__name__}. "
                "Start from a model of the same task and size, or with random weights."
            )
        nnx.update(self, nnx.from_flat_state(fitting))
        taken = {path for path, _ in fitting}
        return [".".join(map(str, path)) for path, _ in own if path not in taken]

    def __repr__(self) -> str:
        # Flax's own repr is a tree of some hundred lines; nnx.display shows it.
        parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(self, nnx.Param)))
        gives = f", labels {textwrap.shorten(', '.join(self.labels), 40, placeholder=' ...')}" if self.labels else ""
        return f"{type(self).__name__}({parameters:,} parameters, {self.signal}{gives})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # Flax would pickle functions that cannot be pickled.
        return put_together, taken_apart(self)


def require_counts(settings: Any, *names: str) -> None:
    """Raises ValueError if one of these settings is below 1."""
    for name in names:
        if not getattr(settings, name) >= 1:
            raise ValueError(f"{name} is {getattr(settings, name)}; it must be at least 1.")


__all__ = ["Model", "require_counts"]
