"""What an exported file says of itself: all that is needed to run it and to read its outputs, ready for JSON."""

import dataclasses
from collections.abc import Mapping
from os import PathLike
from typing import Any

from streamrnn import __version__
from streamrnn.decisions import SpeechSettings
from streamrnn.export.format import FORMAT, STEP
from streamrnn.export.tracing import FlatStep, StateTensor
from streamrnn.models import Model
from streamrnn.pretrained import describe, locate


def describe_export(step: FlatStep, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata; docs/export.md explains every entry.

    Args:
        step: what is exported.
        kind: STEP, a graph of one block, or RECORDING, of whole recordings.
        about: further entries; see `about_model`.
    """
    model = step.model
    return {
        "format": FORMAT,
        "streamrnn": __version__,
        "kind": kind,
        "model": type(model).__name__,
        "sample_rate": model.sample_rate,
        "block_samples": model.block_samples,
        "frame_s": model.frame_s,
        "lookahead_s": model.lookahead_s,
        "warm_up_frames": model.lookahead // model.stride,
        "out_features": model.out_features,
        "labels": _labels(model),
        "decision_kind": type(model.decision).__name__,
        "decision": _decision(model.decision),
        "states": [_described(state) for state in step.states] if kind == STEP else [],
        **about,
    }


def about_model(name_or_path: str | PathLike[str]) -> dict[str, Any]:
    """Name, task, figures and model card of a shipped model, or of one that was saved to a path.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: its description is damaged.
    """
    path = locate(name_or_path)
    description, card = describe(path), path.with_suffix(".md")
    about = {"name": path.stem, "task": description.get("task"), "figures": description.get("figures")}
    if card.is_file():
        about["card"] = card.read_text(encoding="utf-8")
    return {name: value for name, value in about.items() if value is not None}


def _described(state: StateTensor) -> dict[str, Any]:
    row = state.initial[0]
    entry = {"name": state.name, "next": state.next_name, "shape": list(row.shape), "dtype": row.dtype.name}
    if not row.any():
        return entry
    first = row.flat[0]
    return {**entry, "initial": first.item() if (row == first).all() else row.tolist()}


def _labels(model: Model) -> list[str]:
    """Names of the outputs, or of the ids that a search gives, by number; "" is the blank."""
    if isinstance(model.decision, SpeechSettings):
        return ["speech"]
    labels, symbols = getattr(model.settings, "labels", None), getattr(model.settings, "symbols", None)
    if labels is not None:
        return list(labels)
    return ["", *symbols] if symbols is not None else []


def _decision(decision: Any) -> dict[str, Any]:
    settings = dataclasses.asdict(decision)
    # A reader elsewhere need not know how the default follows from the threshold.
    if isinstance(decision, SpeechSettings):
        settings["off_threshold"] = decision.resolved_off_threshold
    return settings


__all__ = ["about_model", "describe_export"]
