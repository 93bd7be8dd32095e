"""The speaker encoder of the package Resemblyzer (Apache-2.0) as a model. Its weights are not shipped."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.layers import from_torch
from streamrnn.models import Speaker, SpeakerSettings
from streamrnn.pretrained.torch_files import read_checkpoint

_INSIDE = "resemblyzer/pretrained.pt"


def convert_resemblyzer(weights: Path | None = None) -> Speaker:
    """The encoder, without speakers: its outputs are vectors. `streamrnn.runtime.enrol` makes it know some.

    Neither Resemblyzer nor PyTorch is imported.

    Args:
        weights: Resemblyzer's pretrained.pt, or its wheel; default: that of the installed package.

    Raises:
        FileNotFoundError: there is no such file, or no installed package.
        ValueError: it holds other weights, or is damaged.
    """
    path = _installed() if weights is None else weights
    try:
        state = read_checkpoint(_bytes(path))["model_state"]
        return _speaker(state)
    except (KeyError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} does not hold the weights of Resemblyzer's encoder: {error}") from None


def _installed() -> Path:
    spec = find_spec("resemblyzer")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "Resemblyzer is not installed. Its wheel has the weights and need not be: pip download --no-deps "
            "resemblyzer, then streamrnn convert resemblyzer OUT --weights Resemblyzer-0.1.4-py3-none-any.whl."
        )
    return Path(spec.origin).with_name("pretrained.pt")


def _bytes(path: Path) -> bytes:
    if path.suffix != ".whl":
        return path.read_bytes()
    with ZipFile(path) as wheel:
        return wheel.read(_INSIDE)


def _speaker(state: Any) -> Speaker:
    if not isinstance(state, dict) or not all(isinstance(value, np.ndarray) for value in state.values()):
        raise ValueError("its model_state holds something else than tensors")
    state = {f"{name}": value for name, value in state.items()}
    core = from_torch({name: value for name, value in state.items() if name.startswith("lstm.")}, prefix="lstm.")
    mels, (vector, hidden) = state["lstm.weight_ih_l0"].shape[1], state["linear.weight"].shape
    settings = SpeakerSettings(hidden=hidden, layers=len(core.layers), vector=vector, mels=mels)
    model = Speaker(settings, rngs=nnx.Rngs(0))
    voiceprint = model.voiceprint
    found, needed = _shapes(core), _shapes(voiceprint.core)
    if found != needed or state["linear.bias"].shape != (vector,):
        raise ValueError(
            f"it has other layers than LSTMs of {hidden} numbers below a linear layer from {hidden} to {vector}"
        )
    nnx.update(voiceprint.core, nnx.state(core, nnx.Param))
    voiceprint.head.kernel[...] = jnp.asarray(state["linear.weight"].T)
    voiceprint.head.bias = nnx.Param(jnp.asarray(state["linear.bias"]))
    model.eval()
    return model


def _shapes(core: nnx.Module) -> dict[Any, tuple[int, ...]]:
    return {path: weights.shape for path, weights in nnx.to_flat_state(nnx.state(core, nnx.Param))}


__all__ = ["convert_resemblyzer"]
