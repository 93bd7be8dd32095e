"""Draws a network unrolled, and how gradients fade: `python scripts/draw_recurrence.py docs/recurrent-networks.png`."""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU, LSTM, Elman
from streamrnn.cli.plot import FAINT, PANEL, PROBABILITY, SPEECH, TEXT, WAVE, draw_panels
from streamrnn.cli.plot_compare import COLOURS, framed
from streamrnn.contract import Layer, aligned
from streamrnn.layers import CausalAttention, Recurrent

INPUTS, HIDDEN, LAGS, ROWS = 16, 64, 100, 16
UNROLLED = 5


def main(out: str) -> None:
    draw_panels(Path(out), unrolled, framed(fading))


def unrolled(panel: Any) -> None:
    """Inputs, states and outputs of some frames; what goes on to the right, and what comes back."""
    for t in range(UNROLLED):
        for name, height, colour in (("x", 0, WAVE), ("h", 1, TEXT), ("y", 2, SPEECH)):
            box = {"boxstyle": "circle,pad=0.55", "facecolor": PANEL, "edgecolor": colour, "linewidth": 1.6}
            label = f"${name}_{{{t + 1}}}$"
            panel.text(t, height, label, ha="center", va="center", fontsize=17, color=colour, bbox=box)
        arrow(panel, (t, 0.26), (t, 0.74), WAVE)
        arrow(panel, (t, 1.26), (t, 1.74), SPEECH)
        arrow(panel, (t - 0.74, 1.06), (t - 0.26, 1.06), TEXT)
        if t:
            # Fainter the older, as on the right.
            arrow(panel, (t - 0.26, 0.92), (t - 0.74, 0.92), PROBABILITY, 0.35 ** (UNROLLED - 1 - t))
    panel.text(2, 2.62, "the same weights at every frame", ha="center", color=FAINT)
    panel.text(2, -0.62, "the state goes right, the gradient comes back left", ha="center", color=FAINT)
    panel.set_xlim(-0.9, UNROLLED - 0.4)
    panel.set_ylim(-0.9, 2.9)
    panel.set_title("A network, unrolled over time", loc="left")
    panel.set_axis_off()


def arrow(panel: Any, begin: tuple[float, float], end: tuple[float, float], colour: str, strength: float = 1.0) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "mutation_scale": 16, "alpha": max(strength, 0.12)}
    panel.annotate("", end, begin, arrowprops=style)


def fading(panel: Any) -> None:
    """The gradient against the lag, untrained."""
    open_gates = LSTM(INPUTS, HIDDEN, rngs=nnx.Rngs(0))
    bias = open_gates.input.bias[...].at[HIDDEN : 2 * HIDDEN].set(8.0)
    open_gates.input.bias = nnx.Param(bias)
    cells = {"Elman": Elman, "GRU": GRU, "LSTM": LSTM}
    layers: dict[str, Layer] = {name: Recurrent(cell(INPUTS, HIDDEN, rngs=nnx.Rngs(0))) for name, cell in cells.items()}
    layers["LSTM, forget gates open"] = Recurrent(open_gates)
    layers["attention"] = CausalAttention(INPUTS, 2, LAGS + 1, rngs=nnx.Rngs(0))
    colours = {"LSTM, forget gates open": COLOURS["minlstm"], "attention": COLOURS["transformer"]}
    for name, layer in layers.items():
        colour = colours.get(name) or COLOURS[name.lower()]
        panel.plot(norms(layer), color=colour, linewidth=2, label=name)
    panel.set_yscale("log")
    panel.set_ylim(1e-12, 30)
    panel.set_xlabel("frames back")
    panel.set_title("What is left of the gradient, before training", loc="left")


def norms(layer: Layer) -> np.ndarray:
    """The gradient of the last output by each input, newest first, as a share of that by the newest."""
    x = jax.random.normal(jax.random.key(2), (ROWS, LAGS + 1, INPUTS))
    gradient = jax.grad(lambda x: aligned(layer, x)[:, -1].sum())(x)
    of_lags = jnp.linalg.norm(gradient, axis=-1).mean(axis=0)[::-1]
    return np.asarray(of_lags / of_lags[0])


if __name__ == "__main__":
    main(sys.argv[1])
