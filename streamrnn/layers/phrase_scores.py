"""Phrase detection as a recurrent layer: how well the sounds so far match a few fixed phrases."""

from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from streamrnn.contract import Layer, constant
from streamrnn.shapes import Block, Frames, OutputFrame, State

# Log-probability of the impossible; finite, so that sums need no special case.
NEVER = -1e9


class PhraseScores(Layer):
    """Log probabilities of sounds -> for each phrase, the likelihood that it ends in this frame.

        best   = the likeliest symbol's log probability; a symbol's cost is its own minus that, at least -dearest
        said   = max(said, entered) + cost of the sound       paths within a sound
        waited = max(said, waited) before + cost of the blank - waiting      paths between sounds
        score  = (the best path to the last sound) / sounds - reward

    where `entered` comes from the previous sound, with `reward` nats for each sound, and a phrase may begin in any
    frame. The score is the mean log-likelihood ratio per sound, 0 if each sound was the likeliest symbol: that of the
    decoder of typed phrases, for fixed phrases whose sounds all count.

    x[batch, time, symbols] -> y[batch, time, phrases], symbol 0 being CTC's blank. The state is the scores of the best
    paths, (said, waited), each float32[batch, nodes], with a node for each sound of each pronunciation of a phrase.

    Source: Wilpon et al. 1990, "Automatic recognition of keywords in unconstrained speech using hidden Markov models",
    with the topology of CTC (Graves et al. 2006).

    Maxima are taken of two numbers at a time: the gradient of a maximum of many looks for the number that equals it,
    and finds none if a compiler recomputes it with different rounding.

    Args:
        ways: the pronunciations of each phrase, each of one symbol or more.
        symbols: width of a frame.
        lowest: lower bound of scores.
        reward, dearest, waiting: in nats, see above. They only decide between paths.
        run_together: nats for two equal symbols without a blank between them.

    Raises:
        ValueError: there is no phrase, a phrase has no pronunciation, a pronunciation is empty, or a symbol is unknown.
    """

    def __init__(
        self,
        ways: Sequence[Sequence[Sequence[int]]],
        symbols: int,
        *,
        lowest: float = -6.0,
        reward: float = 2.5,
        dearest: float = 8.0,
        waiting: float = 0.02,
        run_together: float = 0.5,
    ):
        if not ways or not all(of and all(len(way) for way in of) for of in ways):
            raise ValueError(
                f"PhraseScores got the ways {ways}; each phrase needs at least one, of one symbol or more."
            )
        said = np.array([symbol for of in ways for way in of for symbol in way])
        if said.min() < 1 or said.max() >= symbols:
            raise ValueError(
                f"PhraseScores got symbols from {said.min()} to {said.max()}; they must be 1 to {symbols - 1}."
            )
        self.nodes, self.phrases, self.lowest = len(said), len(ways), lowest
        self.reward, self.dearest, self.waiting, self.run_together = reward, dearest, waiting, run_together
        sizes = [(phrase, len(way)) for phrase, of in enumerate(ways) for way in of]
        # As products and sums of fixed arrays, because a gather is slow in many runtimes.
        self.chosen = constant(lambda: np.eye(symbols, dtype=np.float32)[:, said], (symbols, len(said)))
        self.rules = constant(lambda: _rules(said, sizes), (3, len(said)))
        most = max(map(len, ways))
        self.ends = constant(lambda: _ends(sizes, len(ways), most), (most, len(said), len(ways)))

    def init_state(self, batch_size: int) -> State:
        return tuple(jnp.full((batch_size, self.nodes), NEVER, jnp.float32) for _ in range(2))

    def step(self, state: State, x: Block) -> tuple[State, OutputFrame]:
        state, y = self._advance(state, *(each[:, 0] for each in self._costs(x)))
        return state, y[:, None].astype(x.dtype)

    def scan(self, state: State, x: Frames) -> tuple[State, Frames]:
        costs = tuple(jnp.swapaxes(each, 0, 1) for each in self._costs(x))
        state, y = jax.lax.scan(lambda state, cost: self._advance(state, *cost), state, costs)
        return state, jnp.swapaxes(y, 0, 1).astype(x.dtype)

    def _costs(self, x: Frames) -> tuple[jax.Array, jax.Array]:
        """The costs of each node's sound and of the blank."""
        x = x.astype(jnp.float32)
        best = jnp.where(jax.nn.one_hot(jnp.argmax(x, axis=-1), x.shape[-1], dtype=bool), x, 0)
        cost = jnp.maximum(x - jnp.sum(best, axis=-1, keepdims=True), -self.dearest)
        return _exactly(cost, self.chosen[...]), cost[..., :1]

    def _advance(self, state: State, cost: jax.Array, blank: jax.Array) -> tuple[State, jax.Array]:
        said, waited = state
        is_first, is_same, sounds = self.rules[...]
        # From the previous sound. Equal sounds are separated by a blank, or run together.
        runs_on = jnp.where(is_same > 0, said - self.run_together, said + self.reward)
        before = jnp.maximum(runs_on, waited + self.reward)
        entered = jnp.where(is_first > 0, self.reward, jnp.pad(before[:, :-1], ((0, 0), (1, 0))))
        latest = jnp.maximum(said, waited)
        said = jnp.maximum(jnp.maximum(said, entered) + cost, NEVER)
        waited = jnp.maximum(latest + blank - self.waiting, NEVER)
        means = jnp.maximum(said, waited) / sounds - self.reward
        ends = [_exactly(means, of_each) for of_each in self.ends[...]]
        return (said, waited), jnp.maximum(reduce(jnp.maximum, ends), self.lowest)


def _rules(said: np.ndarray, sizes: list[tuple[int, int]]) -> np.ndarray:
    """For each node: whether its sound is the first, whether the next is the same, and its pronunciation's length."""
    is_first = np.concatenate([np.arange(count) == 0 for _, count in sizes])
    is_same = np.append(said[1:] == said[:-1], False)
    sounds = np.concatenate([np.full(count, count) for _, count in sizes])
    return np.stack([is_first, is_same, sounds]).astype(np.float32)


def _ends(sizes: list[tuple[int, int]], phrases: int, most: int) -> np.ndarray:
    """[ways, nodes, phrases]: 1 at the last node of each phrase's first pronunciation, second and so on, cyclically."""
    last = np.cumsum([count for _, count in sizes]) - 1
    ends = np.zeros((most, last[-1] + 1, phrases), np.float32)
    for phrase in range(phrases):
        own = [end for end, (of, _) in zip(last, sizes, strict=True) if of == phrase]
        for number in range(most):
            ends[number, own[number % len(own)], phrase] = 1
    return ends


def _exactly(x: jax.Array, chosen: jax.Array) -> jax.Array:
    """Numbers selected by a matrix of zeros and ones; hardware with fast matrix products would round them."""
    return jnp.matmul(x, chosen, precision=jax.lax.Precision.HIGHEST)


__all__ = ["NEVER", "PhraseScores"]
