"""Models as files: NAME.safetensors holds the arrays, NAME.json says what they are and how well they do."""

import dataclasses
import json
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as serialise

import streamrnn.models
from streamrnn.contract import Constant
from streamrnn.models import Model

SHIPPED = Path(__file__).parent
FORMAT = 1
# The model that a task's name alone stands for.
PRESETS = {"keywords": "keywords-en", "digits": "digits-ctc"}

# What a model is, as against what it draws while it is trained.
STORED = nnx.Any(nnx.Param, Constant)


def save(model: Model, path: str | PathLike[str], **card: Any) -> None:
    """Writes the model to PATH.safetensors and PATH.json; path may end in either. Each file is replaced as a whole.

    Args:
        model: what to write; its settings and decision settings go along.
        card: further entries of the .json (task, figures, ...), JSON-friendly.
    """
    path = _weights_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "model": type(model).__name__,
        "settings": dataclasses.asdict(model.settings),
        "decision": dataclasses.asdict(model.decision),
        **card,
    }
    text = json.dumps(description, indent=2) + "\n"
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in _named_leaves(nnx.state(model, STORED))}
    _replace(path, serialise(arrays))
    _replace(path.with_suffix(".json"), text.encode())


def load(name_or_path: str | PathLike[str], model_class: type[Model] | None = None) -> Model:
    """A model in eval mode: a shipped one by name ("vad"; `streamrnn models` lists them), or one saved to a path.

    The name of a task stands for its default model: "keywords" for keywords-en, "digits" for digits-ctc.

    Args:
        name_or_path: a shipped model's name, or the path of a file that save() wrote.
        model_class: builds the model where its class is none of streamrnn.models: pass your own.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the files are corrupt, of a newer format, or don't fit each other.
    """
    path = locate(name_or_path)
    model = _abstract_model(describe(path), path.with_suffix(".json"), model_class)
    nnx.update(model, _fitted(nnx.state(model, STORED), _read(path), path))
    nnx.update(model, jax.tree.map(_fresh_randomness, nnx.state(model, nnx.RngState)))
    model.eval()
    return model


def _replace(path: Path, data: bytes) -> None:
    # Aside first: whoever reads meanwhile, or a full disk, meets the old file or the new one, never a part.
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)


def locate(name_or_path: str | PathLike[str]) -> Path:
    """The .safetensors file of a shipped model's name, of a task's name, or of a path.

    Raises:
        FileNotFoundError: there is none; the message names the shipped ones.
    """
    name = PRESETS.get(str(name_or_path), name_or_path)
    for path in (SHIPPED / f"{name}.safetensors", _weights_path(name_or_path)):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"There is no model {str(name_or_path)!r}. Shipped are: {', '.join(shipped())}. "
        "Pass one of these names, or the path of a .safetensors file that streamrnn wrote."
    )


def _weights_path(path: str | PathLike[str]) -> Path:
    path = Path(path)
    # Not with_suffix: the ".2" of "runs/v1.2" is no suffix to be replaced.
    return path if path.suffix == ".safetensors" else path.parent / f"{path.name.removesuffix('.json')}.safetensors"


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def describe(path: Path) -> dict[str, Any]:
    """The .json beside a .safetensors file.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is no such description, or of a newer format.
    """
    path = path.with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs to the .safetensors file beside it. Copy both.")
    try:
        description = json.loads(path.read_text())
        settings, decision = dict(description["settings"]), dict(description["decision"])
        name, newer = str(description["model"]), description["format"] > FORMAT
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no description of a model ({error!r}). Save the model again.") from error
    if newer:
        raise ValueError(
            f"{path} has format {description['format']}; this version reads up to {FORMAT}. Upgrade streamrnn."
        )
    return {**description, "model": name, "settings": settings, "decision": decision}


def _abstract_model(description: dict[str, Any], path: Path, model_class: Any) -> Model:
    """The described model with shapes in the place of its arrays."""
    model_class = model_class or _model_class(description["model"], path)
    try:
        settings = model_class.Settings(**_with_tuples(description["settings"]))
        decision = model_class.Decision(**_with_tuples(description["decision"]))
        # Built abstractly: no random numbers are drawn and no filterbank is designed only to be overwritten.
        return nnx.eval_shape(lambda: model_class(settings, decision, rngs=nnx.Rngs(0)))
    except TypeError as error:
        raise ValueError(
            f"{path} does not fit this version's {model_class.__name__}: {error}. "
            "Upgrade streamrnn, or save the model again."
        ) from error


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    # JSON has lists only; settings are frozen, and theirs are tuples.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _fresh_randomness(leaf: Any) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if is_key else jnp.zeros(leaf.shape, leaf.dtype)


def _model_class(name: str, path: Path) -> Any:
    model_class = getattr(streamrnn.models, name, None)
    if not (isinstance(model_class, type) and issubclass(model_class, Model)):
        raise ValueError(
            f"{path} names the model {name!r}, which is none of streamrnn.models. If it is yours, pass it: "
            f"load(path, model_class={name}). Else upgrade streamrnn."
        )
    return model_class


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is corrupt or no safetensors file ({error}). Fetch or save it again.") from None


def _fitted(abstract: nnx.State, arrays: dict[str, np.ndarray], path: Path) -> nnx.State:
    """The arrays in the place of the abstract leaves that they are for."""
    expected = dict(_named_leaves(abstract))
    if expected.keys() != arrays.keys():
        differing = ", ".join(sorted(expected.keys() ^ arrays.keys())[:5])
        raise ValueError(
            f"{path} does not fit its .json: {differing} is in one but not in the other. Save the model again."
        )
    for name, leaf in expected.items():
        found, needed = (f"{array.dtype}{list(array.shape)}" for array in (arrays[name], leaf))
        if found != needed:
            raise ValueError(f"{path}: {name} is {found}; its .json asks for {needed}. Save the model again.")
    leaves = [jax.device_put(arrays[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)


def _named_leaves(state: nnx.State) -> list[tuple[str, Any]]:
    return [(".".join(map(str, path)), variable.get_value()) for path, variable in nnx.to_flat_state(state)]


__all__ = ["describe", "load", "locate", "save", "shipped"]
