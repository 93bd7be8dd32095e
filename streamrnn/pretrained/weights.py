"""Models as files: NAME.safetensors has the arrays, NAME.json the description and the measured accuracy."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from importlib.resources import files
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

import streamrnn.decisions
import streamrnn.models
from streamrnn.comparing import as_kept
from streamrnn.contract import Constant, Layer
from streamrnn.lifetime import running
from streamrnn.models import LayerModel, Model
from streamrnn.models.of_layers import UnknownBuilder, builder_name
from streamrnn.pretrained.descriptions import FORMAT, Draws, as_settings, describe, description_path
from streamrnn.pretrained.loading import is_address
from streamrnn.replacing import replace_file
from streamrnn.suggestions import did_you_mean
from streamrnn.tasks import find_task, tasks

SHIPPED = Path(__file__).parent

# The model's own variables, without the random states of training.
STORED = nnx.Any(nnx.Param, Constant)


def save(model: Model, path: str | PathLike[str], **card: Any) -> None:
    """Writes the model to PATH.safetensors and PATH.json; path may have either ending. Files are replaced as a whole.

    Args:
        model: the model to write, with its settings and decision settings.
        card: further entries of the .json (task, figures, ...), JSON-friendly.

    Raises:
        ValueError: it could not be loaded again, or there is NaN in it; nothing was written.
    """
    path = weights_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        **model.description(),
        **card,
    }
    text = json.dumps(as_kept(description), indent=2) + "\n"
    _require_loadable(model, json.loads(text))
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in _named_leaves(nnx.state(model, STORED))}
    if undefined := _without_numbers(arrays):
        raise ValueError(f"this {type(model).__name__} cannot be saved: {undefined}. Lower the learning rate?")
    replace_file(path, serialise(arrays))
    replace_file(path.with_suffix(".json"), text.encode())


def _require_loadable(model: Model, description: Mapping[str, Any]) -> None:
    try:
        for name, settings in (("settings", model.settings), ("decision", model.decision)):
            if settings is not None:
                as_settings(type(settings), description[name])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"this {type(model).__name__} cannot be saved, because its file could not be read again: {error}."
        ) from error


def load_weights(
    name_or_path: str | PathLike[str],
    model_class: type[Model] | None = None,
    build: Callable[..., Layer] | None = None,
) -> Model:
    """A shipped or saved model in eval mode; arguments and errors as of `load`."""
    path = locate(name_or_path)
    description, arrays = describe(path), _read(path)
    if build is not None:
        model_class = LayerModel
        description = {**description, "settings": {**description["settings"], "builder": builder_name(build)}}
    with running:
        model = _abstract_model(description, description_path(path), model_class, len(arrays))
        nnx.update(model, _fitted(nnx.state(model, STORED), arrays, path))
        nnx.update(model, jax.tree.map(_fresh_randomness, nnx.state(model, nnx.RngState)))
    model.eval()
    model.task = str(description.get("task") or "")
    return model


def locate(name_or_path: str | PathLike[str]) -> Path:
    """The .safetensors file for a shipped model's name, a task's name, a path, or an address on the Hub.

    Raises:
        FileNotFoundError: there is none; the message names the shipped models.
        ConnectionError, ImportError, OSError, ValueError: an address came that cannot be had; see hub.fetched.
    """
    if not isinstance(name_or_path, str | PathLike):
        came = "a model, which is loaded already" if isinstance(name_or_path, Model) else repr(name_or_path)
        raise TypeError(f"{came} came where a model's name or path is needed. Pass 'vad', or the path of a file.")
    if is_address(name_or_path):
        from streamrnn.pretrained.hub import fetched

        return fetched(str(name_or_path))
    # Names before files: a training leaves keywords.safetensors in its folder, and a name means the same everywhere.
    candidates = [SHIPPED / f"{name_or_path}.safetensors", weights_path(name_or_path)]
    task = find_task(str(name_or_path))
    if task is not None and task.default is not None:
        package, _, file = task.default.rpartition(":")
        candidates.insert(1, Path(str(files(package))) / file if package else SHIPPED / f"{file}.safetensors")
    for path in candidates:
        if path.is_file():
            return path
    raise FileNotFoundError(_not_there(str(name_or_path)))


def _not_there(name: str) -> str:
    """What to say of a name that is none, or of a file that is missing or none of ours."""
    path = Path(name)
    if path.suffix == ".onnx" and path.is_file():
        return (
            f"{name} is an exported model: it runs and can be evaluated, and no more than that. Pass the .safetensors "
            "file that it was exported from."
        )
    if name and (path.is_file() or path.is_dir()):
        kind = "a folder" if path.is_dir() else "no file that streamrnn wrote"
        return f"{name} is {kind}. Pass the path of a .safetensors file, with its .json beside it, or of an .onnx file."
    if path.suffix in (".safetensors", ".json") or os.sep in name:
        file = weights_path(path)
        there = [other.stem for other in file.parent.glob("*.safetensors")] if file.parent.is_dir() else []
        missing = f"There is no file {file}" if file.parent.is_dir() else f"There is no folder {file.parent}"
        return f"{missing}.{did_you_mean(file.stem, there)} Pass a shipped model's name, or the path of a saved one."
    known = [*shipped(), *(task.name for task in tasks() if task.default is not None)]
    return (
        f"There is no model {name!r}.{did_you_mean(name, known)} Shipped are: {', '.join(shipped())}. "
        "Pass one of these names, the path of a .safetensors file that streamrnn wrote, or hf://owner/name."
    )


def weights_path(path: str | PathLike[str]) -> Path:
    """PATH.safetensors, of a path with either ending or none."""
    path = Path(path)
    # Not with_suffix, which would replace the ".2" of "runs/v1.2".
    return path if path.suffix == ".safetensors" else path.parent / f"{path.name.removesuffix('.json')}.safetensors"


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def _abstract_model(description: dict[str, Any], path: Path, model_class: Any, arrays: int) -> Model:
    """The described model with shapes in place of its arrays; the file has this number of arrays."""
    model_class = model_class or _model_class(description, path)
    try:
        settings = as_settings(model_class.Settings, description["settings"])
        decision = _decision(model_class, settings, description["decision"])
        # Built abstractly, so that no random numbers are drawn and no filterbank is designed only to be overwritten.
        return nnx.eval_shape(lambda: model_class(settings, decision, rngs=Draws(2 * arrays + 32)))
    except UnknownBuilder as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # untested settings may fail anywhere in a constructor
        raise ValueError(
            f"{path} does not fit this version's {model_class.__name__}: {error}. "
            "Upgrade streamrnn, or save the model again."
        ) from error


def _decision(model_class: Any, settings: Any, values: dict[str, Any]) -> Any:
    """The decision settings; models of layers name their class."""
    if not issubclass(model_class, LayerModel):
        return None if model_class.Decision is None else as_settings(model_class.Decision, values)
    kind = getattr(streamrnn.decisions, settings.decision_kind, None) if settings.decision_kind else None
    if settings.decision_kind and not hasattr(kind, "outlet"):
        raise ValueError(f"decision_kind is {settings.decision_kind!r}, which streamrnn.decisions does not have")
    return None if kind is None else as_settings(kind, values)


def _fresh_randomness(leaf: Any) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if is_key else jnp.zeros(leaf.shape, leaf.dtype)


def _model_class(description: dict[str, Any], path: Path) -> Any:
    name = description["model"]
    model_class = getattr(streamrnn.models, name, None)
    task = find_task(str(description.get("task"))) if model_class in (None, LayerModel) else None
    if task is not None and model_class is LayerModel:
        # An installed package's, which marks the function that builds the layers.
        task.resolve("model")
    elif task is not None and task.model.endswith(f":{name}"):
        model_class = task.resolve("model")
    if not (isinstance(model_class, type) and issubclass(model_class, Model) and model_class is not Model):
        raise ValueError(
            f"{path} names the model {name!r}, which is none of streamrnn.models and of no task here. If it is yours, "
            f"pass it: load(path, model_class={name}). Else install its package, or upgrade streamrnn."
        )
    return model_class


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is corrupt or no safetensors file ({error}). Fetch or save it again.") from None


def _fitted(abstract: nnx.State, arrays: dict[str, np.ndarray], path: Path) -> nnx.State:
    """Puts the arrays in place of the abstract leaves."""
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
    if undefined := _without_numbers(arrays):
        raise ValueError(f"{path}: {undefined}. Its training failed, or the file is damaged; pass another one.")
    leaves = [jax.device_put(arrays[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(abstract), leaves)


def _without_numbers(arrays: Mapping[str, np.ndarray]) -> str:
    """Which arrays hold NaN, for a message. A model with one answers NaN to everything, or is sure of nonsense."""
    found = [
        name for name, array in arrays.items() if jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(array).any()
    ]
    return f"{', '.join(found[:3])} {'holds' if len(found) == 1 else 'hold'} NaN in place of numbers" if found else ""


def _named_leaves(state: nnx.State) -> list[tuple[str, Any]]:
    return [(".".join(map(str, path)), variable.get_value()) for path, variable in nnx.to_flat_state(state)]


def save_decided(
    name_or_path: str | PathLike[str], out: str | PathLike[str], settings: Mapping[str, Any], **told: Any
) -> None:
    """Writes the model to `out` with other decision settings; its description keeps task, figures and the like.

    Args:
        settings: of its decision, by name.
        told: what its description says besides, JSON-friendly.
    """
    model = load_weights(name_or_path)
    model.decision = dataclasses.replace(model.decision, **settings)
    built = model.description().keys() | {"format"}
    kept = {name: value for name, value in describe(locate(name_or_path)).items() if name not in built}
    save(model, out, **kept, **told)


__all__ = ["describe", "load_weights", "locate", "save", "save_decided", "shipped", "weights_path"]
