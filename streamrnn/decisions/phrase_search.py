"""The search for phrases: the best path through a graph of phrases, against a filler of any sounds, frame by frame.

The filler is a loop of all phonemes: its best path has the likeliest symbol of every frame. A path's score is its
log-likelihood minus that of the filler over the same frames, whenever it began, plus a reward for each phoneme. The
same few array operations search any number of streams.

Source: Wilpon et al. 1990, "Automatic recognition of keywords in unconstrained speech using hidden Markov models", with
the topology of CTC (Graves et al. 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.decisions.phrase_graph import Graph, counted

BLANK = 0
# Log-probability of the impossible; finite, so that sums need no special case.
# Log-probability of the impossible; finite, so that sums need no special case.
NEVER = np.float32(-1e9)
# The most nats that a frame can cost: a sound mistaken for another costs no more.
DEAREST = 8.0
# Nats per frame of waiting for the next sound, so that old paths do not survive.
WAITING = 0.02
# Nats that a path gains per phoneme, so that saying less is no advantage: see `Reached.means`.
REWARD = 2.5
# Nats for two equal phonemes without a blank between them.
RUN_TOGETHER = 0.5

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass
class Paths:
    """The best path to each place of a graph, per stream.

    Attributes:
        said: float32[streams, nodes], scores of paths in a phoneme; waited: scores of paths waiting after it.
        said_from, waited_from: int64[streams, nodes], the frame in which they began.
        said_code, waited_code: int64[streams, nodes], the codes of the words they completed.
    """

    said: Floats
    waited: Floats
    said_from: Integers
    waited_from: Integers
    said_code: Integers
    waited_code: Integers

    @classmethod
    def fresh(cls, streams: int, graph: Graph) -> "Paths":
        """The paths of streams that have not processed anything."""
        shape = (streams, len(graph.symbols))
        scores, numbers = (np.full(shape, NEVER), np.full(shape, NEVER)), (np.zeros(shape, np.int64) for _ in range(4))
        return cls(*scores, *numbers)

    def drop(self, until: int) -> None:
        """Drops all paths that began before frame `until`."""
        self.said[self.said_from < until] = NEVER
        self.waited[self.waited_from < until] = NEVER


@dataclass
class Reached:
    """The best path to each junction after a frame, [streams, junctions]: its score, its first frame, its code, and the
    symbol that it is in."""

    score: Floats
    start: Integers
    code: Integers
    symbol: Integers

    def become(self, other: "Reached") -> None:
        """Copies the values of another instance of the same shape."""
        for f in fields(self):
            getattr(self, f.name)[:] = getattr(other, f.name)

    def means(self, junctions: Integers) -> tuple[NDArray[np.float64], Integers]:
        """(mean log-likelihood ratio per phoneme, at most 0; number of phonemes) of the paths to these junctions,
        [streams, junctions]."""
        phonemes = np.maximum(counted(self.code[:, junctions]), 1)
        return self.score[:, junctions] / phonemes - REWARD, phonemes


@dataclass
class Search:
    """The search of several streams side by side: their paths, and the junctions these reach."""

    paths: Paths
    reached: Reached

    @classmethod
    def fresh(cls, streams: int, graph: Graph) -> "Search":
        """The search of streams that have not processed anything."""
        return cls.of(Paths.fresh(streams, graph), graph, np.full(streams, -1))

    @classmethod
    def of(cls, paths: Paths, graph: Graph, frame: Integers) -> "Search":
        """The search of streams whose last frame had this number."""
        return cls(paths, reach(graph, paths, frame))

    @classmethod
    def together(cls, searches: "Sequence[Search]") -> "Search":
        """The streams of several searches, concatenated."""

        def joined(kind: Any, parts: list[Any]) -> Any:
            return kind(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)))

        paths, reached = ([getattr(search, name) for search in searches] for name in ("paths", "reached"))
        return cls(joined(Paths, paths), joined(Reached, reached))

    @property
    def streams(self) -> int:
        return len(self.paths.said)

    def row(self, stream: int) -> "Search":
        """A view of one stream."""
        return self._part(slice(stream, stream + 1))

    def first(self, streams: int) -> "Search":
        """A view of the first streams."""
        return self._part(slice(streams))

    def _part(self, rows: slice) -> "Search":
        def part(of: Any) -> Any:
            return type(of)(*(getattr(of, f.name)[rows] for f in fields(of)))

        return Search(part(self.paths), part(self.reached))

    def advance(self, graph: Graph, cost: Floats, frame: Integers) -> None:
        """One frame of every stream: see `advance`."""
        self.reached = advance(graph, self.paths, self.reached, cost, frame)


def costs(log_p: Floats) -> Floats:
    """The log-probability of each symbol relative to the likeliest one, in nats, at most 0; same shape."""
    return np.maximum(log_p - log_p.max(axis=-1, keepdims=True), np.float32(-DEAREST))


def advance(graph: Graph, paths: Paths, reached: Reached, cost: Floats, frame: Integers) -> Reached:
    """Advances every stream by one frame: changes `paths` and returns what they reach.

    Args:
        reached: what they reached after the previous frame, see `reach`.
        cost: of the symbols, float32[streams, symbols].
        frame: its number in each stream, int[streams].
    """
    score, start, code, symbol = _latest(graph, paths)
    # A phoneme is entered from the previous one in its word, or from the junction before the word.
    enter, enter_from, enter_code, before = (np.empty_like(each) for each in (score, start, code, symbol))
    for into, inside, junction in (
        (enter, score, reached.score),
        (enter_from, start, reached.start),
        (enter_code, code, reached.code),
        (before, symbol, reached.symbol),
    ):
        into[:, 1:] = inside[:, :-1]
        into[:, graph.firsts] = junction[:, graph.origins]
    # Without a blank between them, CTC merges equal symbols, but people do run words together: a phoneme shared by two
    # words counts once.
    enter_code[:, graph.firsts] -= before[:, graph.firsts] == graph.symbols[graph.firsts]
    enter += np.where(before == graph.symbols, np.float32(-RUN_TOGETHER), np.float32(REWARD))
    better = enter > paths.said
    paths.said = np.where(better, enter, paths.said) + cost[:, graph.symbols]
    paths.said_from = np.where(better, enter_from, paths.said_from)
    paths.said_code = np.where(better, enter_code, paths.said_code)
    # A path waits in blanks, and is dropped after waiting too long.
    paths.waited = np.maximum(score + (cost[:, BLANK, None] - np.float32(WAITING)), NEVER)
    paths.said = np.maximum(paths.said, NEVER)
    paths.waited_from, paths.waited_code = start, code
    return reach(graph, paths, frame)


def reach(graph: Graph, paths: Paths, frame: Integers) -> Reached:
    """The best path to each junction. Where paths may begin, a new one starts with the next frame."""
    score, start, code, symbol = _latest(graph, paths)
    streams, junctions = len(frame), len(graph.starts)
    found = Reached(np.full((streams, junctions), NEVER), *(np.zeros((streams, junctions), np.int64) for _ in range(3)))
    candidates = score[:, graph.sources]
    found.score[:, graph.joined] = np.maximum.reduceat(candidates, graph.offsets, axis=1)
    rows, joins = np.nonzero(candidates == found.score[:, graph.joins])
    best = np.zeros((streams, junctions), np.int64)
    # Written last to first, so that the first of equally good joins wins.
    best[rows[::-1], graph.joins[joins[::-1]]] = joins[::-1]
    of, stream = best[:, graph.joined], np.arange(streams)[:, None]
    found.start[:, graph.joined] = start[stream, graph.sources[of]]
    found.code[:, graph.joined] = code[stream, graph.sources[of]] + graph.added[of]
    found.symbol[:, graph.joined] = symbol[stream, graph.sources[of]]
    fresh = graph.starts & (found.score < 0)
    found.score[fresh], found.code[fresh], found.symbol[fresh] = 0, 0, BLANK
    found.start = np.where(fresh, frame[:, None] + 1, found.start)
    return found


def said_so_far(graph: Graph, paths: Paths) -> tuple[Floats, Integers, Integers]:
    """(score, first frame, phonemes said) of the best path to each node, [streams, nodes]."""
    score, start, code, _ = _latest(graph, paths)
    return score, start, counted(code) + graph.depths


def _latest(graph: Graph, paths: Paths) -> tuple[Floats, Integers, Integers, Integers]:
    """(score, first frame, code, symbol) of the better path at each node."""
    waits = paths.waited > paths.said
    return (
        np.maximum(paths.waited, paths.said),
        np.where(waits, paths.waited_from, paths.said_from),
        np.where(waits, paths.waited_code, paths.said_code),
        np.where(waits, BLANK, graph.symbols),
    )


__all__ = ["DEAREST", "NEVER", "REWARD", "WAITING", "Paths", "Reached", "Search", "costs", "said_so_far"]
