"""The graph of phrases: every way to say every phrase, as arrays for a search.

A phrase is a path from the start through junctions, which lie between words, to an end of its own. A word leads from
one junction to another, by one chain of phonemes per pronunciation. Phrases that begin with the same words share them.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.phrase_grammar import (
    BUILT_IN,
    MOST_DIGITS,
    Grammar,
    Maybe,
    OneOf,
    Parts,
    Said,
    Sentence,
    Slot,
    parsed,
)
from streamrnn.phonetics import Word, words_of

# The lowest bits of a path's code count its phonemes; the others encode the values of its slots.
COUNTED_BITS = 10
_COUNTED = (1 << COUNTED_BITS) - 1
MOST_CODES = 1 << 50
# Limits on what a client can make a server search, and on a state small enough to hand over.
MOST_PHONEMES = 20_000
MOST_JOINS = 200_000
_START = 0


@dataclass(frozen=True)
class Filled:
    """A slot in one sentence: its name, its values, and its place value in the codes of paths."""

    name: str
    values: tuple[str, ...]
    place: int

    def value(self, code: int) -> str | None:
        """The value encoded in a path's code; None if the path has none."""
        number = (code >> COUNTED_BITS) // self.place % (len(self.values) + 1)
        return self.values[number - 1] if number else None


@dataclass(frozen=True)
class Graph:
    """The arrays of a search. Nodes are phonemes; those of one pronunciation of a word are adjacent, in order.

    Attributes:
        sentences: in the order of `ends`.
        filled: the slots of each sentence.
        symbols: int[nodes], the label of each phoneme.
        depths: int[nodes], the number of phonemes of its word up to and including it.
        firsts: int[ways], the first node of each pronunciation; origins: int[ways], the junction before it.
        sources: int[joins], a last node; joins: int[joins], the junction after it, sorted; added: int[joins], what the
            word adds to a path's code.
        offsets, joined: int[reachable junctions], where a junction's joins begin, and which junction it is.
        starts: bool[junctions], whether a path may begin there.
        ends: int[sentences], the junction at the end of each.
        goes_on: bool[nodes], whether it is a word's last phoneme, after which another word may follow.
        shortest: int[sentences], number of phonemes of the shortest way to say it.
    """

    sentences: tuple[Sentence, ...]
    filled: tuple[tuple[Filled, ...], ...]
    symbols: NDArray[np.int64]
    depths: NDArray[np.int64]
    firsts: NDArray[np.int64]
    origins: NDArray[np.int64]
    sources: NDArray[np.int64]
    joins: NDArray[np.int64]
    added: NDArray[np.int64]
    offsets: NDArray[np.int64]
    joined: NDArray[np.int64]
    starts: NDArray[np.bool_]
    ends: NDArray[np.int64]
    goes_on: NDArray[np.bool_]
    shortest: NDArray[np.int64]

    def slots(self, sentence: int, code: int) -> dict[str, str]:
        """The slots, and their values, of a path with this code."""
        found: dict[str, str] = {}
        for slot in self.filled[sentence]:
            if (value := slot.value(code)) is not None:
                # All digits of {digits} have one name.
                found[slot.name] = found.get(slot.name, "") + value
        return found

    def last_nodes(self, sentence: int) -> NDArray[np.int64]:
        """The phonemes with which a sentence may end."""
        end = self.ends[sentence]
        return self.sources[slice(*np.searchsorted(self.joins, [end, end + 1]))]


def counted(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of phonemes in the words of paths with these codes."""
    return codes & _COUNTED


def graph_of(phrases: Sequence[Sentence], grammar: Grammar | None, labels: Sequence[str]) -> Graph:
    """The graph of phrases and of a grammar's sentences, for a model with these labels.

    Issues a UserWarning for phrases, or values of a slot, that sound alike: the first of them is detected.

    Raises:
        ImportError: the package with the dictionary is not installed.
        ValueError: there is no phrase, one is repeated, a word has no pronunciation, the model does not know a sound,
            or there are too many ways.
    """
    sentences = (*phrases, *(grammar.sentences if grammar is not None else ()))
    if not sentences:
        raise ValueError('There is no phrase to listen for. Pass phrases=["hey computer"], --phrase, or a grammar.')
    builder = _Builder(grammar.slots if grammar is not None else BUILT_IN)
    ends = [builder.add(sentence) for sentence in sentences]
    graph = builder.arrays(sentences, ends, labels)
    _check_alike(sentences, builder.said)
    return graph


@dataclass(frozen=True)
class _Arc:
    """A word from one junction to another, and what it adds to a path's code besides its phonemes."""

    origin: int
    word: Word
    added: int
    target: int


class _Builder:
    def __init__(self, slots: Mapping[str, Mapping[str, tuple[str, ...]]]):
        self._slots = slots
        self._arcs: list[_Arc] = []
        self._leads: list[set[int]] = [set()]  # junction -> those reached without a word
        self._shared: dict[tuple[int, str, int], int] = {}
        self._place, self._filled = 1, []
        self._compared = set(BUILT_IN)  # slots whose values were compared
        self.filled: list[tuple[Filled, ...]] = []
        self.said: list[tuple[Word, ...] | None] = []  # of each sentence that consists only of words

    def add(self, sentence: Sentence) -> int:
        """Adds a sentence; returns the junction at its end."""
        self._place, self._filled = 1, []
        try:
            last = self._sequence(sentence.parts, _START, 0)
        except ValueError as error:
            raise ValueError(f"{sentence.text!r} can't be listened for: {error}") from None
        end = self._junction()
        self._leads[last].add(end)
        self.filled.append(tuple(self._filled))
        plainly = all(isinstance(part, Said) for part in sentence.parts)
        self.said.append(words_of(" ".join(part.text for part in sentence.parts)) if plainly else None)  # pyright: ignore[reportAttributeAccessIssue]
        return end

    def _junction(self) -> int:
        self._leads.append(set())
        return len(self._leads) - 1

    def _sequence(self, parts: Parts, at: int, code: int) -> int:
        """Adds the parts from a junction on, the last word with this code; returns the junction after them."""
        for number, part in enumerate(parts):
            last = code if number == len(parts) - 1 else 0
            match part:
                case Said():
                    at = self._words(part.text, at, last)
                case Maybe():
                    if last:
                        raise ValueError("a slot's value ends with an optional word. Put that word first.")
                    at = self._meet([self._sequence(part.parts, at, 0), at])
                case OneOf():
                    at = self._meet([self._sequence(way, at, last) for way in part.ways])
                case Slot():
                    at = self._slot(part.name, at)
        return at

    def _words(self, text: str, at: int, code: int) -> int:
        words = words_of(text) if any(map(str.isalnum, text)) else ()
        for number, word in enumerate(words):
            added = code if number == len(words) - 1 else 0
            key = (at, word.text, added)
            if key not in self._shared:
                self._shared[key] = self._junction()
                self._arcs.append(_Arc(at, word, added, self._shared[key]))
                if len(self._arcs) > MOST_PHONEMES:
                    raise ValueError(f"there are more than {MOST_PHONEMES} words. Use slots with fewer values.")
            at = self._shared[key]
        return at

    def _meet(self, ends: Iterable[int]) -> int:
        after = self._junction()
        for end in ends:
            self._leads[end].add(after)
        return after

    def _slot(self, name: str, at: int) -> int:
        if name == "digits":
            reached: list[int] = []
            for _ in range(MOST_DIGITS):
                at = self._values(name, self._slots["digit"], at)
                reached.append(at)
            return self._meet(reached)
        return self._values(name, self._slots[name], at)

    def _values(self, name: str, values: Mapping[str, tuple[str, ...]], at: int) -> int:
        place = self._placed(name, values)
        ends: list[int] = []
        for number, texts in enumerate(values.values(), start=1):
            for text in texts:
                parts = parsed(text)
                if any(isinstance(part, Slot) for part in parts):
                    raise ValueError(f"the value {text!r} of the slot {name!r} has a slot. Write words.")
                ends.append(self._sequence(parts, at, (number * place) << COUNTED_BITS))
        if name not in self._compared:
            self._compared.add(name)
            _warn_of_alike(name, values)
        return self._meet(ends)

    def _placed(self, name: str, values: Mapping[str, tuple[str, ...]]) -> int:
        """The place value of a slot in codes. A slot has the same place in all alternatives; each of {digits} has its
        own."""
        for slot in self._filled:
            if slot.name == name and name != "digits":
                return slot.place
        place, self._place = self._place, self._place * (len(values) + 1)
        if self._place > MOST_CODES:
            raise ValueError("its slots have too many values together. Use fewer slots in one sentence.")
        self._filled.append(Filled(name, tuple(values), place))
        return place

    def arrays(self, sentences: Sequence[Sentence], ends: Sequence[int], labels: Sequence[str]) -> Graph:
        ids = {label: number for number, label in enumerate(labels)}
        symbols: list[int] = []
        depths: list[int] = []
        firsts: list[int] = []
        origins: list[int] = []
        lasts: list[list[tuple[int, int]]] = [[] for _ in self._leads]  # junction -> last nodes in front of it
        after = self._afters()
        for arc in self._arcs:
            for way in arc.word.ways:
                if wrong := [sound for sound in way if sound not in ids]:
                    raise ValueError(
                        f"{arc.word.text!r} has the sound {wrong[0]}, which the model does not know. Phrases need a "
                        "model of English phonemes, such as phonemes-en."
                    )
                firsts.append(len(symbols))
                origins.append(arc.origin)
                symbols += [ids[sound] for sound in way]
                depths += range(1, len(way) + 1)
                for junction in after[arc.target]:
                    lasts[junction].append((len(symbols) - 1, arc.added + len(way)))
        needed = {*origins, *ends}
        joins = [(junction, *last) for junction in sorted(needed) for last in lasts[junction]]
        if len(symbols) > MOST_PHONEMES or len(joins) > MOST_JOINS:
            raise ValueError(
                f"The phrases have {len(symbols)} phonemes with {len(joins)} joins between words; the limits are "
                f"{MOST_PHONEMES} and {MOST_JOINS}. Use fewer phrases, or slots with fewer values."
            )
        to, sources, added = (np.array(column, np.int64) for column in zip(*joins, strict=True))
        joined, offsets = np.unique(to, return_index=True)
        starts = np.zeros(len(self._leads), bool)
        starts[sorted(after[_START])] = True
        goes_on = np.zeros(len(symbols), bool)
        goes_on[sources[np.isin(to, origins)]] = True
        return Graph(
            sentences=tuple(sentences),
            filled=tuple(self.filled),
            symbols=np.array(symbols),
            depths=np.array(depths),
            firsts=np.array(firsts),
            origins=np.array(origins),
            sources=sources,
            joins=to,
            added=added,
            offsets=offsets,
            joined=joined,
            starts=starts,
            ends=np.array(ends),
            goes_on=goes_on,
            shortest=self._shortest(ends),
        )

    def _afters(self) -> dict[int, set[int]]:
        """For the start and the junction after each word: itself, and those reached from it without a word."""
        found: dict[int, set[int]] = {}
        many = 0
        for junction in {_START, *(arc.target for arc in self._arcs)}:
            reached, waiting = {junction}, [junction]
            while waiting:
                for lead in self._leads[waiting.pop()] - reached:
                    reached.add(lead)
                    waiting.append(lead)
            found[junction] = reached
            many += len(reached)
            if many > MOST_JOINS:
                raise ValueError(
                    f"More than {MOST_JOINS} words can follow the words of the phrases, because so many are optional. "
                    "Write fewer [optional] ones in a row."
                )
        return found

    def _shortest(self, ends: Sequence[int]) -> NDArray[np.int64]:
        """The number of phonemes of the shortest way to each end."""
        far = [1 << 30] * len(self._leads)
        far[_START] = 0
        leading: dict[int, list[_Arc]] = {}
        for arc in self._arcs:
            leading.setdefault(arc.origin, []).append(arc)
        # Junctions are created after those that lead to them.
        for junction, phonemes in enumerate(far):
            for lead in self._leads[junction]:
                far[lead] = min(far[lead], phonemes)
            for arc in leading.get(junction, ()):
                far[arc.target] = min(far[arc.target], phonemes + min(map(len, arc.word.ways)))
        return np.array([far[end] for end in ends])


def _warn_of_alike(name: str, values: Mapping[str, tuple[str, ...]]) -> None:
    """Warns of values of a slot that sound alike."""
    by_sound: dict[tuple[str, ...], str] = {}
    for value, texts in values.items():
        for parts in map(parsed, texts):
            if all(isinstance(part, Said) for part in parts):
                words = words_of(" ".join(part.text for part in parts if isinstance(part, Said)))
                other = by_sound.setdefault(tuple(sound for word in words for sound in word.ways[0]), value)
                if other != value:
                    warnings.warn(
                        f"The value {value!r} of the slot {name!r} sounds like {other!r}, which is detected instead. "
                        "Choose other words for one of them.",
                        stacklevel=2,
                    )


def _check_alike(sentences: Sequence[Sentence], said: Sequence[tuple[Word, ...] | None]) -> None:
    """Raises ValueError for a repeated phrase, and warns of phrases that sound alike."""
    by_text: dict[str, Sentence] = {}
    by_sound: dict[tuple[str, ...], Sentence] = {}
    for sentence, words in zip(sentences, said, strict=True):
        if words is None:
            continue
        text = " ".join(word.text for word in words)
        if text in by_text:
            raise ValueError(f"{sentence.text!r} repeats {by_text[text].text!r}. Leave one of them out.")
        by_text[text] = sentence
        sounds = tuple(sound for word in words for sound in word.ways[0])
        if sounds in by_sound:
            warnings.warn(
                f"{sentence.text!r} sounds like {by_sound[sounds].text!r}, which is detected instead. Choose other "
                "words for one of them.",
                stacklevel=2,
            )
        by_sound.setdefault(sounds, sentence)


__all__ = ["COUNTED_BITS", "Filled", "Graph", "counted", "graph_of"]
