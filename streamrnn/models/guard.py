"""The guard of models of words: the layers of `vad`. Where they detect no speech, no word is detected."""

import dataclasses
import math
from typing import Any, TypeVar

from flax import nnx

from streamrnn.contract import Constant, Layer
from streamrnn.layers import Chain, Guarded
from streamrnn.models.model import Model
from streamrnn.models.voice_activity import VoiceActivity, VoiceActivitySettings

# As `vad` is shipped.
GUARD = VoiceActivitySettings(memory_s=0.0)
# Nats that the class of nothing gains per nat that the guard is below its threshold.
WEIGHT = 5.0
# About 0.2 s on either side of an output frame, where the model looks 200 ms ahead.
FRAMES = 48

M = TypeVar("M", bound=Model)


def check_guard(settings: Any) -> None:
    """Raises ValueError where `settings.guard` is out of range, or there is no guard for such sound."""
    if not 0 <= settings.guard < 1:
        raise ValueError(f"guard is {settings.guard}; it needs a probability of speech in [0, 1), or 0 for no guard.")
    heard, guards = ((s.sample_rate, s.hop_samples) for s in (settings, GUARD))
    if settings.guard and heard != guards:
        raise ValueError(
            f"guard is {settings.guard}, and the sound has {heard[0]} Hz in hops of {heard[1]} samples; a guard needs "
            f"{guards[0]} Hz in hops of {guards[1]}. Pass guard=0 for none."
        )


def chain_of(settings: Any, *layers: Layer, rngs: nnx.Rngs) -> Chain:
    """The layers in series, guarded where `settings.guard` is above 0. Class 0 of the last one is "nothing"."""
    if not settings.guard:
        return Chain(*layers)
    guard = VoiceActivity(GUARD, rngs=rngs).network
    threshold = math.log(settings.guard / (1 - settings.guard))
    return Guarded(*layers, guard=guard, threshold=threshold, weight=WEIGHT, frames=FRAMES)


def guarded(model: M, by: Model, threshold: float = 0.5) -> M:
    """The model with a guard: its blank, or silence, becomes likelier where there is no speech within about 0.2 s.

    Guard and model run side by side as one model, which streams, trains, saves and exports like any other; see
    `streamrnn.layers.Guarded`. The latency does not change. A block costs the guard's computation more.

    Args:
        model: a `CTC` or `Keywords` model; one that has a guard gets another.
        by: a `VoiceActivity` model of the sizes of the shipped `vad`.
        threshold: probability of speech, in (0, 1), at and above which the guard changes nothing.

    Raises:
        TypeError: the model cannot be guarded, or `by` is no voice activity model.
        ValueError: `by` has other sizes, threshold is out of range, or the model hears other sound than `by`.
    """
    if not hasattr(model.settings, "guard"):
        raise TypeError(f"{type(model).__name__} cannot be guarded; models of digits (CTC) and of keywords can.")
    if not isinstance(by, VoiceActivity):
        raise TypeError(f"{type(by).__name__} came as a guard; it needs a voice activity model, such as `vad`.")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold}; a guard needs a probability above 0 and below 1, such as 0.5.")
    if by.settings != GUARD:
        raise ValueError(
            f"the guard has the settings {by.settings}; it needs those of the shipped vad: {GUARD}. Train one with "
            "these."
        )
    settings = dataclasses.replace(model.settings, guard=threshold)
    made = type(model)(settings, model.decision, rngs=nnx.Rngs(0))  # pyright: ignore[reportCallIssue]
    made.initialise_from(model)
    _copy(by.network, made.network.guard)  # pyright: ignore[reportAttributeAccessIssue]
    made.task = model.task
    made.eval()
    return made


def _copy(trained: Layer, frozen: Layer) -> None:
    given = dict(nnx.to_flat_state(nnx.state(trained, nnx.Any(nnx.Param, Constant))))
    own = nnx.to_flat_state(nnx.state(frozen, Constant))
    nnx.update(frozen, nnx.from_flat_state([(path, weight.replace(given[path][...])) for path, weight in own]))


__all__ = ["chain_of", "check_guard", "guarded"]
