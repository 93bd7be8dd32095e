"""Models as StableHLO: one file that any JAX of the next six months runs, on CPU, GPU and TPU, without this package."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jax

from streamrnn.export.metadata import describe_export
from streamrnn.export.tracing import FlatStep, for_any_batch
from streamrnn.models import Model
from streamrnn.replacing import replace_file
from streamrnn.runtime.export_format import STEP, read_metadata

PLATFORMS = ("cpu", "cuda", "tpu")


def export_stablehlo(model: Model, path: str | PathLike[str], *, about: Mapping[str, Any] | None = None) -> None:
    """Writes the step of one block to PATH, and its metadata to PATH.json.

    `jax.export.deserialize(bytearray(...)).call(pcm, *states)` runs it: pcm float32[batch, block_samples] and the
    state's arrays in the order of the metadata -> (outputs float32[batch, out], *next states), for any batch.

    Args:
        model: any Model; its weights become constants.
        path: the file to write.
        about: as for `onnx_step`.

    Raises:
        OSError: a file cannot be written.
        TypeError: it is not a Model.
        ValueError: its step depends on the number of streams, or its state cannot be stored in a file.
    """
    step = FlatStep(model)
    export = jax.export.export(jax.jit(step), platforms=PLATFORMS)
    exported = for_any_batch(lambda shapes: export(*shapes), step)
    metadata = describe_export(step, STEP, about or {}) | {"platforms": list(PLATFORMS)}
    replace_file(path, bytes(exported.serialize()))
    replace_file(_beside(path), (json.dumps(metadata, indent=2, ensure_ascii=False) + "\n").encode())


def load_stablehlo(path: str | PathLike[str]) -> tuple[jax.export.Exported, dict[str, Any]]:
    """The exported step, ready to call, and its metadata.

    Raises:
        OSError: one of the two files is missing.
        ValueError: one is damaged, or this version cannot run the export.
    """
    metadata = read_metadata(_beside(path).read_text(encoding="utf-8", errors="replace"), path, STEP)
    content = bytearray(Path(path).read_bytes())
    try:
        return jax.export.deserialize(content), metadata
    except Exception as error:  # the deserialiser has no exception class of its own
        raise ValueError(f"{path} is damaged ({error!r}). Export the model again.") from error


def _beside(path: str | PathLike[str]) -> Path:
    # Not with_suffix: vad.json may be the description of the model itself.
    return Path(f"{Path(path)}.json")


__all__ = ["export_stablehlo", "load_stablehlo"]
