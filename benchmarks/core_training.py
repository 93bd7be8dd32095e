"""How fast the cores learn: frames per second, forward and backward, over whole recordings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.bench.online_room import bytes_needed, too_large
from streamrnn.bench.tables import rounded
from streamrnn.bench.timing import taking_turns
from streamrnn.contract import aligned
from streamrnn.layers import Chain
from streamrnn.models.cores import core_layers

BATCH_SIZE, IN_FEATURES = 4, 96
TURN_S = 0.2
# Trained as what it is made of: the same network with a cache.
SAME_IN_TRAINING = {"transformer-recompute": "transformer"}


def training_throughput(settings: Mapping[str, Any], frames: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """Times one gradient of each core by itself, without front end and head, on BATCH_SIZE recordings of each length.

    Unlike a live block, it may use all cores of the machine. A transformer sees the whole recording.

    Args:
        settings: of the model that each system's core belongs to, by the system's name.
        frames: lengths of the recordings.
        rounds: turns that each gets.

    Returns:
        One row per system and length: system, frames, batch_size; frames_per_s, the median of the rounds, with p10 and
        p90; or a note that says why there are none.
    """
    rows, tasks = [], {}
    for name in settings:
        for length in frames:
            row: dict[str, Any] = {"system": name, "frames": length, "batch_size": BATCH_SIZE, "note": None}
            rows.append(row)
            if name in SAME_IN_TRAINING:
                row["note"] = f"as {SAME_IN_TRAINING[name]}"
                continue
            gradient = Gradient(_seeing_all(settings[name], length), length)
            row["note"] = too_large(gradient.bytes_needed)
            if row["note"] is None:
                tasks[name, length] = gradient
    times = taking_turns(tasks, rounds, TURN_S)
    return [row | _speed(times.get((row["system"], row["frames"])), row) for row in rows]


class Gradient:
    """The gradient of a core's mean square output by its weights; each call computes it once."""

    def __init__(self, settings: Any, frames: int):
        core = Chain(*core_layers(settings, IN_FEATURES, nnx.Rngs(0)))
        graph, self._weights = nnx.split(core)
        self._x = jax.random.normal(jax.random.key(0), (BATCH_SIZE, frames, IN_FEATURES))

        def loss(weights: Any, x: jax.Array) -> jax.Array:
            return jnp.mean(aligned(nnx.merge(graph, weights), x) ** 2)

        self._executable = jax.jit(jax.value_and_grad(loss)).lower(self._weights, self._x).compile()

    @property
    def bytes_needed(self) -> int:
        return bytes_needed(self._executable)

    def __call__(self) -> None:
        jax.block_until_ready(self._executable(self._weights, self._x))


def _seeing_all(settings: Any, frames: int) -> Any:
    return dataclasses.replace(settings, context_frames=frames) if settings.core == "transformer" else settings


def _speed(turns: np.ndarray | None, row: dict[str, Any]) -> dict[str, float]:
    if turns is None:
        return {}
    speeds = [row["batch_size"] * row["frames"] / np.median(turn) for turn in turns]
    p10, p50, p90 = (rounded(speed, 4) for speed in np.percentile(speeds, [10, 50, 90]))
    return {"frames_per_s": p50, "p10": p10, "p90": p90}


__all__ = ["BATCH_SIZE", "Gradient", "training_throughput"]
