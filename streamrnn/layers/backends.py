"""The backends that run a recurrence over many frames, by name. With the same weights, all give the same outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamrnn.cells import Cell, GatedCell, LinearCell
from streamrnn.layers.cudnn import cudnn_refusal, cudnn_scan
from streamrnn.layers.fused_kernels import fused_refusal, fused_scan
from streamrnn.layers.gated_scans import gated_scan, has_weights_inside, plain_scan
from streamrnn.layers.linear_scans import associative_scan, linear_scan

# (cell, state, x[time, batch, in]) -> (state after the last frame, y[time, batch, out])
Run = Callable[[Any, Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Backend:
    """One way to run cells over many frames.

    Attributes:
        run: the function that runs a cell.
        refusal: the reason why it can't run a cell; None if it can.
        platforms: JAX's names of its platforms ("cpu", "gpu", "tpu"); empty: all.
    """

    run: Run
    refusal: Callable[[Cell], str | None]
    platforms: tuple[str, ...] = ()

    def serves(self, cell: Cell, platform: str | None = None) -> bool:
        """Whether it can run the cell; on this platform, if one is given."""
        return self.refusal(cell) is None and (not self.platforms or platform in (None, *self.platforms))


def _scan(cell: Cell, state: Any, x: Any) -> tuple[Any, Any]:
    if isinstance(cell, LinearCell):
        return linear_scan(cell, state, x)
    if isinstance(cell, GatedCell) and cell.is_pointwise and not has_weights_inside(cell):
        return gated_scan(cell, state, x)
    return plain_scan(cell, state, x)


def _anything(cell: Cell) -> None:
    return None


def _linear_only(cell: Cell) -> str | None:
    return None if isinstance(cell, LinearCell) else f"a {type(cell).__name__} is not linear in its state"


BACKENDS = {
    "scan": Backend(_scan, _anything),
    "associative": Backend(associative_scan, _linear_only),
    "cudnn": Backend(cudnn_scan, cudnn_refusal, ("gpu",)),
    "pallas": Backend(fused_scan, fused_refusal, ("gpu",)),
}


def choose(cell: Cell, platform: str) -> tuple[str, str]:
    """The backend that "auto" chooses for a cell on a platform: its name and the reason."""
    name = type(cell).__name__
    kernels = [each for each in ("cudnn", "pallas") if BACKENDS[each].serves(cell, platform)]
    if kernels:
        return "scan", f"it runs everywhere; this {name} can also use {' or '.join(kernels)}, by name"
    if not isinstance(cell, LinearCell):
        return "scan", f"a {name} needs each frame's state for the next, and scan runs everywhere"
    if platform == "cpu":
        return "scan", "a few CPU cores are faster frame by frame"
    return "associative", f"a {name} is linear in its state, and a {platform} computes many frames at once"


__all__ = ["BACKENDS", "Backend", "choose"]
