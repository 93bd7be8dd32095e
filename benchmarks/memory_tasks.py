"""Two tasks that can only be done by remembering: the adding problem and the copying task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from streamrnn.shapes import Frames

ROWS = 32
TO_COPY, SYMBOLS = 10, 8
BLANK, GO = SYMBOLS, SYMBOLS + 1
# Hochreiter & Schmidhuber 1997, section 5.4: a sum is right within .04.
RIGHT_WITHIN = 0.04


@dataclass(frozen=True)
class Task:
    """What is to be learned from sequences of a length, and how it is judged.

    Attributes:
        name: as in tables.
        in_features, out_features: numbers per frame.
        frames: length -> frames of a sequence.
        draw: (key, rows, length) -> (x[rows, frames, in], what is right[rows, ...]).
        loss: (y[rows, frames, out], what is right) -> mean loss.
        right: the same -> share of right answers, in [0, 1].
        chance: what `right` is without any memory.
    """

    name: str
    in_features: int
    out_features: int
    frames: Callable[[int], int]
    draw: Callable[[Any, int, int], tuple[Any, Any]]
    loss: Callable[[Any, Any], Any]
    right: Callable[[Any, Any], Any]
    chance: float


def draw_sums(key: jax.Array, rows: int, length: int) -> tuple[Frames, jax.Array]:
    """(x[rows, length, 2], sums[rows]): numbers in [0, 1), and marks at two of them, one in each half."""
    of_numbers, of_first, of_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(of_numbers, (rows, length))
    first = jax.random.randint(of_first, (rows,), 0, length // 2)
    second = jax.random.randint(of_second, (rows,), length // 2, length)
    marks = jax.nn.one_hot(first, length) + jax.nn.one_hot(second, length)
    return jnp.stack([numbers, marks], axis=-1), jnp.sum(numbers * marks, axis=1)


def draw_copies(key: jax.Array, rows: int, length: int) -> tuple[Frames, jax.Array]:
    """(x[rows, length + 2 * TO_COPY, SYMBOLS + 2], symbols[rows, TO_COPY]).

    The symbols, `length` frames of which the last says go, and blanks while the symbols are to be said.
    """
    symbols = jax.random.randint(key, (rows, TO_COPY), 0, SYMBOLS)
    waiting = jnp.full((rows, length), BLANK).at[:, -1].set(GO)
    saying = jnp.full((rows, TO_COPY), BLANK)
    return jax.nn.one_hot(jnp.concatenate([symbols, waiting, saying], axis=1), SYMBOLS + 2), symbols


def squared_error(y: Frames, sums: jax.Array) -> jax.Array:
    """Of the last frame."""
    return jnp.mean((y[:, -1, 0] - sums) ** 2)


def right_sums(y: Frames, sums: jax.Array) -> jax.Array:
    """Share of sums that the last frame has within RIGHT_WITHIN."""
    return jnp.mean(jnp.abs(y[:, -1, 0] - sums) < RIGHT_WITHIN)


def cross_entropy(y: Frames, symbols: jax.Array) -> jax.Array:
    """Of the frames in which symbols are to be said."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(y[:, -TO_COPY:]), symbols[..., None], axis=-1)
    return -jnp.mean(chosen)


def right_symbols(y: Frames, symbols: jax.Array) -> jax.Array:
    """Share of symbols that are said right."""
    return jnp.mean(jnp.argmax(y[:, -TO_COPY:], axis=-1) == symbols)


# Sums of two uniform numbers are densest at 1: guessing that is right within .04 in about 8 of 100.
ADDING = Task("adding", 2, 1, lambda length: length, draw_sums, squared_error, right_sums, chance=0.078)
COPYING = Task(
    "copying",
    SYMBOLS + 2,
    SYMBOLS,
    lambda length: length + 2 * TO_COPY,
    draw_copies,
    cross_entropy,
    right_symbols,
    chance=1 / SYMBOLS,
)

__all__ = ["ADDING", "COPYING", "ROWS", "Task"]
