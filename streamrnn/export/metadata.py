"""Metadata of exported files: everything needed to run them and to interpret their outputs, ready for JSON."""

import dataclasses
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from streamrnn import __version__
from streamrnn.comparing import as_kept
from streamrnn.decisions.outlets import in_effect
from streamrnn.export.tracing import FlatStep, StateTensor
from streamrnn.models import Model
from streamrnn.pretrained import describe, locate
from streamrnn.runtime.export_format import DTYPES, SERIES_FORMAT, SOUND_FORMAT, STEP
from streamrnn.signals import Sound, described


def describe_export(step: FlatStep, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Builds the metadata; docs/export.md explains every entry.

    Args:
        step: the exported step.
        kind: STEP, a graph of one block, or RECORDING, of whole recordings.
        about: further entries; see `about_model`.

    Raises:
        ValueError: an array of the state is neither float32 nor int32, or its initial value is not finite.
    """
    model = step.model
    return {
        "format": SOUND_FORMAT if isinstance(model.signal, Sound) else SERIES_FORMAT,
        "streamrnn": __version__,
        "kind": kind,
        "model": type(model).__name__,
        **_signal(model),
        "frame_s": model.frame_s,
        "lookahead_s": model.lookahead_s,
        "warm_up_frames": model.lookahead // model.stride,
        "out_features": model.out_features,
        "labels": list(model.labels),
        "decision_kind": type(model.decision).__name__,
        "decision": as_kept(in_effect(model.decision)),
        # As set in the model: defaults that derive from the threshold also follow an override of it.
        "decision_settings": {} if model.decision is None else as_kept(dataclasses.asdict(model.decision)),
        "states": [_described(state) for state in step.states] if kind == STEP else [],
        **about,
    }


def about_model(name_or_path: str | PathLike[str]) -> dict[str, Any]:
    """Name, task, evaluation results and model card of a shipped or saved model.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: its description is damaged.
    """
    path = locate(name_or_path)
    description, card = describe(path), path.with_suffix(".md")
    about = {"name": path.stem, "task": description.get("task"), "figures": description.get("figures")}
    if card.is_file():
        about["card"] = card.read_text(encoding="utf-8", errors="replace")
    return {name: value for name, value in about.items() if value is not None}


def _described(state: StateTensor) -> dict[str, Any]:
    row = state.initial[0]
    if row.dtype.name not in DTYPES:
        raise ValueError(
            f"{state.name} is {row.dtype.name}, but the state of an exported step must be float32 or int32. Use one of "
            "these in that layer's init_state and step."
        )
    if not np.isfinite(row).all():
        raise ValueError(
            f"the initial value of {state.name} is {row[~np.isfinite(row)][0]}, which JSON cannot represent, and the "
            "metadata hold it. Start from a finite one, such as -1e30 for the lowest."
        )
    entry = {"name": state.name, "next": state.next_name, "shape": list(row.shape), "dtype": row.dtype.name}
    if not row.any():
        return entry
    first = row.flat[0]
    return {**entry, "initial": first.item() if (row == first).all() else row.tolist()}


def _signal(model: Model) -> dict[str, Any]:
    if isinstance(model.signal, Sound):
        return {"sample_rate": model.sample_rate, "block_samples": model.block_samples}
    return {"signal": described(model.signal), "stride": model.stride}


__all__ = ["about_model", "describe_export"]
