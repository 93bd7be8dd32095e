"""Models of any layer, without a class of their own: see `Model.of`."""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.contract import Layer
from streamrnn.layers.chain import require_layer
from streamrnn.models.model import Model
from streamrnn.signals import Signal, described, signal_from

READOUTS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "none": lambda logits: logits,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}

# Of how many a layer is asked for its shapes: as many as show which axis is theirs.
STREAMS = 2

# Decorated builders by their names in model files. Loading calls no other functions.
_BUILDERS: dict[str, Callable[..., Layer]] = {}


@dataclass(frozen=True)
class Built:
    """How a layer was built: the name of its builder, "module:function", and the arguments as JSON."""

    builder: str
    arguments: str


def builder(function: Callable[..., Layer]) -> Callable[..., Layer]:
    """Decorates a function that builds a layer, so that models of this layer can be saved and loaded.

        @streamrnn.builder
        def meter(width: int = 32, *, rngs: nnx.Rngs) -> Layer: ...

    The model's file then contains the function's name and its arguments, including defaults. They must be numbers,
    strings, booleans, and lists and dicts of these; tuples arrive as lists, in the first call as after loading. Loading
    calls only decorated functions, in modules that your program has imported.

    Raises:
        TypeError: it is not a function, has no parameter `rngs`, or has parameters that cannot be passed by name. When
            called: an argument is none of the above, or the result is not a Layer.
    """
    if not inspect.isfunction(function):
        raise TypeError(f"streamrnn.builder got {function!r}; it decorates functions that return a layer.")
    name = _name(function)
    signature = inspect.signature(function)
    unnamed = [p.name for p in signature.parameters.values() if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if "rngs" not in signature.parameters or unnamed:
        raise TypeError(
            f"streamrnn.builder got {name}{signature}. It needs a parameter rngs, for drawing weights, and only "
            "parameters that can be passed by name: no *args, no **kwargs, none before a slash."
        )

    @functools.wraps(function)
    def build(*args: Any, **kwargs: Any) -> Layer:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        rngs = bound.arguments.pop("rngs")
        try:
            text = json.dumps(bound.arguments)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} got arguments that cannot be stored ({error}). Pass numbers, strings, booleans, and lists "
                "and dicts of these."
            ) from None
        # As read from a file, so that a loaded model is built in the same way.
        layer = function(**json.loads(text), rngs=rngs)
        if not isinstance(layer, Layer):
            raise TypeError(f"{name} returned a {type(layer).__name__}; a builder returns a streamrnn.Layer.")
        layer.built = Built(name, text)  # pyright: ignore[reportAttributeAccessIssue]
        return layer

    _BUILDERS[name] = build
    return build


def builder_name(function: Callable[..., Layer]) -> str:
    """The name of a builder in files; decorates the function if necessary. Raises TypeError as builder does."""
    if function not in _BUILDERS.values():
        builder(function)
    return _name(function)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


class UnknownBuilder(ValueError):
    """A model's layers are built by a function that this program does not know."""

    def __init__(self, builder: str):
        module, _, name = builder.partition(":")
        where = f"the module {module!r}, which is not imported or has no such function with @streamrnn.builder"
        advice = "Import it first, if you trust it, or pass the function"
        if module == "__main__":
            where = "the script that saved it, which is not an importable module"
            advice = "Move the function into a module, import it there and here, and save again; or pass the function"
        super().__init__(
            f"the model's layers are built by {name!r} of {where}. {advice}: load(path, build={name}). The command "
            "line can run its exported file, or a task of an installed package."
        )


@dataclass(frozen=True)
class LayerModelSettings:
    """What a model of layers is built from.

    Attributes:
        builder: "module:function", a function decorated with `streamrnn.builder`; "": the layers were assembled by
            hand, and the model cannot be saved.
        arguments: the function's arguments, a JSON object.
        signal: the model's input signal, a JSON object.
        labels: see Model.
        readout: a name in READOUTS.
        decision_kind: the class of the decision settings, one of streamrnn.decisions; "": it outputs numbers.
    """

    builder: str = ""
    arguments: str = "{}"
    signal: str = ""
    labels: tuple[str, ...] = ()
    readout: str = "none"
    decision_kind: str = ""


class LayerModel(Model):
    """A model of any layer; made by `Model.of`."""

    Settings = LayerModelSettings
    settings: LayerModelSettings

    def __init__(
        self,
        settings: LayerModelSettings,
        decision: Any = None,
        *,
        rngs: nnx.Rngs | None = None,
        layer: Layer | None = None,
    ):
        if settings.readout not in READOUTS:
            raise ValueError(f"readout is {settings.readout!r}; it must be one of {', '.join(READOUTS)}.")
        network = self._built(settings, rngs) if layer is None else layer
        signal = signal_from(json.loads(settings.signal))
        out_features = _width(network, signal)
        super().__init__(settings, decision, network, out_features, signal=signal, labels=settings.labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return READOUTS[self.settings.readout](logits)

    def description(self) -> dict[str, Any]:
        if not self.settings.builder:
            raise ValueError(
                "this model's layers were assembled by hand, which a file cannot describe. Build them in a "
                "function decorated with @streamrnn.builder, or make a subclass of streamrnn.Model."
            )
        return super().description()

    def _built(self, settings: LayerModelSettings, rngs: nnx.Rngs | None) -> Layer:
        build = _BUILDERS.get(settings.builder)
        if build is None:
            raise UnknownBuilder(settings.builder)
        arguments = json.loads(settings.arguments)
        if not isinstance(arguments, dict):
            raise TypeError(f"arguments are {settings.arguments[:80]!r}, not a JSON object")
        return build(**arguments, rngs=rngs)


def model_of(layer: Layer, signal: Signal, labels: tuple[str, ...], readout: str, decision: Any) -> LayerModel:
    """See `Model.of`."""
    require_layer("Model.of", layer)
    if decision is not None and (isinstance(decision, type) or not hasattr(decision, "outlet")):
        came = f"the class {decision.__name__}" if isinstance(decision, type) else repr(decision)
        raise TypeError(
            f"Model.of got {came} as its decision. Pass settings of streamrnn.decisions, such as SpeechSettings(), or "
            "leave it out."
        )
    built = getattr(layer, "built", Built("", "{}"))
    kind = "" if decision is None else type(decision).__name__
    settings = LayerModelSettings(built.builder, built.arguments, json.dumps(described(signal)), labels, readout, kind)
    return LayerModel(settings, decision, layer=layer)


def _width(network: Layer, signal: Signal) -> int:
    """Numbers per output frame."""
    block = jax.ShapeDtypeStruct((STREAMS, network.stride, signal.features), jnp.dtype(signal.dtype))
    try:
        before = nnx.eval_shape(lambda network: network.init_state(STREAMS), network)
        after, y = nnx.eval_shape(lambda network, x: network.step(network.init_state(STREAMS), x), network, block)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the layer does not take blocks of {network.stride} frames of {signal} ({error}). Its first layer must be "
            "as wide as a frame: hop_samples for sound, features for a series."
        ) from error
    if y.ndim != 3 or y.shape[:2] != (STREAMS, 1):
        raise ValueError(
            f"the layer's step gives {list(y.shape)} for {STREAMS} streams; it needs one frame for a block, "
            f"[{STREAMS}, 1, out]. Try check_contract(layer, ...)."
        )
    if _kinds(before) != _kinds(after) or any(leaf.shape[:1] != (STREAMS,) for leaf in jax.tree.leaves(before)):
        raise ValueError(
            f"the layer's state of {STREAMS} streams is {_kinds(before)} at first and {_kinds(after)} after a "
            "step; it must stay what it is, with the stream as axis 0 of every array. Try check_contract(layer, ...)."
        )
    return y.shape[-1]


def _kinds(state: Any) -> list[str]:
    return [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(state)]


__all__ = ["READOUTS", "LayerModel", "LayerModelSettings", "builder", "builder_name", "model_of"]
