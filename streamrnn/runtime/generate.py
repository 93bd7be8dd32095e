"""Autoregressive generation: models of the next item, fed with what was drawn from them."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from streamrnn.runtime.steps import AnyModel
from streamrnn.runtime.stream import Stream
from streamrnn.signals import Series

# Below this, sampling always draws the likeliest item.
COLDEST = 1e-6


def generate(
    model: AnyModel | Stream,
    prompt: Sequence[Any] | np.ndarray = (),
    items: int = 100,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[Any]:
    """Generates what comes after a prompt, item by item: each is drawn from the model's probabilities and fed back to
    it.

    It runs on the compiled step of a `Stream`, so the cost per item does not depend on the length so far. If a Stream
    is passed, it continues from what it was fed, and its state then includes the drawn items.

    Args:
        model: takes a Series of one id per frame and outputs the probabilities of the next id; or draws its frames
            itself, with a method `draw(output, rng, temperature)`, as Music does; or a Stream of such a model.
        prompt: ids, or frames, to start from.
        items: how many to draw.
        temperature: 1 draws from the model's probabilities p, other values from p^(1 / temperature); 0 takes the
            likeliest item.
        top_k: draws only from the k likeliest; None: from all.
        seed: equal seeds draw equal items.

    Raises:
        TypeError: the model cannot generate, floats were passed as ids, or an argument is not a whole number.
        ValueError: the prompt is empty, or an id or an argument is out of range.
    """
    stream = model if isinstance(model, Stream) else Stream(model)
    if not isinstance(temperature, Real) or not all(isinstance(n, Integral) for n in (items, seed, top_k or 1)):
        raise TypeError(
            f"generate got items={items!r}, temperature={temperature!r}, top_k={top_k!r}, seed={seed!r}; they must be "
            "whole numbers, except for the temperature, which may be any number."
        )
    # Tests for valid numbers, because comparisons with NaN are always false.
    if not (items >= 0 and 0 <= temperature < math.inf) or (top_k is not None and top_k < 1):
        raise ValueError(
            f"generate got items={items}, temperature={temperature}, top_k={top_k}; the first two are 0 or more "
            "and finite, top_k is 1 or more."
        )
    if seed < 0:
        raise ValueError(f"generate got seed={seed}; it must be 0 or above.")
    rng, signal = np.random.default_rng(seed), stream.step.signal
    drawn: Callable[[np.ndarray], Any]
    if (of_frames := getattr(stream.model, "draw", None)) is not None:
        if top_k is not None:
            raise ValueError("generate got top_k; this model draws many keys at once, not one of many. Leave it out.")
        drawn = partial(of_frames, rng=rng, temperature=temperature)
    else:
        _check(stream)
        drawn = partial(draw, temperature=temperature, top_k=top_k, rng=rng)
    given = np.asarray(prompt)
    # Whole numbers may stand for floats, but floats not for ids.
    given = given.astype(np.float32) if signal.dtype == "float32" else given
    # One frame may come as a row; what is none is refused by the stream.
    begun = stream.process(given.reshape(-1, signal.features) if given.size % signal.features == 0 else given)
    if not len(begun):
        raise ValueError(
            "generate got an empty prompt: there is nothing to start from. Pass one item or more, such as the line "
            "break that precedes each text."
        )
    return _drawn(stream, begun[-1], items, drawn)


def draw(
    probabilities: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
) -> int:
    """Draws one item by its probabilities, float[ids]; arguments as for `generate`."""
    # Divided by even less, all logs would become infinite, and no item likelier than the others.
    if temperature < COLDEST or top_k == 1:
        return int(np.argmax(probabilities))
    # What is impossible stays impossible at any temperature.
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(probabilities, np.float64)) / temperature
    if top_k is not None and top_k < len(logs):
        logs[np.argpartition(logs, -top_k)[:-top_k]] = -np.inf
    # The maximum of logs plus Gumbel noise is a draw from their softmax.
    return int(np.argmax(logs + (rng or np.random.default_rng()).gumbel(size=len(logs))))


def _drawn(stream: Stream, output: np.ndarray, items: int, drawn: Callable[[np.ndarray], Any]) -> Iterator[Any]:
    signal = stream.step.signal
    for _ in range(items):
        item = drawn(output)
        yield item
        output = stream.process(np.asarray(item, signal.dtype).reshape(1, -1))[-1]


def _check(stream: Stream) -> None:
    step, signal = stream.step, stream.step.signal
    if not isinstance(signal, Series) or signal.dtype != "int32" or (signal.features, step.stride) != (1, 1):
        raise TypeError(f"generate needs a model of a Series of one id per frame; this one takes {signal}.")
    if step.lookahead or (signal.ids or step.out_features) != step.out_features:
        raise TypeError(
            f"generate needs the probabilities of the next id, one for each of {signal.ids} ids, without look-ahead; "
            f"this model outputs {step.out_features} numbers, {step.lookahead} frames late."
        )


__all__ = ["draw", "generate"]
