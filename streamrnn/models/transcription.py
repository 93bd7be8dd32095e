"""Transcription: a CTC model and a transducer over the same encoder, with frames of 40 ms."""

import functools
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float, Int

from streamrnn.contract import Layer, aligned
from streamrnn.decisions import Alphabet, EndpointSettings, TranscriptSettings
from streamrnn.features import RunningNormalise
from streamrnn.layers import Chain, Dense
from streamrnn.models.cores import CellName
from streamrnn.models.encoder import speech_encoder
from streamrnn.models.guard import chain_of, check_guard
from streamrnn.models.model import Model
from streamrnn.shapes import Block, Frames, OutputFrame, Samples, State

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

History = Int[jax.Array, "batch context"]


@dataclass(frozen=True)
class CTCSettings:
    """Settings of a CTC model.

    Raises:
        ValueError: the symbols do not make an Alphabet, or the guard is out of range or does not fit the sound.
    """

    symbols: tuple[str, ...] = DIGITS
    """The output symbols: whole words, or characters including " "."""
    sample_rate: int = 16_000
    """Samples per second of the input."""
    hop_samples: int = 160
    """Samples per spectrum; four of them make one frame of outputs."""
    window_samples: int = 400
    """Samples per window of the spectrum."""
    mels: int = 40
    """Bands of the log-mel spectrum."""
    silence: float = 1e-8
    """Mel power (full scale 1) below which sound counts as silence: about the noise of 16 bits."""
    memory_s: float = 0.0
    """Time constant of the running normalisation, in seconds, for level and colour of the sound; 0: none, but each
    band's height above its noise floor. With a normalisation over seconds, a model inserts symbols where noise or music
    begins. With 0, `--start phonemes-en` provides the encoder's weights if the sizes are its own: --hidden 256 --layers
    3 --lookahead-frames 5."""
    floor_fall_s: float = 0.1
    """Time constant, in seconds, at which a band's noise floor follows sound below it."""
    floor_rise_s: float = 3.0
    """Time constant, in seconds, at which a band's noise floor follows sound above it."""
    channels: int = 96
    """Channels of the first convolution; the second has as many as `hidden`."""
    core: CellName = "gru"
    """The recurrence: elman, gru or lstm; or mingru, minlstm or rglru, which compute all frames of a recording in
    parallel."""
    hidden: int = 192
    """State size of each recurrent layer."""
    layers: int = 2
    """Number of recurrent layers."""
    lookahead_frames: int = 3
    """Look-ahead: future frames of four hops that an output depends on."""
    dropout: float = 0.15
    """Dropout on each recurrent layer's inputs in training."""
    masked_frames: int = 15
    """Longest time mask in training, two per row (SpecAugment)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Compute dtype of the encoder; weights, state and logits are float32 either way."""
    guard: float = 0.0
    """Probability of speech by the layers of `vad`, run alongside, below which words are suppressed; 0: no guard.
    `streamrnn guard` adds one to a trained model, and --start keeps it."""

    def __post_init__(self):
        Alphabet(self.symbols)
        check_guard(self)

    @property
    def alphabet(self) -> Alphabet:
        """Converts text to symbol ids and back."""
        return Alphabet(self.symbols)


@dataclass(frozen=True)
class TransducerSettings(CTCSettings):
    """Settings of a transducer: those of the encoder, and of the prediction and joint networks.

    Raises:
        ValueError: the symbols do not make an Alphabet, or joint, context or symbols_per_frame is below 1.
    """

    joint: int = 192
    """Width of the joint network."""
    context: int = 2
    """Number of preceding symbols that the next one depends on."""
    symbols_per_frame: int = 2
    """Maximum symbols per frame."""
    blank_penalty: float = 0.0
    """Nats to subtract from the blank's log-probability in the search: above 0 against deletions. Training ignores
    it."""

    def __post_init__(self):
        super().__post_init__()
        if self.guard:
            raise ValueError(f"guard is {self.guard}; a transducer cannot be guarded. Pass 0, or train a CTC model.")
        for name in ("joint", "context", "symbols_per_frame"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")


class CTC(Model):
    """Log-mel and its height above the floor -> two convolutions of stride 2 -> recurrent layers -> probabilities.

    Outputs are [blank, *symbols] and sum to 1. After Graves et al. 2006, "Connectionist temporal classification", in
    the unidirectional form with look-ahead of Amodei et al. 2016, "Deep Speech 2".
    """

    Settings = CTCSettings
    Decision = TranscriptSettings
    settings: CTCSettings

    def __init__(
        self,
        settings: CTCSettings = CTCSettings(),
        decision: TranscriptSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        out = len(settings.symbols) + 1
        head = Dense(settings.hidden, out, dtype=jnp.float32, rngs=rngs)
        network = chain_of(settings, _encoder(settings, rngs), head, rngs=rngs)
        labels = ("", *settings.symbols)
        super().__init__(settings, decision or TranscriptSettings(), network, out, labels=labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)


class Transducer(Model):
    """The encoder of `CTC`, followed by a greedy search as the network's last layer (see `GreedySearch`).

    Outputs are the search's: symbol ids and their probabilities. Training uses the joint network instead: see
    `joint_logits`. After Graves 2012, "Sequence transduction with recurrent neural networks".
    """

    Settings = TransducerSettings
    Decision = EndpointSettings
    settings: TransducerSettings

    def __init__(
        self,
        settings: TransducerSettings = TransducerSettings(),
        decision: EndpointSettings | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        s = settings
        search = GreedySearch(
            s.hidden, len(s.symbols), s.joint, s.context, s.symbols_per_frame, s.blank_penalty, rngs=rngs
        )
        network = Chain(_encoder(s, rngs), search)
        out, labels = 2 * s.symbols_per_frame, ("", *s.symbols)
        super().__init__(settings, decision or EndpointSettings(), network, out, labels=labels)

    def initialise_from(self, other: Model) -> list[str]:
        """As for any model; from a `CTC` model with the same symbols and width of the joint network, also the
        search."""
        left = super().initialise_from(other)
        s = self.settings
        if isinstance(other, CTC) and (s.symbols, s.joint) == (other.settings.symbols, other.settings.hidden):
            self.network.layers[1].initialise_from(other.network.layers[1])  # pyright: ignore[reportAttributeAccessIssue]
            left = [name for name in left if not name.startswith("network.layers.1.")]
        return left

    def joint_logits(
        self, x: Samples, labels: Int[jax.Array, "batch labels"]
    ) -> Float[jax.Array, "batch frames nodes symbols"]:
        """Logits of [blank, *symbols] for whole recordings x[batch, time, hop], given the labels; for training.

        Entry [b, t, u] is for frame t after the first u labels, as in losses.transducer_loss; frames are output frames,
        and there are labels + 1 nodes.
        """
        encoder, search = self.network.layers  # pyright: ignore[reportAttributeAccessIssue]
        return search.joint_logits(aligned(encoder, x), labels)


class GreedySearch(Layer):
    """The joint network of a transducer with greedy search: in each frame, the likeliest symbols until a blank.

        said    = sum_k E_k[symbol said k-th last]
        p       = softmax(W_o tanh(W_h x + said))
        symbol  = argmax(log p - blank_penalty [blank])

    Frames x[batch, time, features] -> y[batch, time, 2 n], n = symbols_per_frame: the ids of up to n symbols in
    order, then zeros; after them the probability of each, or 0. Ids start at 1 and are whole numbers, stored as floats.

    The prediction depends only on the last `context` symbols (Ghodsi et al. 2020, "RNN-transducer with stateless
    prediction network"), so these are the state: int32[batch, context], the latest last, 0 before the first.

    Args:
        features: width of the encoder's frames.
        symbols: number of symbols, not counting the blank.
        joint: width of the joint network.
        context, symbols_per_frame: see above; at least 1.
        blank_penalty: in nats. If a model is unsure when a symbol occurs, the blank may be likelier in every single
            frame, so that the symbol would be missed.
        rngs: random streams that draw the parameters.
    """

    def __init__(
        self,
        features: int,
        symbols: int,
        joint: int,
        context: int,
        symbols_per_frame: int,
        blank_penalty: float = 0.0,
        *,
        rngs: nnx.Rngs,
    ):
        self.context, self.symbols_per_frame, self.blank_penalty = context, symbols_per_frame, blank_penalty
        self.heard = nnx.Linear(features, joint, rngs=rngs)
        self.said = nnx.List([nnx.Embed(symbols + 1, joint, rngs=rngs) for _ in range(context)])
        self.out = nnx.Linear(joint, symbols + 1, rngs=rngs)

    def initialise_from(self, head: Dense) -> None:
        """Initialises the search from the head of a CTC model with the same encoder.

        It then works like CTC's greedy search, except for repeated symbols: the joint network computes the head's
        logits, and previous symbols change little.
        """
        given = nnx.to_pure_dict(nnx.state(head))
        width = len(given["kernel"])
        # tanh reduces a GRU's outputs by about this factor.
        out = given | {"kernel": 1.2 * given["kernel"]}
        nnx.update(
            self,
            {"heard": {"kernel": jnp.eye(width, dtype=jnp.float32), "bias": jnp.zeros(width, jnp.float32)}, "out": out},
        )

    def init_state(self, batch_size: int) -> History:
        return jnp.zeros((batch_size, self.context), jnp.int32)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        state, y = self._search(state, self.heard(x[:, 0]))
        return state, y[:, None]

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        state, y = jax.lax.scan(self._search, state, self.heard(jnp.moveaxis(x, 1, 0)))
        return state, jnp.moveaxis(y, 0, 1)

    def joint_logits(
        self, x: Frames, labels: Int[jax.Array, "batch labels"]
    ) -> Float[jax.Array, "batch time nodes symbols"]:
        """Logits of [blank, *symbols] at frame t after u labels, for all t and u = 0 ... labels."""
        nodes = labels.shape[1] + 1
        before = jnp.pad(labels, ((0, 0), (self.context, 0)))
        said = self._said([before[:, k : k + nodes] for k in range(self.context)])
        return self.out(jnp.tanh(self.heard(x)[:, :, None] + said[:, None]))

    def _search(
        self, history: History, heard: Float[jax.Array, "batch joint"]
    ) -> tuple[History, Float[jax.Array, "batch out"]]:
        ids, scores, goes_on = [], [], True
        for _ in range(self.symbols_per_frame):
            log_p = jax.nn.log_softmax(self.out(jnp.tanh(heard + self._said(list(history.T)))))
            best = jnp.argmax(log_p.at[:, 0].add(-self.blank_penalty), axis=-1).astype(jnp.int32)
            goes_on &= best > 0
            ids.append(jnp.where(goes_on, best, 0))
            # If a symbol is chosen, it is the likeliest of all but the blank.
            scores.append(jnp.where(goes_on, jnp.exp(jnp.max(log_p[:, 1:], axis=-1)), 0.0))
            longer = jnp.concatenate([history[:, 1:], best[:, None]], axis=1)
            history = jnp.where(goes_on[:, None], longer, history)
        return history, jnp.stack([*(i.astype(jnp.float32) for i in ids), *scores], axis=-1)

    def _said(self, symbols: list[jax.Array]) -> jax.Array:
        embedded = [embed(said) for embed, said in zip(self.said, symbols, strict=True)]
        return functools.reduce(jnp.add, embedded)


def _encoder(s: CTCSettings, rngs: nnx.Rngs) -> Chain:
    """Raw audio -> a frame of `hidden` features per four hops."""
    memory = round(s.memory_s * s.sample_rate / s.hop_samples)
    return speech_encoder(s, rngs, s.dtype, [RunningNormalise(s.mels, memory)] if memory else [])


__all__ = ["CTC", "DIGITS", "CTCSettings", "Transducer", "TransducerSettings"]
