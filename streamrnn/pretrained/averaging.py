"""Averages of several trainings of one model."""

import dataclasses
import math
from collections.abc import Sequence
from operator import mul
from typing import Any

import jax
import numpy as np
from flax import nnx

from streamrnn.models import Model
from streamrnn.pretrained.weights import STORED


def average(models: Sequence[Model], shares: Sequence[float] | None = None) -> Model:
    """A model with the weighted mean of the weights of several, and settings and decision of the first.

    Trainings that start from the same weights, with different seeds or settings, often end so close together that their
    mean is more accurate and more robust than each. The result is one model, at the cost of one.

    Source: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
    increasing inference time", ICML 2022.

    Args:
        models: one or more, of one class and with the same settings; how much dropout there was may differ. None is
            changed.
        shares: weight of each, above 0, with any sum; default: equal weights.

    Raises:
        ValueError: there is no model, they differ in class, settings or layers, or the number of shares is another one,
            or a share is not above 0 and finite.
    """
    shares = [1.0] * len(models) if shares is None else list(shares)
    if not models or len(shares) != len(models) or not all(0 < share < math.inf for share in shares):
        raise ValueError(
            f"average got {len(models)} models and shares {shares}; it needs one or more models, and for each a finite "
            "share above 0."
        )
    for other in models[1:]:
        if (type(other), _trained(other)) != (type(models[0]), _trained(models[0])):
            raise ValueError(
                f"average got a {type(models[0]).__name__} with {models[0].settings} and a {type(other).__name__} with "
                f"{other.settings}; weights have a mean where both are the same. Pass trainings of one model."
            )
        # Layers that were put together by hand have no settings that tell them apart.
        if _shapes(other) != _shapes(models[0]):
            raise ValueError(
                f"average got models of different layers: {models[0]} and {other}. Pass trainings of one model."
            )
    parts = (np.array(shares, np.float64) / math.fsum(shares)).astype(np.float32)
    mean = nnx.clone(models[0])
    states = [nnx.state(model, STORED) for model in models]
    nnx.update(mean, jax.tree.map(lambda *leaves: sum(map(mul, parts, leaves)), *states))
    return mean


def _trained(model: Model) -> Any:
    """The settings that tell what its weights mean. How much dropout there was ends with training; whether there is a
    layer of it does not."""
    settings: Any = model.settings
    return dataclasses.replace(settings, dropout=0.5) if getattr(settings, "dropout", 0.0) else settings


def _shapes(model: Model) -> dict[Any, tuple[int, ...]]:
    return {path: weights.shape for path, weights in nnx.to_flat_state(nnx.state(model, STORED))}


__all__ = ["average"]
