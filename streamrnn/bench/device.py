"""How many live streams one device can run: a program on it runs block after block, and the host only waits."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from streamrnn.bench.sounds import noise_and_tones
from streamrnn.bench.tables import rounded
from streamrnn.bench.timing import interleaved
from streamrnn.learning.memory import shortage
from streamrnn.models import Model
from streamrnn.shapes import State

BLOCKS_PER_CALL, TURNS = 32, 5
DISTINCT_BLOCKS = 8
SOUND_S = 10.0

# The largest batches, as powers of four: on a CPU nothing changes beyond 4096 streams.
LARGEST_POWER = {"cpu": 6}
LARGEST_POWER_ELSEWHERE = 8

BEST = "device-side real-time streams, best"
# Minimum by JAX's name of the platform; on others the figure is reported without a target.
TARGETS = {"gpu": 50_000}

TOO_LARGE = "does not fit into the device's memory"


class DeviceLoop:
    """A program that runs `blocks` steps of a model on the device, one after another; each call runs it once.

    Sound and state stay on the device, the state continues from call to call, and outputs are summed there, so that
    none can be optimised away.

    Args:
        model: the model to run, in its own dtype.
        streams: the batch size.
        blocks: how many blocks each call runs.

    Attributes:
        sound: float32[DISTINCT_BLOCKS, streams, stride, hop_samples], which comes round again in every call.
        outputs: float32[streams, 1, out]: each stream's outputs so far, summed.
    """

    def __init__(self, model: Model, streams: int, blocks: int):
        graph, self._weights = nnx.split(model)
        # Copies: a layer may give one array for two leaves, and an array can be given away only once.
        self._state: State = jax.tree.map(jnp.copy, model.init_state(streams))
        self.outputs = jnp.zeros((streams, 1, model.out_features), jnp.float32)
        self.sound = _sound(model, streams)
        self._run = jax.jit(partial(_run, graph, blocks), donate_argnums=(1, 2))

    def __call__(self) -> None:
        after = self._run(self._weights, self._state, self.outputs, self.sound)
        self._state, self.outputs = jax.block_until_ready(after)


def device_batches(model: Model, batch_sizes: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Times blocks of increasing numbers of streams, until they do not fit into the device's memory.

    Args:
        model: its own step, read out, is what is timed.
        batch_sizes: ascending; by default powers of four up to 4096 on a processor, and up to 65,536 elsewhere.

    Returns:
        [{streams, per_block_us, real_time_streams, note}]: the median time of a block of so many streams, and how many
        streams that makes in real time. Both are None where the note says that the batch does not fit; it is the last.
    """
    rows: list[dict[str, Any]] = []
    for streams in batch_sizes or default_batch_sizes():
        rows.append(_row(model, streams))
        if rows[-1]["note"]:
            break
    return rows


def default_batch_sizes() -> list[int]:
    """Powers of four, as far as they are meaningful on JAX's current device."""
    return [4**power for power in range(LARGEST_POWER.get(jax.default_backend(), LARGEST_POWER_ELSEWHERE) + 1)]


def best_figure(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The most real-time streams of device_batches(): {name, value, target, met}; the target is the least it may be."""
    best = max((row["real_time_streams"] or 0 for row in rows), default=0)
    target = best_target()
    return {"name": BEST, "value": best, "target": target, "met": None if target is None else best >= target}


def best_target() -> int | None:
    """The minimum for the best batch on JAX's current platform, if there is one."""
    return TARGETS.get(jax.default_backend())


def _run(
    graph: Any, blocks: int, weights: Any, state: State, outputs: Array, sound: Array
) -> tuple[State, Float[Array, "streams 1 out"]]:
    model = nnx.merge(graph, weights)
    model.eval()

    def block(t: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        x = jax.lax.dynamic_index_in_dim(sound, t % len(sound), keepdims=False)
        state, logits = model.step(carry[0], x)
        return state, carry[1] + model.readout(logits)

    return jax.lax.fori_loop(0, blocks, block, (state, outputs))


def _sound(model: Model, streams: int) -> Float[Array, "blocks streams stride hop"]:
    """Each stream is at another place of the same sound."""
    sound = noise_and_tones(model.sample_rate, SOUND_S)
    whole_blocks = len(sound) // model.block_samples
    blocks = jnp.asarray(sound[: whole_blocks * model.block_samples])
    blocks = blocks.reshape(whole_blocks, model.stride, model.hop_samples)
    places = jnp.arange(DISTINCT_BLOCKS)[:, None] + jnp.arange(streams)
    return blocks[places % whole_blocks]


def _row(model: Model, streams: int) -> dict[str, Any]:
    row = {"streams": streams, "per_block_us": None, "real_time_streams": None, "note": None}
    try:
        block_s = _block_s(model, streams)
    except jax.errors.JaxRuntimeError as error:
        if shortage(str(error)) is None:
            raise
        return row | {"note": TOO_LARGE}
    return row | {
        "per_block_us": rounded(1e6 * block_s, 4),
        "real_time_streams": int(streams * model.frame_s / block_s),
    }


def _block_s(model: Model, streams: int) -> float:
    times = interleaved({streams: DeviceLoop(model, streams, BLOCKS_PER_CALL)}, TURNS, 1)
    return float(np.median(times[streams])) / BLOCKS_PER_CALL


__all__ = ["BEST", "DeviceLoop", "best_figure", "best_target", "default_batch_sizes", "device_batches"]
