"""What a situation is: a name, what is heard in it, and how one recording of it is composed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamrnn.data.mixtures import Span, Utterance

RATE = 16_000


@dataclass(frozen=True)
class Word:
    """A recording of one word, int16[n], and which word it is."""

    samples: np.ndarray
    label: str
    segments: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Pools:
    """The recordings of one split, int16[n] each at 16 kHz, of which situations are composed.

    Attributes:
        speech: utterances with labels of quality A.
        noise, music: recordings of them.
        rain: those noises that go on evenly, such as rain and running water.
        bodies: those that people make without speaking, such as sneezes; may be empty.
        rooms: impulse responses, float32[n]; may be empty.
        words: recordings of single words, by vocabulary: the name of their folder.
    """

    speech: Sequence[Utterance]
    noise: Sequence[np.ndarray]
    music: Sequence[np.ndarray]
    rain: Sequence[np.ndarray]
    bodies: Sequence[np.ndarray] = ()
    rooms: Sequence[np.ndarray] = ()
    words: Mapping[str, Sequence[Word]] = field(default_factory=dict)


@dataclass(frozen=True)
class Take:
    """One composed recording, float32[n] in [-1, 1].

    Attributes:
        segments: where somebody speaks, (start, end) in samples.
        words: the words of a vocabulary that are said, (start, end, word).
        judged_from: what lies before that sample leads up to it and is not judged.
        kind: which of several sounds it is, for figures by kind.
        sample_rate: of the samples, the segments and the words.
    """

    samples: np.ndarray
    segments: tuple[Span, ...] = ()
    words: tuple[tuple[int, int, str], ...] = ()
    judged_from: int = 0
    kind: str = ""
    sample_rate: int = RATE


Compose = Callable[[Pools, np.random.Generator, int], Take]


@dataclass(frozen=True)
class Situation:
    """What detectors may meet.

    Attributes:
        name: of its folder and of its row.
        says: what is heard, for a table.
        compose: (pools, rng, number) -> take number `number`; recordings are taken in turn, all else is drawn.
        duration_s: about as long is a take.
        compared: decisions from judged_from on are compared with those of a stream that begins there.
        needs: which of the pools' recordings it is made of, beside noise, music and speech.
    """

    name: str
    says: str
    compose: Compose
    duration_s: float
    compared: bool = False
    needs: str = ""


__all__ = ["RATE", "Compose", "Pools", "Situation", "Take", "Word"]
