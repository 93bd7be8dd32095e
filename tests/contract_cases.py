"""What the laws of the contract are held against: every layer and every model, how it is built and what it is fed.

A new layer or model adds one line to LAYERS: its name, how to build it, and the width of its input frames.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.cells import GRU, LSTM, RGLRU, Elman, MinGRU, MinLSTM
from streamrnn.contract import Layer
from streamrnn.features import (
    DCT,
    PCEN,
    STFT,
    AboveFloor,
    Decibels,
    Deltas,
    InverseSTFT,
    MelFilterbank,
    PowerSpectrum,
    RunningNormalise,
    log_mel,
    mfcc,
)
from streamrnn.laws import BLOCKS, Held, wide
from streamrnn.layers import (
    MADE,
    Apply,
    CausalAttention,
    CausalConv,
    Chain,
    Delay,
    Dense,
    Dilated,
    Dropout,
    Embedding,
    EmbeddingBag,
    Guarded,
    LayerNorm,
    Lookahead,
    PerFeature,
    PhraseScores,
    RecentMax,
    Recomputed,
    Recurrent,
    Residual,
    RMSNorm,
    RunningMax,
    RunningMean,
    SpecAugment,
    StackFrames,
    Window,
    depthwise_separable_conv,
)
from streamrnn.models import (
    CORES,
    CTC,
    Choices,
    ChoicesSettings,
    Classifier,
    ClassifierSettings,
    CTCSettings,
    Denoising,
    DenoisingSettings,
    Forecast,
    ForecastSettings,
    Keywords,
    KeywordsSettings,
    Model,
    Music,
    MusicSettings,
    NextItem,
    NextItemSettings,
    Phonemes,
    PhonemesSettings,
    Speaker,
    SpeakerSettings,
    Speller,
    SpellerSettings,
    Transducer,
    TransducerSettings,
    VoiceActivity,
    VoiceActivitySettings,
    Wake,
    WakeSettings,
)
from streamrnn.models.cores import CoreSettings, core_layers
from streamrnn.pretrained import load
from streamrnn.signals import Series


@dataclass(frozen=True)
class Case:
    build: Callable[[nnx.Rngs], Layer]
    width: int
    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array] = jax.random.normal
    tolerance: float = 1e-5


# A bfloat16 has 8 significant bits; the order of additions may move the last two.
BFLOAT16 = 2**-6


def positive(key, shape):
    return jnp.abs(jax.random.normal(key, shape)) + 0.1


def quiet_noise(key, shape):
    return 0.1 * jax.random.normal(key, shape)


def ids(key, shape):
    return jax.random.randint(key, shape, 0, 9, jnp.int32)


def choices(key, shape):
    """Choices from 0, none, to 4, and rewards."""
    return jax.random.randint(key, shape, 0, 5).astype(jnp.float32)


def spectrum(key, shape):
    return jax.random.normal(key, shape, jnp.complex64)


SMALL_PHONEMES = {"symbols": ("AA", "B"), "mels": 8, "channels": 4, "hidden": 5, "layers": 1, "lookahead_frames": 1}
SMALL = VoiceActivitySettings(mels=8, channels=6, hidden=5)
SMALL_DENOISING = DenoisingSettings(window_samples=60, hop_samples=20, bands=6, hidden=8)
SMALL_ENCODER = {"symbols": ("a", "b"), "mels": 8, "channels": 6, "hidden": 5, "lookahead_frames": 1}

SMALL_FORECAST = ForecastSettings(
    columns=("a", "b"), mean=(0.0, 1.0), scale=(1.0, 2.0), horizon=3, period=2, level_rows=4, hidden=4
)
SMALL_SPEAKER = SpeakerSettings(
    speakers=("a", "b"),
    mels=8,
    hidden=5,
    layers=2,
    vector=4,
    heard_frames=6,
    listeners=3,
    least_frames=2,
    lookahead_frames=3,
)
SMALL_KEYWORDS = KeywordsSettings(words=("a", "b"), mels=8, channels=(6, 6), hidden=5)
LISTENING_KEYWORDS = dataclasses.replace(SMALL_KEYWORDS, encoder=True, layers=2, lookahead_frames=8)


# With its context given, a transformer with a window is one with a full cache.
DIFFERENT_CORES = [core for core in CORES if core not in ("gru", "transformer-window")]


def core_alone(core: str) -> Case:
    """What a model has between front end and head, which take longer to compile and are the same for all cores."""
    layers = 1 if core == "transformer" else 2
    settings = CoreSettings(core=core, hidden=5, layers=layers, heads=2, context_frames=4)
    return Case(lambda r: Chain(*core_layers(settings, 6, r)), 6)


def of_series(signal: Series, *first: Layer, rngs: nnx.Rngs) -> Model:
    """A model of something else than sound, as wide as 4 behind its first layers, that looks ahead and subsamples."""
    network = Chain(*first, Lookahead(2), StackFrames(2), Recurrent(GRU(8, 5, rngs=rngs)), Dense(5, 3, rngs=rngs))
    return Model(None, None, network, 3, signal=signal)


IDS = Series(2, 10.0, "int32", padding=8, ids=9)
READINGS = Series(4, 50.0, padding=-1.0)

LAYERS: dict[str, Case] = {
    "Elman": Case(lambda r: Recurrent(Elman(3, 4, rngs=r)), 3),
    "Elman, relu": Case(lambda r: Recurrent(Elman(3, 4, activation=jax.nn.relu, rngs=r)), 3),
    "GRU": Case(lambda r: Recurrent(GRU(3, 4, rngs=r)), 3),
    "GRU, bfloat16": Case(lambda r: Recurrent(GRU(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "LSTM": Case(lambda r: Recurrent(LSTM(3, 4, rngs=r)), 3),
    "LSTM, bfloat16": Case(lambda r: Recurrent(LSTM(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "Elman, bfloat16": Case(lambda r: Recurrent(Elman(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "LSTM, projected": Case(lambda r: Recurrent(LSTM(3, 4, projection=2, rngs=r)), 3),
    "MinGRU": Case(lambda r: Recurrent(MinGRU(3, 4, rngs=r)), 3),
    "MinLSTM": Case(lambda r: Recurrent(MinLSTM(3, 4, rngs=r), "associative"), 3),
    "RGLRU": Case(lambda r: Recurrent(RGLRU(3, 4, rngs=r)), 3),
    "RGLRU, associative": Case(lambda r: Recurrent(RGLRU(3, 4, rngs=r), "associative"), 3),
    "MinGRU, bfloat16": Case(lambda r: Recurrent(MinGRU(3, 4, dtype=jnp.bfloat16, rngs=r)), 3, tolerance=BFLOAT16),
    "CausalConv": Case(lambda r: CausalConv(3, 4, 3, rngs=r), 3),
    "CausalConv, bfloat16": Case(lambda r: CausalConv(3, 4, 3, dtype=jnp.bfloat16, rngs=r), 3, tolerance=BFLOAT16),
    "CausalConv, dilated": Case(lambda r: CausalConv(3, 4, 3, dilation=2, rngs=r), 3),
    "CausalConv, strided": Case(lambda r: CausalConv(3, 4, 3, stride=2, rngs=r), 3),
    "CausalConv, as long as its stride": Case(lambda r: CausalConv(3, 4, 2, stride=2, rngs=r), 3),
    "depthwise separable": Case(lambda r: depthwise_separable_conv(4, 3, 3, stride=2, rngs=r), 4),
    "CausalAttention": Case(lambda r: CausalAttention(4, 2, 20, rngs=r), 4),
    "CausalAttention, window": Case(lambda r: CausalAttention(4, 2, 3, rngs=r), 4),
    "CausalAttention, bfloat16": Case(
        lambda r: CausalAttention(4, 2, 3, dtype=jnp.bfloat16, rngs=r), 4, tolerance=BFLOAT16
    ),
    "Recomputed": Case(lambda r: Recomputed(Recurrent(GRU(3, 4, rngs=r)), 3, 20), 3),
    "Recomputed, forgetting": Case(lambda r: Recomputed(Recurrent(GRU(3, 4, rngs=r)), 3, 3), 3),
    "Dense": Case(lambda r: Dense(3, 4, rngs=r), 3),
    "Dense, bfloat16": Case(lambda r: Dense(3, 4, dtype=jnp.bfloat16, rngs=r), 3, tolerance=BFLOAT16),
    "LayerNorm": Case(lambda r: LayerNorm(3, rngs=r), 3),
    "RMSNorm": Case(lambda r: RMSNorm(3, rngs=r), 3),
    "Embedding": Case(lambda r: Embedding(9, 4, rngs=r), 2, ids),
    "Dilated": Case(lambda r: Dilated(GRU(3, 4, rngs=r), 3), 3),
    "Dilated, more than the frames": Case(lambda r: Dilated(LSTM(3, 4, rngs=r), 9), 3),
    "MADE": Case(lambda r: MADE(3, 4, 7, rngs=r), 7),
    "EmbeddingBag": Case(lambda r: EmbeddingBag(9, 4, rngs=r), 3, ids),
    "PerFeature": Case(lambda r: PerFeature(Chain(Lookahead(2), StackFrames(2), Recurrent(GRU(2, 4, rngs=r))), 3), 3),
    "RunningMax": Case(lambda r: RunningMax(3), 3),
    "RecentMax": Case(lambda r: RecentMax(4, 3), 3),
    "PhraseScores": Case(lambda r: PhraseScores([[[1, 2, 2], [3]], [[2, 1]]], 4), 4),
    "RunningMean": Case(lambda r: RunningMean(3), 3),
    "Window": Case(lambda r: Window(3, 2), 2),
    "Dropout": Case(lambda r: Dropout(0.5, rngs=r), 3),
    "SpecAugment": Case(lambda r: SpecAugment(6, 1, 3, 2, 2, rngs=r), 6),
    "Apply": Case(lambda r: Apply(jnp.tanh), 3),
    "Delay": Case(lambda r: Delay(3, 2), 2),
    "Delay, none": Case(lambda r: Delay(0, 2), 2),
    "Delay, complex": Case(lambda r: Delay(2, 3, dtype=jnp.complex64), 3, spectrum),
    "Lookahead": Case(lambda r: Lookahead(2), 2),
    "StackFrames": Case(lambda r: StackFrames(3), 2),
    "Residual": Case(lambda r: Residual(Recurrent(GRU(3, 3, rngs=r)), 3), 3),
    "Residual that looks ahead": Case(lambda r: Residual(Chain(Lookahead(2), Dense(3, 3, rngs=r)), 3), 3),
    "Chain that subsamples": Case(
        lambda r: Chain(CausalConv(3, 4, 3, rngs=r), StackFrames(2), Lookahead(1), Recurrent(GRU(8, 4, rngs=r))),
        3,
        # Of a loud input, small gradients are differences of large ones.
        tolerance=2e-5,
    ),
    "Guarded": Case(
        lambda r: Guarded(
            StackFrames(2),
            Lookahead(2),
            Dense(6, 4, rngs=r),
            guard=Chain(Lookahead(1), Recurrent(GRU(3, 4, rngs=r)), Dense(4, 1, rngs=r)),
            threshold=0.0,
            weight=5.0,
            frames=3,
        ),
        3,
    ),
    "STFT": Case(lambda r: STFT(12, 4), 4),
    "STFT, hop does not divide the window": Case(lambda r: STFT(10, 4, 16), 4),
    "InverseSTFT": Case(lambda r: InverseSTFT(16, 4), 9, spectrum),
    "STFT and its inverse": Case(lambda r: Chain(STFT(16, 4), InverseSTFT(16, 4)), 4),
    "PowerSpectrum": Case(lambda r: PowerSpectrum(), 5, spectrum),
    "MelFilterbank": Case(lambda r: MelFilterbank(8000, 64, 4), 33, positive),
    "Decibels": Case(lambda r: Decibels(), 3, positive),
    "DCT": Case(lambda r: DCT(6, 4), 6),
    "Deltas": Case(lambda r: Deltas(3, 5), 3),
    "log-mel": Case(lambda r: Chain(*log_mel(8000, 64, 32, 8)), 32),
    "MFCC": Case(lambda r: Chain(*mfcc(8000, 64, 32, 8, 5)), 32),
    "RunningNormalise": Case(lambda r: RunningNormalise(3, 4), 3),
    "AboveFloor": Case(lambda r: AboveFloor(3, 2, 9, -2, -9), 3),
    "PCEN": Case(lambda r: PCEN(3, 8000, 80), 3, positive),
    "Phonemes": Case(lambda r: Phonemes(PhonemesSettings(**SMALL_PHONEMES), rngs=r), 160),
    "Wake": Case(
        lambda r: Wake(WakeSettings(words=("oyez",), sounds=("AA B B | B AA",), head=3, **SMALL_PHONEMES), rngs=r), 160
    ),
    "Wake without a search": Case(lambda r: Wake(WakeSettings(words=("oyez",), head=3, **SMALL_PHONEMES), rngs=r), 160),
    "VoiceActivity": Case(lambda r: VoiceActivity(SMALL, rngs=r), 160),
    **{f"the core {core}": core_alone(core) for core in DIFFERENT_CORES},
    "CTC": Case(lambda r: CTC(CTCSettings(**SMALL_ENCODER), rngs=r), 160),
    "CTC, guarded": Case(lambda r: CTC(CTCSettings(**SMALL_ENCODER, guard=0.5), rngs=r), 160),
    "Transducer": Case(lambda r: Transducer(TransducerSettings(joint=5, **SMALL_ENCODER), rngs=r), 160),
    "Denoising": Case(lambda r: Denoising(SMALL_DENOISING, rngs=r), 20, quiet_noise),
    "Denoising that looks ahead": Case(
        lambda r: Denoising(dataclasses.replace(SMALL_DENOISING, lookahead_frames=1), rngs=r), 20, quiet_noise
    ),
    "a model of ids": Case(lambda r: of_series(IDS, Embedding(9, 2, rngs=r), rngs=r), 2, ids),
    "a model of readings": Case(lambda r: of_series(READINGS, rngs=r), 4),
    "a model of layers": Case(
        lambda r: Model.of(Chain(StackFrames(2), Dense(8, 3, rngs=r)), signal=READINGS, readout="softmax"), 4
    ),
    "Forecast": Case(lambda r: Forecast(SMALL_FORECAST, rngs=r), 2),
    "Classifier of readings": Case(
        lambda r: Classifier(ClassifierSettings(labels=("a", "b"), features=3, window=2, hidden=5), rngs=r), 3
    ),
    "Classifier of ids": Case(
        lambda r: Classifier(ClassifierSettings(labels=("a", "b"), several=True, ids=9, hidden=5, layers=2), rngs=r),
        1,
        ids,
    ),
    "Choices": Case(lambda r: Choices(ChoicesSettings(hidden=5), rngs=r), 2, choices),
    "Music": Case(lambda r: Music(MusicSettings(keys=6, hidden=5, head=4), rngs=r), 6),
    "NextItem": Case(lambda r: NextItem(NextItemSettings(symbols=tuple("abcdefghi"), hidden=5), rngs=r), 1, ids),
    "Speller": Case(
        lambda r: Speller(
            SpellerSettings(letters=tuple("abcdefgh"), phonemes=("X", "Y"), hidden=5, lookahead_letters=1), rngs=r
        ),
        1,
        ids,
    ),
    "Speaker": Case(lambda r: Speaker(SMALL_SPEAKER, rngs=r), 160),
    "Keywords": Case(lambda r: Keywords(SMALL_KEYWORDS, rngs=r), 160),
    "Keywords, through an encoder": Case(lambda r: Keywords(LISTENING_KEYWORDS, rngs=r), 160),
    "vad, as shipped": Case(lambda r: load("vad"), 160, draw=quiet_noise, tolerance=1e-4),
    "keywords, as shipped": Case(lambda r: load("keywords"), 160, draw=quiet_noise, tolerance=1e-4),
}


@cache
def built(name: str) -> Layer:
    layer = LAYERS[name].build(nnx.Rngs(7))
    layer.eval()
    return layer


def full_scale(x: np.ndarray) -> np.ndarray:
    return np.where(x == 0, 1, x / np.maximum(np.abs(x), 1e-30)).astype(x.dtype)


# What comes besides noise: nothing, the faintest sound that is still a number, clipped sound, and features that nobody
# normalised, such as decibels.
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": lambda x: x,
    "silence": np.zeros_like,
    "1e-30": lambda x: np.asarray(1e-30 * x, x.dtype),
    "full scale": full_scale,
    "100 times as loud": lambda x: np.asarray(100 * x, x.dtype),
}


def kinds(name: str) -> list[str]:
    """The kinds of inputs that a layer can be fed; ids stay as they are."""
    return [*KINDS] if np.issubdtype(held(name).inputs().dtype, np.inexact) else ["noise"]


def inputs(name: str, blocks: int = BLOCKS, kind: str = "noise") -> np.ndarray:
    return KINDS[kind](held(name).inputs(blocks))


def long_input(name: str, blocks: int) -> np.ndarray:
    """One stream of many blocks."""
    case = LAYERS[name]
    return np.asarray(case.draw(jax.random.key(0), (1, blocks * built(name).stride, case.width)))


@cache
def held(name: str) -> Held:
    """The layer with its inputs, its step, its scan and their gradients, which are compiled once for all laws."""
    case = LAYERS[name]
    return Held(built(name), case.width, case.draw, case.tolerance)


def assert_close(name: str, a, b, kind: str = "noise"):
    # Norms of frames that are nearly constant, and gates that are nearly shut, magnify rounding; long sound has many.
    tolerance = LAYERS[name].tolerance * (1 if kind == "noise" else 4)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        left, right = (wide(np.asarray(v)) for v in (left, right))
        size = max(1.0, np.abs(right).max(initial=0.0))
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * size, err_msg=kind)
