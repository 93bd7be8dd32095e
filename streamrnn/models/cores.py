"""The core of a model, by name: the layers with memory between features and head. All can be trained, saved and run."""

import bisect
import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import GRU, LSTM, RGLRU, Cell, Elman, MinGRU, MinLSTM
from streamrnn.contract import Layer
from streamrnn.layers import Recurrent
from streamrnn.models.baselines import feedforward, recomputed_transformer, temporal_convolutions, transformer
from streamrnn.models.model import Model

# Settings, width of the input frames, random streams -> layers in order, the last with `hidden` features.
Core = Callable[["CoreSettings", int, nnx.Rngs], list[Layer]]


def _recurrent(cell: Callable[..., Cell]) -> Core:
    def build(s: "CoreSettings", in_features: int, rngs: nnx.Rngs) -> list[Layer]:
        widths = [in_features] + [s.hidden] * (s.layers - 1)
        return [Recurrent(cell(width, s.hidden, dtype=jnp.dtype(s.dtype), rngs=rngs)) for width in widths]

    return build


def _attending(network: Callable[..., list[Layer]], context_frames: int) -> Core:
    def build(s: "CoreSettings", in_features: int, rngs: nnx.Rngs) -> list[Layer]:
        sizes = {"layers": s.layers, "heads": s.heads, "capacity": s.context_frames or context_frames}
        return network(in_features, s.hidden, **sizes, dtype=jnp.dtype(s.dtype), rngs=rngs)

    return build


def _feedforward(s: "CoreSettings", in_features: int, rngs: nnx.Rngs) -> list[Layer]:
    sizes = {"layers": s.layers, "window": s.context_frames or 31}
    return feedforward(in_features, s.hidden, **sizes, dtype=jnp.dtype(s.dtype), rngs=rngs)


def _convolutional(s: "CoreSettings", in_features: int, rngs: nnx.Rngs) -> list[Layer]:
    window = s.context_frames or 250
    return temporal_convolutions(in_features, s.hidden, window=window, dtype=jnp.dtype(s.dtype), rngs=rngs)


CELLS = {
    "elman": Elman,
    "gru": GRU,
    "lstm": LSTM,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "rglru": RGLRU,
}

CORES: dict[str, Core] = {
    **{name: _recurrent(cell) for name, cell in CELLS.items()},
    "transformer": _attending(transformer, 2048),
    "transformer-window": _attending(transformer, 250),
    "transformer-recompute": _attending(recomputed_transformer, 2048),
    "feedforward": _feedforward,
    "tcn": _convolutional,
}

if TYPE_CHECKING:
    CoreName = str
    CellName = str
else:
    # The command line offers the entries of the tables; type checkers need the literals written out.
    CoreName = Literal[tuple(CORES)]
    CellName = Literal[tuple(CELLS)]


@dataclass(frozen=True, kw_only=True)
class CoreSettings:
    """The shape of a core. Settings of models inherit these.

    Raises:
        ValueError: the core does not exist, or a number is below 1.
    """

    core: CoreName = "gru"
    """The layers with memory: a recurrent network (elman, gru, lstm, and mingru, minlstm, rglru, which compute all
    frames of a recording in parallel), a transformer with a full cache (transformer), with a sliding window
    (transformer-window) or without a cache (transformer-recompute), fully connected layers over the last frames
    (feedforward), or dilated convolutions (tcn)."""
    hidden: int = 128
    """State size of each layer of a recurrent core; width of the others."""
    layers: int = 2
    """Number of layers of the core. A tcn has as many as its context needs."""
    heads: int = 4
    """Attention heads of a transformer."""
    context_frames: int | None = None
    """Frames that a core without recurrence sees; for a transformer, in each layer. None: 2048 for transformer and
    transformer-recompute, 250 for transformer-window and tcn, 31 for feedforward."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute dtype of the core; weights, state and logits are float32 either way."""

    def __post_init__(self):
        if self.core not in CORES:
            raise ValueError(f"core is {self.core!r}; it must be one of {', '.join(CORES)}.")
        for name in ("hidden", "layers", "heads", "context_frames"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1.")


def core_layers(settings: CoreSettings, in_features: int, rngs: nnx.Rngs) -> list[Layer]:
    """The core named in the settings: layers in order, x[batch, time, in_features] -> y[.., settings.hidden].

    All have stride 1 and no look-ahead.
    """
    return CORES[settings.core](settings, in_features, rngs)


Settings = TypeVar("Settings", bound=CoreSettings)


def recurrent_layer(core: str, in_features: int, hidden: int, dtype: str, rngs: nnx.Rngs) -> Recurrent:
    """A recurrent layer with the named cell, for networks whose core is always recurrent.

    Raises:
        ValueError: the cell does not exist.
    """
    if core not in CELLS:
        raise ValueError(f"core is {core!r}; it must be one of {', '.join(CELLS)}.")
    return Recurrent(CELLS[core](in_features, hidden, dtype=jnp.dtype(dtype), rngs=rngs))


def matched(model: Callable[..., Model], settings: Settings, core: str) -> Settings:
    """The settings with another core, and the width that keeps the model's number of parameters within 5 %.

    Models are built only abstractly.

    Args:
        model: the class for these settings, such as VoiceActivity.
        settings: the settings to match.
        core: a name in CORES.

    Raises:
        ValueError: the core does not exist, or no width comes within 5 %.
    """

    def of_width(hidden: int) -> Settings:
        return settings if core == settings.core else dataclasses.replace(settings, core=core, hidden=hidden)

    @functools.cache
    def excess(hidden: int) -> int:
        return parameter_count(model, of_width(hidden)) - wanted

    wanted = parameter_count(model, settings)
    above = bisect.bisect_left(range(4 * settings.hidden), 0, lo=1, key=excess)
    best = min(max(1, above - 1), above, key=lambda hidden: abs(excess(hidden)))
    if abs(excess(best)) > 0.05 * wanted:
        raise ValueError(
            f"No width gives a model with the core {core!r} {wanted} parameters within 5 %: {best} is closest, with "
            f"{wanted + excess(best)}. Change layers or context_frames."
        )
    return of_width(best)


def parameter_count(model: Callable[..., Model], settings: Any) -> int:
    """Number of trained parameters of a model with these settings."""
    built = nnx.eval_shape(lambda: model(settings, rngs=nnx.Rngs(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(built, nnx.Param)))


__all__ = [
    "CELLS",
    "CORES",
    "CellName",
    "CoreName",
    "CoreSettings",
    "core_layers",
    "matched",
    "parameter_count",
    "recurrent_layer",
]
