"""Converts weights from and to PyTorch's nn.RNN, nn.GRU and nn.LSTM, without needing PyTorch."""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU, LSTM, Elman
from streamrnn.layers.chain import Chain
from streamrnn.layers.recurrent import Recurrent

_NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)")
_BIASES = {"bias_ih", "bias_hh"}


def from_torch(
    state_dict: Mapping[str, Any], *, prefix: str = "", activation: Callable = jnp.tanh, dtype=jnp.float32
) -> Chain:
    """The layers of a PyTorch state dict, one Recurrent each, with the same outputs.

    The number of gates identifies the module: 1 is nn.RNN, 3 nn.GRU, 4 nn.LSTM, with or without `proj_size`. A module
    with bias=False gets biases of zero. State dicts do not contain the dropout between layers, so there is none. The
    state is the tuple of the cells' states; an LSTM's is (c, h), where PyTorch has (h, c) with the layers as axis 0.

    Args:
        state_dict: name -> tensor or array, from `module.state_dict()` or a .safetensors file.
        prefix: use only names that begin with it, for a part of a larger model: "encoder.gru.".
        activation: nn.RNN's nonlinearity, which is not in the state dict: jnp.tanh (default) or jax.nn.relu.
        dtype: compute dtype (float32 or bfloat16); parameters and state are float32.

    Raises:
        ValueError: names or shapes are not those of one such module, or it is bidirectional and so cannot stream.
    """
    layers = _layers(_select(state_dict, prefix))
    cells = [_cell(number, arrays, activation, dtype) for number, arrays in enumerate(layers)]
    _check_one_module(cells)
    return Chain(*(Recurrent(cell) for cell in cells))


def to_torch(layer: Recurrent | Chain) -> dict[str, np.ndarray]:
    """The state dict of the nn.RNN, nn.GRU or nn.LSTM that computes the same: PyTorch's names -> float32 arrays.

    Load it with `module.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(layer).items()})`.
    The module needs biases (bias=True, its default), and for nn.RNN the `nonlinearity` that is the cells' activation.

    Args:
        layer: a Recurrent, or a Chain of Recurrents whose cells are all Elman, all GRU or all LSTM, of the same size.

    Raises:
        ValueError: no single PyTorch module computes the same.
    """
    return {
        f"{name}_l{number}": np.array(np.asarray(parameter[...]).T, np.float32, order="C")
        for number, cell in enumerate(_cells(layer))
        for name, parameter in _parameters(cell).items()
    }


def _select(state_dict: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries with the prefix, without it, if a recurrent module can have such names."""
    selected = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
    if reverse := [name for name in selected if name.endswith("_reverse")]:
        raise ValueError(
            f"from_torch got a bidirectional module ({_join(reverse)}); its backward half needs the end of the "
            "recording, so it cannot stream. Train one with bidirectional=False."
        )
    unknown = [name for name in selected if not _NAME.fullmatch(name)]
    if unknown or not selected:
        came = f"{_join(unknown)}, unknown to nn.RNN, nn.GRU and nn.LSTM" if unknown else f"no name with {prefix!r}"
        raise ValueError(f"from_torch got {came}. {_advice(state_dict)}")
    return selected


def _advice(state_dict: Mapping[str, Any]) -> str:
    prefixes = [repr(name.removesuffix("weight_ih_l0")) for name in state_dict if name.endswith("weight_ih_l0")]
    if not prefixes:
        return "Pass the state dict of one of these, or of a model that has one."
    return f"Pass the state dict of just the recurrent module, or as prefix: {_join(prefixes)}."


def _layers(selected: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
    """For each layer: parameter -> array. Every layer has the same parameters."""
    split = [name.rsplit("_l", 1) for name in selected]
    present, depth = {parameter for parameter, _ in split}, len({number for _, number in split})
    needed = present | {"weight_ih", "weight_hh"} | (_BIASES if present & _BIASES else set())
    names = [{parameter: f"{parameter}_l{number}" for parameter in needed} for number in range(depth)]
    if missing := {name for layer in names for name in layer.values()} - selected.keys():
        raise ValueError(f"from_torch got {_join(selected)}; {_join(missing)} is missing. Pass the whole state dict.")
    return [{parameter: _array(selected[name]) for parameter, name in layer.items()} for layer in names]


def _array(tensor: Any) -> np.ndarray:
    """As float32, also from tensors that NumPy cannot read directly: on a GPU, with gradients, in bfloat16."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().float().numpy()
    return np.asarray(tensor, np.float32)


def _cell(number: int, arrays: Mapping[str, np.ndarray], activation: Callable, dtype) -> Elman | GRU | LSTM:
    """The cell of one layer, with the arrays as its parameters."""
    cell = _empty_cell(number, arrays, activation, dtype)
    for name, parameter in _parameters(cell).items():
        needed = parameter.shape[::-1]
        array = arrays[name] if name in arrays else np.zeros(needed, np.float32)
        if array.shape != needed:
            raise ValueError(
                f"{name}_l{number} has shape {array.shape}; with the other weights it must have {needed}. "
                "Pass the state dict of one module, unchanged."
            )
        parameter.set_value(jnp.array(array.T))
    return cell


def _empty_cell(number: int, arrays: Mapping[str, np.ndarray], activation: Callable, dtype) -> Elman | GRU | LSTM:
    """The cell for the weights' shapes, built abstractly, so that no random numbers are drawn just to be
    overwritten."""
    shapes = {name: array.shape for name, array in arrays.items() if name.startswith("weight")}
    if any(len(shape) != 2 or 0 in shape for shape in shapes.values()):
        raise ValueError(f"Layer {number} has weights of the shapes {shapes}; all must be matrices.")
    (rows, in_features), out_features = shapes["weight_ih"], shapes["weight_hh"][1]
    projection, hidden = shapes.get("weight_hr", (None, out_features))
    sizes = in_features, hidden
    if rows == hidden and projection is None:
        return nnx.eval_shape(lambda: Elman(*sizes, activation=activation, dtype=dtype, rngs=nnx.Rngs(0)))
    if rows == 3 * hidden and projection is None:
        return nnx.eval_shape(lambda: GRU(*sizes, dtype=dtype, rngs=nnx.Rngs(0)))
    if rows == 4 * hidden:
        return nnx.eval_shape(lambda: LSTM(*sizes, projection=projection, dtype=dtype, rngs=nnx.Rngs(0)))
    raise ValueError(
        f"Layer {number} has weights of the shapes {shapes}. With a hidden size of {hidden}, weight_ih of nn.RNN has "
        f"{hidden} rows, of nn.GRU {3 * hidden}, of nn.LSTM {4 * hidden}, and only nn.LSTM has weight_hr. "
        "Pass the state dict of one of these."
    )


def _parameters(cell: Elman | GRU | LSTM) -> dict[str, nnx.Param]:
    """PyTorch's name without the layer -> our parameter, its transpose. Both have the same order of gates."""
    named = {
        "weight_ih": cell.input.kernel,
        "weight_hh": cell.recurrent.kernel,
        "bias_ih": cell.input.bias,
        "bias_hh": cell.recurrent.bias,
    }
    if isinstance(cell, LSTM) and cell.output is not None:
        named["weight_hr"] = cell.output.kernel
    return named


def _cells(layer: Recurrent | Chain) -> list[Elman | GRU | LSTM]:
    """The cells in the order of the data, if a single PyTorch module can hold them."""
    layers = layer.layers if isinstance(layer, Chain) else [layer]
    cells = [each.cell for each in layers if isinstance(each, Recurrent) and isinstance(each.cell, Elman | GRU | LSTM)]
    if len(cells) != len(layers):
        came = ", ".join(type(getattr(each, "cell", each)).__name__ for each in layers)
        raise ValueError(
            f"to_torch got {came}; it converts Recurrent layers of Elman, GRU or LSTM, alone or in a Chain. "
            "Pass only those layers."
        )
    _check_one_module(cells)
    return cells


def _check_one_module(cells: list[Elman | GRU | LSTM]) -> None:
    forms = {(type(cell), cell.recurrent.kernel.shape, getattr(cell, "activation", None)) for cell in cells}
    fits = all(above.in_features == below.out_features for below, above in pairwise(cells))
    if len(forms) != 1 or not fits:
        came = ", ".join(f"{type(cell).__name__} {cell.in_features} -> {cell.out_features}" for cell in cells)
        raise ValueError(
            f"The layers ({came}) are not a single PyTorch module, whose layers share one kind, one hidden size and "
            "one activation, and each take the output of the one before. Convert them one by one."
        )


def _join(names: Iterable[str], at_most: int = 5) -> str:
    """The first names; a large model has hundreds."""
    names = sorted(names)
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


__all__ = ["from_torch", "to_torch"]
