"""Voice activity models with the signature of Silero VAD 5 and 6, which many programs load: docs/silero.md.

input float32[N, 64 + 512] at 16 kHz, or [N, 32 + 256] at 8 kHz: the end of the block before, and a block
state float32[2, N, 128], zeros for a new stream
sr int64, 16000 or 8000
-> output float32[N, 1], the probability of speech in the block; stateN float32[2, N, 128]
"""

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from streamrnn.contract import Layer
from streamrnn.export.metadata import describe_export
from streamrnn.export.onnx_emit import emit
from streamrnn.export.onnx_graph import (
    Graph,
    GraphProto,
    ModelProto,
    Tensor,
    constant,
    make_model,
    node,
    value_info,
)
from streamrnn.export.onnx_gru import scanned
from streamrnn.export.tracing import FlatStep, StateTensor, for_any_batch
from streamrnn.features import STFT
from streamrnn.layers import Chain
from streamrnn.models import Model
from streamrnn.replacing import replace_file
from streamrnn.runtime.export_format import KEY, SILERO
from streamrnn.signals import Sound

RATE, BLOCK, CONTEXT = 16_000, 512, 64
STATE = (2, 128)
NUMBERS = STATE[0] * STATE[1]
# Taps on either side of the filter that upsamples 8 kHz to 16 kHz, and its delay in samples at 8 kHz. Samples that it
# needs from before the context are kept in the state, after the model's own.
LEAST_TAPS, MOST_TAPS = 8, 12
# Of the Kaiser window: about 60 dB.
KAISER_BETA = 5.65


class NotSileroShaped(ValueError):
    """The model does not fit the signature; the message says why, and what would."""


class _Fit(NamedTuple):
    """How a model fits: its step, the filter's taps on either side, and the arrays kept in the state. The memory of the
    spectrum, if any, is not among them, since the context supplies it. After them, the state counts the first `late`
    frames, whose outputs belong to no input."""

    step: FlatStep
    taps: int
    held: tuple[StateTensor, ...]
    stft: STFT | None
    late: int


def export_silero(model: Model, path: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
    """Writes the model to an ONNX file with the signature of Silero VAD 5 and 6.

    Raises:
        OSError: the file cannot be written.
        NotSileroShaped, TypeError, UnsupportedOperation: see `silero_step`.
    """
    replace_file(path, silero_step(model, about).SerializeToString())


def silero_step(model: Model, about: Mapping[str, Any] | None = None) -> ModelProto:
    """The graph: 512 samples of any number of streams at 16 kHz, or 256 at 8 kHz.

    The probability of a block is the highest of its frames, so a block counts as speech if any of its frames does.
    Outputs lag by the model's look-ahead, and are 0 until the first one.

    Raises:
        NotSileroShaped: it does not output the probability of speech at 16 kHz, its frames do not divide a block, or
            its state is larger than what clients keep.
        TypeError: it is not a Model.
        UnsupportedOperation: it uses an operation that the exporter does not know.
    """
    fit, graph = _fit(model), Graph()
    closed = for_any_batch(lambda shapes: jax.make_jaxpr(_in_a_row(fit))(*_shapes(fit, shapes[0].shape[0])), fit.step)
    batch = closed.in_avals[0].shape[0]
    for name, shape, dtype in (("input", (batch, "samples"), np.float32), ("state", (2, batch, 128), np.float32)):
        graph.input(name, shape, dtype)
    graph.input("sr", (), np.int64)
    is_8_khz = graph.node("Equal", Tensor("sr", (), np.dtype(np.int64)), np.array(8000), shape=(), dtype=np.bool_)
    shapes = [closed.in_avals[0].shape, closed.in_avals[2].shape]
    branches = {"then_branch": _from_8_khz(fit), "else_branch": _from_16_khz(fit)}
    sound, memory = graph.nodes("If", [is_8_khz], shapes, np.float32, **branches)
    state = Tensor("state", closed.in_avals[1].shape, np.dtype(np.float32))
    found = emit(graph, closed, [sound, state, memory])
    outputs = [graph.expand(value, aval.shape) for value, aval in zip(found, closed.out_avals, strict=True)]
    made = graph.finish("silero", zip(("output", "stateN"), outputs, strict=True))
    metadata = describe_export(fit.step, SILERO, about or {})
    return make_model(made, {KEY: json.dumps(metadata, ensure_ascii=False)})


def _fit(model: Model) -> _Fit:
    step = FlatStep(model)
    _require_speech(model)
    block = model.block_samples
    if BLOCK % block or block > BLOCK:
        raise NotSileroShaped(
            f"The model takes {block} samples at a time, and {BLOCK} is not a multiple of that. Train one "
            "whose hop is 128 or 256 samples: --hop-samples 128."
        )
    first, held = _first(model.network), step.states
    # A window of one hop has no memory.
    stft = first if isinstance(first, STFT) and first.window > first.hop else None
    if stft is not None:
        held = held[1:]
        # For the first frame of a block, which may have several.
        if stft.window - stft.hop > CONTEXT:
            raise NotSileroShaped(
                f"A spectrum of the model reaches {stft.window - stft.hop} samples back before its {stft.hop}, and "
                f"clients pass {CONTEXT} of them. Train one with --window-samples {stft.hop + CONTEXT} or less."
            )
    late = model.lookahead // model.stride
    numbers = {state.name: state.initial.size for state in held} | ({"the look-ahead": 1} if late else {})
    if whole := [state.name for state in held if state.initial.dtype != np.float32]:
        raise NotSileroShaped(
            f"The model counts in whole numbers ({', '.join(whole)}), as normalisation over seconds does, and clients "
            "keep floats alone. Train one without: --memory-s 0."
        )
    most = NUMBERS - 2 * LEAST_TAPS
    if (used := sum(numbers.values())) > most:
        each = ", ".join(f"{name} {size}" for name, size in numbers.items())
        raise NotSileroShaped(
            f"The model remembers {used} numbers ({each}), and clients keep {NUMBERS}, of which sound at 8 kHz needs "
            f"{2 * LEAST_TAPS}. Train a smaller one: --hidden 96 --kernel-frames 2 --memory-s 0 "
            "--floor-rise-s 0."
        )
    taps = min(MOST_TAPS, (NUMBERS - used) // 2)
    return _Fit(step, taps, held, stft, late)


def _require_speech(model: Model) -> None:
    signal = model.signal
    is_sound = isinstance(signal, Sound) and signal.sample_rate == RATE
    kinds = model.outlet().kinds
    if not is_sound or model.out_features != 1 or "speech_start" not in kinds:
        raise NotSileroShaped(
            f"{type(model).__name__} takes {signal} and gives {model.out_features} numbers per frame; needed is one "
            f"probability of speech, of sound at {RATE} Hz. Export a voice activity model."
        )


def _first(layer: Layer) -> Layer:
    while isinstance(layer, Chain):
        layer = layer.layers[0]
    return layer


def _shapes(fit: _Fit, batch: Any) -> list[jax.ShapeDtypeStruct]:
    shapes = [(batch, CONTEXT + BLOCK), (STATE[0], batch, STATE[1]), (batch, 2 * fit.taps)]
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]


def _in_a_row(fit: _Fit) -> Any:
    """(sound[N, 576] at 16 kHz, state[2, N, 128], memory[N, 2 taps]) -> (output[N, 1], state[2, N, 128])."""
    sizes = [state.initial.size for state in fit.held]
    free = NUMBERS - sum(sizes) - 2 * fit.taps - bool(fit.late)

    def steps(sound: jax.Array, state: jax.Array, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        batch = sound.shape[0]
        flat = jnp.transpose(state, (1, 0, 2)).reshape(batch, NUMBERS)
        ends = np.cumsum([0, *sizes])
        # Clients start from zeros, whatever the model's initial state is.
        states = [
            _plus(flat[:, first:last].reshape(batch, *each.initial.shape[1:]), each.initial)
            for each, first, last in zip(fit.held, ends, ends[1:], strict=False)
        ]
        if fit.stft is not None:
            states = [_heard(fit.stft, sound[:, :CONTEXT]), *states]
        # All frames at once, except for the recurrence.
        outputs, *states = fit.step.scan(scanned, sound[:, CONTEXT:], *states)
        kept = states[len(states) - len(fit.held) :]
        parts = [_plus(now, -each.initial).reshape(batch, -1) for now, each in zip(kept, fit.held, strict=True)]
        if fit.late:
            answered, frames = flat[:, ends[-1] : ends[-1] + 1], outputs.shape[1]
            # Outputs before any input may be anything, such as speech in silence.
            outputs = jnp.where((answered + np.arange(frames, dtype=np.float32) >= fit.late)[..., None], outputs, 0.0)
            parts.append(jnp.minimum(answered + frames, fit.late))
        flat = jnp.concatenate([*parts, jnp.zeros((batch, free), jnp.float32), memory], axis=1)
        return (
            jnp.max(outputs[..., 0], axis=1, keepdims=True),
            jnp.transpose(flat.reshape(batch, *STATE), (1, 0, 2)),
        )

    return steps


def _plus(x: jax.Array, initial: np.ndarray) -> jax.Array:
    return x + initial if initial.any() else x


def _heard(stft: STFT, context: jax.Array) -> jax.Array:
    """The memory of the STFT as frames; its window reaches no further back than the context."""
    batch, samples = context.shape[0], (-(-stft.window // stft.hop) - 1) * stft.hop
    if samples <= CONTEXT:
        return context[:, CONTEXT - samples :].reshape(batch, -1, stft.hop)
    return jnp.pad(context, ((0, 0), (samples - CONTEXT, 0))).reshape(batch, -1, stft.hop)


def interpolator(taps: int) -> np.ndarray:
    """The filter that computes the samples half way between those at 8 kHz: float32[2 taps], its sum 1.

    Source: Kaiser, Nonrecursive digital filter design using the I0-sinh window function, 1974.
    """
    ideal = np.sinc(np.arange(-taps, taps) + 0.5) * np.kaiser(2 * taps, KAISER_BETA)
    return (ideal / ideal.sum()).astype(np.float32)


def _from_16_khz(fit: _Fit) -> GraphProto:
    """The branch for 16 kHz, which the model takes as it is.

    Some programs, such as earlier versions of @ricky0123/vad-web, pass blocks without the context: as much of it as
    fits into the state is taken from there.
    """
    width = 2 * fit.taps
    constants = [
        *_places(fit),
        *_whole(time=[1], padding=[0, CONTEXT - width, 0, 0], before_last=[-CONTEXT - BLOCK], before_end=[-width]),
        *_whole(end=[np.iinfo(np.int64).max]),
    ]
    nodes = [
        *_memory(fit, "before"),
        node("Pad", ["before", "padding"], ["as_context"]),
        node("Concat", ["as_context", "input"], ["known"], axis=1),
        node("Slice", ["known", "before_last", "end", "time"], ["sound"]),
        node("Slice", ["input", "before_end", "end", "time"], ["memory"]),
    ]
    return _branch("from_16_khz", nodes, constants, fit)


def _from_8_khz(fit: _Fit) -> GraphProto:
    """The branch that upsamples to 64 + 512 samples at 16 kHz, and keeps what the next block needs.

    Of every two samples, one is copied, some samples late, and the other is interpolated half way to the next.
    """
    taps, block = fit.taps, BLOCK // 2
    filters = np.zeros((2, 1, 2 * taps), np.float32)
    filters[0, 0, taps - 1], filters[1, 0] = 1.0, interpolator(taps)
    constants = [
        *_places(fit),
        constant("filters", filters),
        *_whole(channel=[1], samples=[2], first=[1], last=[1 + (CONTEXT + BLOCK) // 2]),
        *_whole(as_sound=[0, CONTEXT + BLOCK], kept_from=[block - 2 * taps], kept_to=[block]),
    ]
    nodes = [
        *_memory(fit, "before"),
        node("Concat", ["before", "input"], ["known"], axis=1),
        node("Unsqueeze", ["known", "channel"], ["known_of_one_channel"]),
        node("Conv", ["known_of_one_channel", "filters"], ["phases"]),
        node("Slice", ["phases", "first", "last", "samples"], ["latest"]),
        node("Transpose", ["latest"], ["pairs"], perm=[0, 2, 1]),
        node("Reshape", ["pairs", "as_sound"], ["sound"]),
        node("Slice", ["input", "kept_from", "kept_to", "channel"], ["memory"]),
    ]
    return _branch("from_8_khz", nodes, constants, fit)


def _branch(name: str, nodes: list[Any], constants: list[Any], fit: _Fit) -> GraphProto:
    shapes = {"sound": ("batch", CONTEXT + BLOCK), "memory": ("batch", 2 * fit.taps)}
    outputs = [value_info(output, shape, np.float32) for output, shape in shapes.items()]
    return GraphProto(name=name, node=nodes, output=outputs, initializer=constants)


def _places(fit: _Fit) -> list[Any]:
    """Where the state keeps the filter's samples: at the end of its second row."""
    first = STATE[1] - 2 * fit.taps
    return _whole(state_from=[1, first], state_to=[2, STATE[1]], state_axes=[0, 2], as_memory=[-1, 2 * fit.taps])


def _memory(fit: _Fit, name: str = "memory") -> list[Any]:
    return [
        node("Slice", ["state", "state_from", "state_to", "state_axes"], [f"{name}_of_state"]),
        node("Reshape", [f"{name}_of_state", "as_memory"], [name]),
    ]


def _whole(**numbers: list[int]) -> list[Any]:
    return [constant(name, np.array(values, np.int64)) for name, values in numbers.items()]


__all__ = ["NotSileroShaped", "export_silero", "interpolator", "silero_step"]
