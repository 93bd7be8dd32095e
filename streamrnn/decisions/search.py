"""CTC searches: from symbol posteriors to tokens, frame by frame (Graves et al., 2006).

In a CTC alignment, symbol 0 is the blank. Equal symbols in consecutive frames form one token, and blanks form none. A
search processes one frame at a time. `advance` returns the settled tokens, which no later frame can change; `open`
holds those that can still change. It is plain Python: a NumPy call costs more than the search of a frame.
"""

import math
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Protocol

from streamrnn.decisions.checks import LARGEST, check_snapshot

BLANK = 0
_MAX_OPEN_TOKENS = 64


class Token(NamedTuple):
    """One symbol in time.

    Attributes:
        symbol: id from 1 on.
        start_frame: its first frame.
        end_frame: the frame after the last one.
        score: its highest posterior in these frames.
    """

    symbol: int
    start_frame: int
    end_frame: int
    score: float


class Search(Protocol):
    """The interface of searches, which turn a model's output frames into tokens."""

    @property
    def open(self) -> tuple[Token, ...]:
        """The most probable tokens after the settled ones; they can still change."""
        ...

    def advance(self, frame: int, row: list[float]) -> list[Token]:
        """Processes one frame and returns the tokens that it settled, in order."""
        ...

    def finish(self) -> list[Token]:
        """Settles the open tokens and returns them; the next frame starts a new search."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """The whole state of the search, ready for JSON."""
        ...

    def restore(self, snapshot: dict[str, Any], symbols: int) -> None:
        """Resumes from `snapshot`, for a model with `symbols` symbols, not counting the blank.

        Raises:
            ValueError: it does not come from such a search. Nothing has changed then.
        """
        ...


class NoSearch:
    """Tokens of models with a search of their own: up to k symbol ids per frame, 0 for none, then their k scores."""

    open: tuple[Token, ...] = ()

    def advance(self, frame: int, row: list[float]) -> list[Token]:
        """Processes the ids and scores of one frame, [2 k]."""
        k = len(row) // 2
        return [
            Token(int(symbol), frame, frame + 1, score)
            for symbol, score in zip(row[:k], row[k:], strict=True)
            if symbol != BLANK
        ]

    def finish(self) -> list[Token]:
        return []

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: dict[str, Any], symbols: int) -> None:
        check_snapshot("NoSearch", snapshot, [])


class BestPath:
    """The most probable symbol of each frame, with repeats collapsed and blanks dropped.

    A token is open while its symbol remains the most probable one, and settled in the next frame.
    """

    def __init__(self) -> None:
        self.open: tuple[Token, ...] = ()

    def advance(self, frame: int, row: list[float]) -> list[Token]:
        """Processes the posteriors of one frame, [symbols + 1]; the first of ties wins."""
        score = max(row)
        symbol = row.index(score)
        if self.open and self.open[0].symbol == symbol:
            self.open = (_prolonged(self.open[0], frame, score),)
            return []
        settled = self.finish()
        if symbol != BLANK:
            self.open = (Token(symbol, frame, frame + 1, score),)
        return settled

    def finish(self) -> list[Token]:
        settled, self.open = list(self.open), ()
        return settled

    def snapshot(self) -> dict[str, Any]:
        return {"open": [list(token) for token in self.open]}

    def restore(self, snapshot: dict[str, Any], symbols: int) -> None:
        check_snapshot("BestPath", snapshot, ["open"])
        tokens = restored_tokens(snapshot["open"], symbols)
        if len(tokens) > 1:
            raise ValueError("BestPath.restore got several open tokens. Pass a result of BestPath.snapshot.")
        self.open = tokens


# Log-probability of the impossible. Finite, so that sums and differences need no special case and JSON can hold it.
_NEVER = -1e30
# Values below this are _NEVER plus something.
_HARDLY_EVER = -1e29
# A search keeps nothing that is less probable than the best by more nats.
_FARTHEST = 1e9


@dataclass(slots=True)
class _Alignments:
    """The alignments of a prefix with the same kind of ending: their sum, and the tokens of the most probable one."""

    log_p: float = _NEVER
    best_log_p: float = _NEVER
    tokens: tuple[Token, ...] = ()

    def add(self, earlier: "_Alignments", log_p: float, tokens: tuple[Token, ...]) -> None:
        """Adds continuations of `earlier` alignments with probability `log_p`; `tokens` are those of their best."""
        self.log_p = _log_add(self.log_p, earlier.log_p + log_p)
        if earlier.best_log_p + log_p > self.best_log_p:
            self.best_log_p, self.tokens = earlier.best_log_p + log_p, tokens

    def is_impossible(self) -> bool:
        return self.log_p < _HARDLY_EVER and self.best_log_p < _HARDLY_EVER

    def may_be(self) -> bool:
        """Whether these can be log-probabilities relative to the best hypothesis: a sum and its largest part."""
        return -_FARTHEST < self.best_log_p <= self.log_p + 1e-3 and self.log_p <= 1.0

    def trim(self, log_p: float, settled: int) -> None:
        """Makes log-probabilities relative to `log_p` and drops settled tokens."""
        self.log_p -= log_p
        self.best_log_p -= log_p
        self.tokens = self.tokens[settled:]


@dataclass(slots=True)
class _Hypothesis:
    """The alignments of a prefix that end with a blank, and those that end with its last symbol."""

    blank: _Alignments = field(default_factory=_Alignments)
    symbol: _Alignments = field(default_factory=_Alignments)

    def either(self) -> _Alignments:
        best = self.symbol if self.ends_in_symbol() else self.blank
        return _Alignments(_log_add(self.blank.log_p, self.symbol.log_p), best.best_log_p, best.tokens)

    def ends_in_symbol(self) -> bool:
        return self.symbol.best_log_p > self.blank.best_log_p

    def spells(self, prefix: tuple[int, ...]) -> bool:
        """Whether it can come from a search: the tokens of its best alignment, and of each possible kind, are the
        prefix.
        """
        kinds = [kind for kind in (self.blank, self.symbol) if not kind.is_impossible()]
        spelled = all(tuple(token.symbol for token in kind.tokens) == prefix for kind in [*kinds, self.either()])
        return spelled and all(kind.may_be() for kind in kinds)

    def trim(self, log_p: float, settled: int) -> None:
        self.blank.trim(log_p, settled)
        self.symbol.trim(log_p, settled)


_Beam = dict[tuple[int, ...], _Hypothesis]


class BeamSearch:
    """Prefix beam search: the most probable symbols, where a prefix has the summed probability of its alignments.

    Source: Graves, "Sequence transduction with recurrent neural networks", 2012; Hannun et al., "First-pass large
    vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014.

    A token is settled when all hypotheses agree on it and it ends in the best one before any hypothesis continues. Its
    frames are those of the best hypothesis's most probable alignment. Settled tokens are dropped, so memory and time
    per frame are bounded; if hypotheses disagree on more than 64 tokens, only the best one is kept.

    Args:
        width: hypotheses kept after each frame, at least 1.
        token_bonus: added to a hypothesis's log-probability for each token: above 0 against deletions, below 0
            against insertions.
        margin: hypotheses are dropped, and alignments ignored, if they are less probable than the best hypothesis by a
            factor of more than e^margin.
    """

    def __init__(self, width: int, token_bonus: float = 0.0, margin: float = 10.0) -> None:
        self.width, self.token_bonus, self.margin = width, token_bonus, margin
        self._restart()

    @property
    def open(self) -> tuple[Token, ...]:
        return self._best()[1].either().tokens

    def advance(self, frame: int, row: list[float]) -> list[Token]:
        """Processes the posteriors of one frame, [symbols + 1]."""
        # A posterior of 0 in one frame must not veto all the others.
        log_ps = [math.log(max(p, 1e-30)) for p in row]
        # The best hypothesis has log-probability 0 here.
        least = max(log_ps) - self.margin
        grown: _Beam = defaultdict(_Hypothesis)
        for prefix, hypothesis in self._beam.items():
            last = prefix[-1] if prefix else self._last_settled
            either = hypothesis.either()
            same = grown[prefix]
            same.blank.add(either, log_ps[BLANK], either.tokens)
            if last != BLANK:
                longer = _last_prolonged(hypothesis.symbol.tokens, frame, row[last])
                same.symbol.add(hypothesis.symbol, log_ps[last], longer)
            for symbol in range(1, len(row)):
                # Without a blank in between, a repeated symbol is the same token.
                before, log_p = hypothesis.blank if symbol == last else either, log_ps[symbol] + self.token_bonus
                if before.log_p + log_p >= least:
                    tokens = (*before.tokens, Token(symbol, frame, frame + 1, row[symbol]))
                    grown[*prefix, symbol].symbol.add(before, log_p, tokens)
        self._keep_best(grown)
        return self._settle()

    def finish(self) -> list[Token]:
        settled = list(self.open)
        self._restart()
        return settled

    def snapshot(self) -> dict[str, Any]:
        beam = [[list(prefix), asdict(hypothesis)] for prefix, hypothesis in self._beam.items()]
        return {"last_settled": self._last_settled, "beam": beam}

    def restore(self, snapshot: dict[str, Any], symbols: int) -> None:
        check_snapshot("BeamSearch", snapshot, ["last_settled", "beam"])
        try:
            last_settled = _number(snapshot["last_settled"])
            beam = {
                tuple(map(_number, prefix)): _Hypothesis(
                    *(_alignments(saved[name], symbols) for name in ("blank", "symbol"))
                )
                for prefix, saved in snapshot["beam"]
            }
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"BeamSearch.restore got a damaged snapshot ({error!r}). Pass what snapshot() returned."
            ) from None
        spelled = all(hypothesis.spells(prefix) for prefix, hypothesis in beam.items())
        if not (spelled and 1 <= len(beam) <= self.width and last_settled in range(symbols + 1)):
            raise ValueError("BeamSearch.restore got an impossible beam. Pass a result of BeamSearch.snapshot.")
        self._last_settled, self._beam = last_settled, beam

    def _restart(self) -> None:
        self._last_settled = BLANK
        self._beam: _Beam = {(): _Hypothesis(blank=_Alignments(0.0, 0.0))}

    def _best(self) -> tuple[tuple[int, ...], _Hypothesis]:
        return next(iter(self._beam.items()))

    def _keep_best(self, grown: _Beam) -> None:
        """Keeps the best hypotheses, best first, with log-probabilities relative to the best one's."""
        totals = {prefix: _log_add(h.blank.log_p, h.symbol.log_p) for prefix, h in grown.items()}
        ranked = sorted(totals, key=totals.__getitem__, reverse=True)[: self.width]
        top = totals[ranked[0]]
        self._beam = {prefix: grown[prefix] for prefix in ranked if totals[prefix] >= top - self.margin}
        for hypothesis in self._beam.values():
            hypothesis.trim(top, 0)

    def _settle(self) -> list[Token]:
        """Removes the settled tokens from all hypotheses and returns them."""
        best_prefix, best = self._best()
        if len(best_prefix) > _MAX_OPEN_TOKENS:
            self._beam = {best_prefix: best}
        tokens = best.either().tokens
        count = _shared_length(min(self._beam), max(self._beam))
        if count == len(best_prefix) and best.ends_in_symbol():
            count -= 1
        while count > 0 and tokens[count - 1].end_frame > self._next_start(count):
            count -= 1
        if count <= 0:
            return []
        self._last_settled = best_prefix[count - 1]
        self._beam = {prefix[count:]: hypothesis for prefix, hypothesis in self._beam.items()}
        for hypothesis in self._beam.values():
            hypothesis.trim(0.0, count)
        return list(tokens[:count])

    def _next_start(self, count: int) -> float:
        """The earliest frame in which any alignment continues after its first `count` tokens."""
        alignments = [alignments for h in self._beam.values() for alignments in (h.blank, h.symbol)]
        starts = [token.start_frame for a in alignments for token in a.tokens[count : count + 1]]
        return min(starts, default=math.inf)


def _log_add(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def _shared_length(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _last_prolonged(tokens: tuple[Token, ...], frame: int, score: float) -> tuple[Token, ...]:
    return (*tokens[:-1], *(_prolonged(token, frame, score) for token in tokens[-1:]))


def _prolonged(token: Token, frame: int, score: float) -> Token:
    return token._replace(end_frame=frame + 1, score=max(token.score, score))


def restored_tokens(saved: Any, symbols: int) -> tuple[Token, ...]:
    """Tokens, for a model with `symbols` symbols, from the lists of a snapshot. Raises ValueError for anything else."""
    try:
        tokens = tuple(Token(*map(_number, token)) for token in saved)
        whole = all(isinstance(number, int) and number >= 0 for token in tokens for number in token[:3])
        whole = whole and all(1 <= token.symbol <= symbols for token in tokens)
    except TypeError:
        whole = False
        tokens = ()
    if not whole:
        raise ValueError(
            f"a snapshot contains {str(saved)[:60]!r}, which are not tokens. Pass what snapshot() returned."
        )
    return tokens


def _alignments(saved: Any, symbols: int) -> _Alignments:
    tokens = restored_tokens(saved["tokens"], symbols)
    return _Alignments(_number(saved["log_p"], -_NEVER), _number(saved["best_log_p"], -_NEVER), tokens)


def _number(saved: Any, most: float = LARGEST) -> Any:
    if isinstance(saved, bool) or not isinstance(saved, int | float) or not abs(saved) <= most:
        raise TypeError(f"{str(saved)[:40]} is not a possible number")
    return saved


__all__ = ["BLANK", "BeamSearch", "BestPath", "NoSearch", "Search", "Token", "restored_tokens"]
