"""Wake words: a search for a word's phonemes and a small recurrent head, which both have to detect it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from streamrnn.cells import GRU
from streamrnn.contract import Layer
from streamrnn.decisions import KeywordSettings
from streamrnn.decisions.keywords import SILENCE
from streamrnn.layers import Chain, Dense, Dropout, PhraseScores, RecentMax, Recurrent
from streamrnn.models.encoder import speech_encoder
from streamrnn.models.model import Model
from streamrnn.models.phonemes import Phonemes, PhonemesSettings
from streamrnn.shapes import Block, Frames, OutputFrame, State

# The cost in nats per phoneme at which a phrase is as likely as not.
USUAL_COST = 2.0
# Separates the pronunciations of a word.
OR = " | "


@dataclass(frozen=True)
class WakeSettings(PhonemesSettings):
    """Settings of a wake word model: those of its encoder, of the search and of the head.

    Raises:
        ValueError: there is no word, or one is repeated or is "silence", the class of everything else; sounds does not
            fit words, or contains other sounds than `symbols`; or a number is out of its range.
    """

    words: tuple[str, ...] = ("hey computer",)
    """The wake words."""
    sounds: tuple[str, ...] = ()
    """Pronunciations of each of them, in `symbols`: "HH EY K AH M P Y UW T ER", with | between alternatives. (): no
    search, the head decides alone."""
    search_weight: float = 2.0
    """Nats that the search adds to the head's for each nat that the phrase's phonemes are likelier, on average."""
    recent_frames: int = 7
    """Frames within which both the search and the head have to detect the word."""
    head: int = 64
    """State size of the head's recurrent layer."""
    head_dropout: float = 0.2
    """Dropout of the head's inputs in training."""

    def __post_init__(self):
        if not self.words or len({*self.words, SILENCE}) != len(self.words) + 1:
            raise ValueError(f"words are {self.words}; at least one is needed, all different and none {SILENCE!r}.")
        if self.sounds and len(self.sounds) != len(self.words):
            raise ValueError(
                f"sounds has {len(self.sounds)} entries for {len(self.words)} words. Give the sounds of each word."
            )
        if not self.search_weight > 0 or self.recent_frames < 1:
            raise ValueError(
                f"search_weight is {self.search_weight} and recent_frames {self.recent_frames}; the first must be "
                "above 0, the second at least 1."
            )
        self.ways()

    def ways(self) -> list[list[list[int]]]:
        """The pronunciations of each word, as symbol ids, the blank being 0."""
        numbers = {symbol: number for number, symbol in enumerate(self.symbols, start=1)}
        try:
            return [[[numbers[one] for one in way.split()] for way in of.split(OR)] for of in self.sounds]
        except KeyError as error:
            raise ValueError(f"sounds has {error}, which is unknown. There are: {' '.join(self.symbols)}.") from None


class Wake(Model):
    """The encoder of a phoneme model -> search and head -> probabilities of [silence, *words], which sum to 1.

    "silence" is everything else. After Lin et al. 2020, "Training keyword spotters with limited and synthesized
    speech data": an encoder that knows speech, and a small head for the words; see `Confirmed` for how it decides.
    """

    Settings = WakeSettings
    Decision = KeywordSettings
    settings: WakeSettings

    def __init__(self, settings: WakeSettings, decision: KeywordSettings | None = None, *, rngs: nnx.Rngs):
        decide = Confirmed(settings, rngs) if settings.sounds else wake_head(settings, rngs)
        network = Chain(speech_encoder(settings, rngs), decide)
        labels = (SILENCE, *settings.words)
        decision = decision or KeywordSettings(smoothing_ms=0.0)
        super().__init__(settings, decision, network, len(labels), labels=labels)

    def readout(self, logits: jax.Array) -> jax.Array:
        return jax.nn.softmax(logits)

    def assemble(self, listener: Phonemes, head: Chain) -> None:
        """Copies the weights of a phoneme model, and of a head for its frames."""
        encoder, decide = self.network.layers  # pyright: ignore[reportAttributeAccessIssue]
        heard, phonemes = listener.network.layers  # pyright: ignore[reportAttributeAccessIssue]
        nnx.update(encoder, nnx.state(heard, nnx.Param))
        own = decide
        if isinstance(decide, Confirmed):
            nnx.update(decide.phonemes, nnx.state(phonemes, nnx.Param))
            own = decide.head
        nnx.update(own, nnx.state(head, nnx.Param))


class Confirmed(Layer):
    """Encoder frames -> logits of silence, 0, and of the words: the search proposes, and the head confirms.

        logit = max of the head's logits + search_weight x (max of the search's scores + USUAL_COST)

    of the word, over the last `recent_frames` frames. Both have to detect it, and neither waits for the other: the
    search knows the order of its sounds, the head how they are spoken. The state is those of search, head and
    `Together`.
    """

    def __init__(self, s: WakeSettings, rngs: nnx.Rngs):
        self.phonemes = Dense(s.hidden, len(s.symbols) + 1, dtype=jnp.float32, rngs=rngs)
        self.search = word_search(s)
        self.head = wake_head(s, rngs)
        self.together = Together(s)

    def init_state(self, batch_size: int) -> State:
        return tuple(layer.init_state(batch_size) for layer in (self.search, self.head, self.together))

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self._decide(self.search.step, self.head.step, self.together.step, state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        return self._decide(self.search.scan, self.head.scan, self.together.scan, state, x)

    def _decide(
        self, search: Callable, head: Callable, together: Callable, state: State, x: Frames
    ) -> tuple[State, Frames]:
        of_search, of_head, of_both = state
        of_search, found = search(of_search, jax.nn.log_softmax(self.phonemes(x)))
        of_head, logits = head(of_head, x)
        of_both, y = together(of_both, side_by_side(logits, found))
        return (of_search, of_head, of_both), y


class Together(Layer):
    """The results of head and search for each word, side by side, to logits of silence and of the words: see
    `Confirmed`.

    It has no weights; the state is that of the maximum.
    """

    def __init__(self, s: WakeSettings):
        self.recent, self.weight = RecentMax(s.recent_frames, 2 * len(s.words)), s.search_weight

    def init_state(self, batch_size: int) -> State:
        return self.recent.init_state(batch_size)

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        return self.scan(state, x)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        state, recent = self.recent.scan(state, x)
        heard, found = jnp.split(recent, 2, axis=-1)
        words = heard + self.weight * (found + USUAL_COST)
        return state, jnp.concatenate([jnp.zeros_like(words[..., :1]), words], axis=-1)


def side_by_side(logits: Frames, found: Frames) -> Frames:
    """The head's logits of silence and words, and the search's scores of the words, combined for `Together`."""
    return jnp.concatenate([logits[..., 1:] - logits[..., :1], found], axis=-1)


def word_search(s: WakeSettings) -> PhraseScores:
    """Log probabilities of the blank and the symbols -> how well they match each word."""
    return PhraseScores(s.ways(), len(s.symbols) + 1)


def wake_head(s: WakeSettings, rngs: nnx.Rngs) -> Chain:
    """Encoder frames -> logits of silence and of the words."""
    return Chain(
        Dropout(s.head_dropout, rngs=rngs),
        Recurrent(GRU(s.hidden, s.head, rngs=rngs)),
        Dense(s.head, 1 + len(s.words), dtype=jnp.float32, rngs=rngs),
    )


def joined(heads: Sequence[Chain], s: WakeSettings, rngs: nnx.Rngs) -> Chain:
    """Merges heads into one of `s.head` units whose logits are the mean of theirs: its GRU has their units side by
    side.

    Raises:
        ValueError: their units do not add up to `s.head`.
    """
    cells, lasts = zip(*map(_parts_of, heads), strict=True)
    sizes = [cell.out_features for cell in cells]
    if sum(sizes) != s.head:
        raise ValueError(f"joined got heads of {sizes} units; the settings' head has {s.head}.")
    whole = wake_head(s, rngs)
    cell, last = _parts_of(whole)
    for name in ("kernel", "bias"):
        parts = [getattr(each.input, name)[...] for each in cells]
        getattr(cell.input, name)[...] = _gate_by_gate(parts)
    recurrent, starts = jnp.zeros((s.head, 3, s.head), jnp.float32), [sum(sizes[:i]) for i in range(len(sizes))]
    for start, size, each in zip(starts, sizes, cells, strict=True):
        own = each.recurrent.kernel[...].reshape(size, 3, size)
        recurrent = recurrent.at[start : start + size, :, start : start + size].set(own)
    cell.recurrent.kernel[...] = recurrent.reshape(s.head, 3 * s.head)
    cell.recurrent.bias[...] = _gate_by_gate([each.recurrent.bias[...] for each in cells])
    last.kernel[...] = jnp.concatenate([each.kernel[...] for each in lasts]) / len(heads)
    last.bias[...] = sum(each.bias[...] for each in lasts) / len(heads)
    return whole


def _parts_of(head: Chain) -> tuple[Any, Any]:
    """A head's GRU and its last layer."""
    _, recurrent, last = head.layers
    return recurrent.cell, last  # pyright: ignore[reportAttributeAccessIssue]


def _gate_by_gate(parts: Sequence[jax.Array]) -> jax.Array:
    """Concatenates arrays [..., three gates of some units] of several cells, gate by gate."""
    apart = [part.reshape(*part.shape[:-1], 3, -1) for part in parts]
    together = jnp.concatenate(apart, axis=-1)
    return together.reshape(*together.shape[:-2], -1)


def sounds_of_ways(ways: Sequence[Sequence[str]]) -> str:
    """The pronunciations of a word, in the format of WakeSettings."""
    return OR.join(" ".join(way) for way in ways)


__all__ = [
    "Confirmed",
    "Together",
    "Wake",
    "WakeSettings",
    "joined",
    "side_by_side",
    "sounds_of_ways",
    "wake_head",
    "word_search",
]
