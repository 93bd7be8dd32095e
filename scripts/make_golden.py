"""Writes tests/golden/torch_*.npz: what PyTorch computes, for tests/test_golden.py. Needs `pip install torch==2.13.0`.

    python scripts/make_golden.py

Each file holds, under the names before the slash:
    state_dict/*  PyTorch's parameters
    initial/*     the state before the first frame, h and for an LSTM c, each [layers, batch, numbers]
    final/*       the state after the last frame
    x, y          inputs [batch, time, in] and outputs [batch, time, out]
    gradient/*    of the loss below, with respect to x, initial/* and state_dict/*

The loss is the sum of the mean squares of y and of each final state. Everything is drawn in float32, computed in
float64 and stored in float32, so that what differs in a test is the other side's rounding.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
BATCH, TIME, INPUTS, HIDDEN, PROJECTION, LAYERS = 3, 20, 5, 8, 4, 2
SIZES = {"input_size": INPUTS, "hidden_size": HIDDEN, "num_layers": LAYERS, "batch_first": True}


def build(name: str) -> nn.RNNBase:
    match name:
        case "rnn_tanh" | "rnn_relu":
            return nn.RNN(**SIZES, nonlinearity=name.removeprefix("rnn_"))
        case "gru":
            return nn.GRU(**SIZES)
        case "lstm":
            return nn.LSTM(**SIZES)
        case "lstm_proj":
            return nn.LSTM(**SIZES, proj_size=PROJECTION)
    raise ValueError(f"There is no module {name!r}.")


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape).double().requires_grad_()


def initial_state(module: nn.RNNBase) -> dict[str, torch.Tensor]:
    state = {"h": draw(LAYERS, BATCH, module.proj_size or HIDDEN)}
    return {**state, "c": draw(LAYERS, BATCH, HIDDEN)} if isinstance(module, nn.LSTM) else state


def run(module: nn.RNNBase, x: torch.Tensor, initial: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict]:
    if isinstance(module, nn.LSTM):
        y, (h, c) = module(x, (initial["h"], initial["c"]))
        return y, {"h": h, "c": c}
    y, h = module(x, initial["h"])
    return y, {"h": h}


def below(folder: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{folder}/{name}": tensor for name, tensor in tensors.items()}


def golden(name: str) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    module = build(name).double()
    x, initial = draw(BATCH, TIME, INPUTS), initial_state(module)
    y, final = run(module, x, initial)
    sum(tensor.square().mean() for tensor in (y, *final.values())).backward()
    given = {"x": x, **below("initial", initial), **below("state_dict", dict(module.named_parameters()))}
    gradients = {name: tensor.grad for name, tensor in given.items()}
    tensors = {**given, "y": y, **below("final", final), **below("gradient", gradients)}
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in ("rnn_tanh", "rnn_relu", "gru", "lstm", "lstm_proj"):
        np.savez_compressed(GOLDEN / f"torch_{name}.npz", **golden(name))


if __name__ == "__main__":
    main()
