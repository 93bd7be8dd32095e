"""Causal attention: the transformer's memory as an explicit state of constant size."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt32

from streamrnn.contract import Layer
from streamrnn.shapes import Block, Frames, OutputFrame, State

Heads = Float[Array, "batch _time heads head_features"]
Row = Float[Array, "_time heads head_features"]
Frame = Float[Array, "batch heads head_features"]

# QUERIES at a time bound the memory of a scan. A scan is split into PARTS whose queries see no frame after the part's
# end, so three eighths of the square of scores need not be computed.
QUERIES, PARTS = 64, 4
ROTARY_BASE = 10_000.0


class Cache(NamedTuple):
    """The state of attention: frame t has slot t mod capacity. Keys are rotated by their position.

    The slots are the last axis, so that a step reads memory sequentially. Unwritten slots hold zeros. The position
    counts frames so far: 2**31 of them take 248 days at 100 per second.
    """

    position: Int[Array, " batch"]
    keys: Float[Array, "batch heads head_features capacity"]
    values: Float[Array, "batch heads head_features capacity"]


class CausalAttention(Layer):
    """Each frame attends to itself and the `capacity - 1` frames before it (Vaswani et al. 2017).

        q, k, v = W x                                       for each head h; q and k rotated by their position
        a[t, j] = softmax_j(q[t] . k[j] / sqrt(head_features)),   t - capacity < j <= t
        y[t]    = W_o [sum_j a[t, j] v[j]]_h

    The state is a `Cache`, a ring buffer in which the newest frame replaces the oldest. Its size is read from the
    state,
    so the same layer streams in two ways: with a sliding window or, if the capacity is never reached or `grow` enlarges
    it in time, with a cache of all frames.

    Positions are rotary (Su et al. 2021, "RoFormer"): scores depend on the distance between two frames. Angles are
    integers in units of 2**-32 turns, whose products are exact modulo one turn: scores after hours equal those of the
    first second, up to float32 rounding. So keys are rotated once, when they are stored.

    Args:
        features: width of input and output frames.
        heads: number of heads.
        capacity: frames that one output sees, at least 1.
        head_features: width of a head, even; None: features / heads.
        dtype: compute dtype of the projections; weights, state, scores and softmax are float32.
        rngs: random streams that draw the parameters.

    Raises:
        ValueError: capacity is below 1, or the heads' width is odd or not a whole number.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        capacity: int,
        *,
        head_features: int | None = None,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        if capacity < 1:
            raise ValueError(
                f"CausalAttention got capacity={capacity}; a frame attends at least to itself: pass 1 or more."
            )
        if head_features is None and features % heads:
            raise ValueError(f"{features} features can't be shared among {heads} heads. Pass head_features.")
        self.heads, self.capacity = heads, capacity
        self.head_features = features // heads if head_features is None else head_features
        if self.head_features < 1 or self.head_features % 2:
            raise ValueError(
                f"CausalAttention got heads of {self.head_features} features; rotation takes them in pairs. "
                "Pass an even head_features."
            )
        inner = heads * self.head_features
        self.input = nnx.Linear(features, 3 * inner, use_bias=False, dtype=dtype, rngs=rngs)
        self.output = nnx.Linear(inner, features, use_bias=False, dtype=dtype, rngs=rngs)

    def init_state(self, batch_size: int) -> Cache:
        shape = (batch_size, self.heads, self.head_features, self.capacity)
        keys, values = (jnp.zeros(shape, jnp.float32) for _ in range(2))
        return Cache(jnp.zeros(batch_size, jnp.int32), keys, values)

    def step(self, state: Cache, x: Block) -> tuple[Cache, OutputFrame]:
        q, k, v = self._project(state.position, x)
        y = _attend_to_cache(state, q[:, 0], k[:, 0], v[:, 0])
        # A dependency on the output makes XLA write after it has read, in place, if the state is donated. A copy of the
        # cache would take longer than everything else. An optimization_barrier does not achieve this.
        place = state.position + jnp.where(jnp.isnan(y[:, 0, 0]), 0, 0).astype(jnp.int32)
        return _remember(state._replace(position=place), k, v), self._joined(y[:, None])

    def scan(self, state: Cache, x: Frames) -> tuple[Cache, Frames]:
        q, k, v = self._project(state.position, x)
        if not x.shape[1]:
            return state, self._joined(v)
        each_stream = partial(_attend_in_parts, capacity=state.keys.shape[-1])
        # With fresh streams, as in most training, the empty cache costs nothing.
        y = jax.lax.cond(
            jnp.any(state.position > 0),
            lambda: jax.lax.map(each_stream, (q, k, v, state)),
            lambda: jax.lax.map(each_stream, (q, k, v, None)),
        )
        return _remember(state, k, v), self._joined(y)

    def _project(self, position: Int[Array, " batch"], x: Frames) -> tuple[Heads, Heads, Heads]:
        """Queries, scaled and rotated; keys, rotated; values."""
        batch, time, _ = x.shape
        projected = self.input(x).astype(jnp.float32).reshape(batch, time, 3, self.heads, self.head_features)
        turns = _turns(position[:, None] + jnp.arange(time, dtype=jnp.int32), self.head_features)
        q, k, v = (projected[:, :, part] for part in range(3))
        # A NaN frame has NaN keys for all queries that see it; for the other queries, 0 * NaN would still be NaN.
        return _rotated(q, turns) / self.head_features**0.5, _rotated(k, turns), jnp.nan_to_num(v)

    def _joined(self, y: Heads) -> Frames:
        return self.output(y.reshape(*y.shape[:2], self.heads * self.head_features))


def _turns(position: Int[Array, "batch time"], head_features: int) -> Float[Array, "batch time pairs"]:
    """The angle of each pair of numbers, in radians from -pi to pi, exact however large the position is."""
    pairs = np.arange(head_features // 2)
    per_frame = ROTARY_BASE ** (-2 * pairs / head_features) / (2 * np.pi)
    steps = jnp.asarray(np.round(per_frame * 2**32), jnp.uint32)
    phase: UInt32[Array, "batch time pairs"] = position.astype(jnp.uint32)[..., None] * steps
    return jax.lax.bitcast_convert_type(phase, jnp.int32).astype(jnp.float32) * np.float32(np.pi / 2**31)


def _rotated(x: Heads, turns: Float[Array, "batch _time pairs"]) -> Heads:
    cos, sin = jnp.cos(turns)[:, :, None], jnp.sin(turns)[:, :, None]
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def _attend(q: Heads, keys: Heads, values: Heads, visible: Bool[Array, "batch queries keys"]) -> Heads:
    """Values weighted by the softmax of their keys' scores; every query sees at least one."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, keys)
    weights = jax.nn.softmax(jnp.where(visible[:, None], scores, -jnp.inf))
    return jnp.einsum("bhqk,bkhd->bqhd", weights, values)


def _attend_to_cache(cache: Cache, q: Frame, k: Frame, v: Frame) -> Frame:
    """The same for one query per stream, over the cache and the new frame, which then takes its slot."""
    slots = jnp.arange(cache.keys.shape[-1])
    visible, own = (slots <= cache.position[:, None])[:, None], (slots == _slot(cache))[:, None]
    scores = jnp.where(own, jnp.sum(q * k, axis=-1)[..., None], jnp.einsum("bhd,bhdk->bhk", q, cache.keys))
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    own_weight = jnp.sum(jnp.where(own, weights, 0), axis=-1)[..., None]
    return jnp.einsum("bhk,bhdk->bhd", jnp.where(own, 0, weights), cache.values) + own_weight * v


def _slot(cache: Cache) -> Int[Array, "batch 1"]:
    return (cache.position % cache.keys.shape[-1])[:, None]


def _attend_in_parts(stream: tuple[Row, Row, Row, Any], capacity: int) -> Row:
    """The new frames (q, k, v) of one stream, which attend to each other and, if there is one, to the cache.

    One stream at a time, so that its scores stay in the CPU's cache: twice as fast as all streams at once.
    """
    *projected, cache = stream
    time = len(projected[0])
    size = min(QUERIES, time)
    q, k, v = (jnp.pad(part, ((0, -time % size), (0, 0), (0, 0))) for part in projected)
    length = -(-len(q) // (PARTS * size)) * size
    parts = [
        _part(start, q[start : start + length], k[: start + length], v[: start + length], cache, size, capacity)
        for start in range(0, len(q), length)
    ]
    return jnp.concatenate(parts)[:time]


def _part(start: int, q: Row, k: Row, v: Row, cache: Any, size: int, capacity: int) -> Row:
    """Queries from frame `start` on, `size` at a time, with the keys and values of all frames up to their last."""
    if start >= capacity - 1:
        cache = None
    # Recomputed for gradients: stored, the weights of all queries would be the very square that this avoids.
    block = jax.checkpoint(lambda first, queries: _block(first, queries, k, v, cache, capacity))
    firsts = jnp.arange(start, start + len(q), size)
    return jax.lax.map(lambda each: block(*each), (firsts, q.reshape(-1, size, *q.shape[1:]))).reshape(q.shape)


def _block(first: jax.Array, q: Row, k: Row, v: Row, cache: Any, capacity: int) -> Row:
    """The queries of frame `first` and the following ones."""
    width = min(len(k), capacity + len(q) - 1)
    begin = jnp.maximum(first + len(q) - width, 0)
    keys, values = (jax.lax.dynamic_slice_in_dim(whole, begin, width) for whole in (k, v))
    frame = first + jnp.arange(len(q))[:, None]
    ago = frame - begin - jnp.arange(width)
    visible = (ago >= 0) & (ago < capacity)
    if cache is not None:
        visible = jnp.concatenate([_visible_in_cache(cache, frame), visible], axis=1)
        kept = (jnp.moveaxis(each, -1, 0) for each in (cache.keys, cache.values))
        keys, values = (jnp.concatenate(both) for both in zip(kept, (keys, values), strict=True))
    return _attend(q[None], keys[None], values[None], visible[None])[0]


def _visible_in_cache(cache: Any, frame: Int[Array, "queries 1"]) -> Bool[Array, "queries slots"]:
    capacity = cache.keys.shape[-1]
    # The age of each slot at the first new frame: 1 to capacity frames.
    before = (cache.position - 1 - jnp.arange(capacity)) % capacity + 1
    return (frame + before < capacity) & (before <= cache.position)


def _remember(cache: Cache, k: Heads, v: Heads) -> Cache:
    """The cache after the newest frames have replaced the oldest ones."""
    time, capacity = k.shape[1], cache.keys.shape[-1]
    kept = min(time, capacity)
    slots = (cache.position[:, None] + jnp.arange(time - kept, time)) % capacity
    rows = jnp.arange(slots.shape[0])[:, None]
    keys = cache.keys.at[rows, :, :, slots].set(k[:, -kept:])
    values = cache.values.at[rows, :, :, slots].set(v[:, -kept:])
    return Cache(cache.position + time, keys, values)


class Past(NamedTuple):
    """The state of `Recomputed`: the frames in order, then zeros."""

    heard: Int[Array, " batch"]
    frames: Float[Array, "batch capacity features"]


class Recomputed(Layer):
    """Runs any layer without its state: each step runs it over all frames so far and keeps the last output.

    This is how to stream a network that cannot stream. The state is a `Past`, whose size is read from the state, so
    `grow` can enlarge it. Until it is full, the outputs are those of the inner layer. Then the older half is dropped
    and the inner layer starts again with the rest. For fresh streams that fit, `scan` is a single scan of the inner
    layer; otherwise it costs about four.

    Args:
        inner: a layer of stride 1. In training it must not contain Dropout: put that after it.
        features: width of its input frames.
        capacity: number of frames kept, at least 2.

    Raises:
        ValueError: the inner layer's stride is not 1, or capacity is below 2.
    """

    def __init__(self, inner: Layer, features: int, capacity: int):
        if inner.stride != 1 or capacity < 2:
            raise ValueError(
                f"Recomputed got a layer of stride {inner.stride} and capacity={capacity}; it needs a stride of 1, so "
                "that each frame has an output, and room for at least 2 frames. Put subsampling before it."
            )
        self.inner, self.features, self.capacity = inner, features, capacity
        self.lookahead = inner.lookahead

    def init_state(self, batch_size: int) -> Past:
        frames = jnp.zeros((batch_size, self.capacity, self.features), jnp.float32)
        return Past(jnp.zeros(batch_size, jnp.int32), frames)

    def step(self, state: Past, x: Block) -> tuple[Past, OutputFrame]:
        capacity, dropped = _sizes(state)
        full = state.heard == capacity
        halved = jnp.pad(state.frames[:, dropped:], ((0, 0), (0, dropped), (0, 0)))
        place = jnp.where(full, capacity - dropped, state.heard)
        line = jnp.where(full[:, None, None], halved, state.frames)
        line = jnp.where((jnp.arange(capacity) == place[:, None])[..., None], x.astype(line.dtype), line)
        return Past(place + 1, line), _taken(self._anew(line), place[:, None])

    def scan(self, state: Past, x: Frames) -> tuple[Past, Frames]:
        x = x.astype(state.frames.dtype)
        if x.shape[1] > state.frames.shape[1]:
            return self._piece_by_piece(state, x)
        return jax.lax.cond(jnp.any(state.heard > 0), self._piece_by_piece, self._at_once, state, x)

    def _anew(self, line: Frames) -> Frames:
        return self.inner.scan(self.inner.init_state(len(line)), line)[1]

    def _at_once(self, state: Past, x: Frames) -> tuple[Past, Frames]:
        """For fresh streams."""
        time, capacity = x.shape[1], state.frames.shape[1]
        return Past(state.heard + time, jnp.pad(x, ((0, 0), (0, capacity - time), (0, 0)))), self._anew(x)

    def _piece_by_piece(self, state: Past, x: Frames) -> tuple[Past, Frames]:
        """In pieces so short that each halves the past at most once."""
        batch, time, features = x.shape
        _, length = _sizes(state)
        whole = time // length * length
        pieces = x[:, :whole].reshape(batch, whole // length, length, features)
        state, y = jax.lax.scan(self._piece, state, jnp.moveaxis(pieces, 1, 0))
        y = jnp.moveaxis(y, 0, 1).reshape(batch, whole, y.shape[-1])
        if whole == time:
            return state, y
        state, rest = self._piece(state, x[:, whole:])
        return state, jnp.concatenate([y, rest], axis=1)

    def _piece(self, state: Past, x: Frames) -> tuple[Past, Frames]:
        capacity, dropped = _sizes(state)
        (batch, time, _), rows = x.shape, jnp.arange(len(x))[:, None]
        places = state.heard[:, None] + jnp.arange(time)
        line = jnp.pad(state.frames, ((0, 0), (0, dropped), (0, 0))).at[rows, places].set(x)
        whole, halved = line[:, :capacity], line[:, dropped:]
        y = self._anew(jnp.concatenate([whole, halved]))
        y = jnp.concatenate([y[:batch], y[batch:, capacity - dropped :]], axis=1)
        overflown = state.heard + time > capacity
        frames = jnp.where(overflown[:, None, None], halved, whole)
        return Past(state.heard + time - dropped * overflown, frames), _taken(y, places)


def _sizes(state: Past) -> tuple[int, int]:
    """(frames kept, how many of them are dropped when it is full)."""
    capacity = state.frames.shape[1]
    return capacity, capacity - capacity // 2


def _taken(y: Frames, places: Int[Array, "batch _places"]) -> Frames:
    return jnp.take_along_axis(y, places[..., None], axis=1)


def grow(state: State, capacity: int) -> State:
    """A copy of the state in which every `Cache` and `Past` has room for `capacity` frames.

    This changes the state's shapes, which nothing else does: programs are recompiled, and a step takes longer. It
    serves to measure the cost of a transformer that never forgets. Do not call it inside jit.

    Raises:
        ValueError: a part already has more room, or a Cache has dropped frames, so that its order is lost.
    """
    return jax.tree.map(lambda part: _grown(part, capacity) if _is_memory(part) else part, state, is_leaf=_is_memory)


def _is_memory(part: Any) -> bool:
    return isinstance(part, Cache | Past)


def _grown(memory: Any, capacity: int) -> Any:
    count, *frames = memory
    axis = -1 if isinstance(memory, Cache) else 1
    room, most = frames[0].shape[axis], int(jnp.max(count))
    if room > capacity or most > room:
        raise ValueError(
            f"grow got capacity={capacity} for a state with room for {room} frames that has received {most}. "
            f"Grow it to {room} or more, before more frames arrive than there is room for."
        )
    return type(memory)(count, *(_padded(leaf, capacity - room, axis) for leaf in frames))


def _padded(leaf: jax.Array, more: int, axis: int) -> jax.Array:
    padding = [(0, 0)] * leaf.ndim
    padding[axis] = (0, more)
    return jnp.pad(leaf, padding)


__all__ = ["Cache", "CausalAttention", "Past", "Recomputed", "grow"]
