"""Models of what comes next, run on what they drew themselves."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from streamrnn.runtime.steps import AnyModel
from streamrnn.runtime.stream import Stream
from streamrnn.signals import Series

# Below, the likeliest is drawn as surely as anything.
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
    """What comes after a prompt, item by item: each is drawn from the model's probabilities and fed back to it.

    It runs on the compiled step of a `Stream`, so an item costs the same after any length. A Stream may come in place
    of a model: it then goes on from what it was fed, and remembers what was drawn.

    Args:
        model: takes a Series of one id per frame and gives the probabilities of the next id; or draws its frames
            itself, by a method `draw(output, rng, temperature)`, as a Music does; or a Stream of one.
        prompt: ids, or frames, to begin with.
        items: how many to draw.
        temperature: 1 draws by the model's probabilities p, others by p^(1 / temperature); 0 takes the likeliest.
        top_k: draws from the k likeliest alone; None: from all.
        seed: equal seeds draw equal items.

    Raises:
        TypeError: the model is no such model, floats came for ids, or an argument is no whole number.
        ValueError: there is nothing to begin from, an id is out of range, or an argument is.
    """
    stream = model if isinstance(model, Stream) else Stream(model)
    if not isinstance(temperature, Real) or not all(isinstance(n, Integral) for n in (items, seed, top_k or 1)):
        raise TypeError(
            f"generate got items={items!r}, temperature={temperature!r}, top_k={top_k!r}, seed={seed!r}; they are "
            "whole numbers, but for the temperature, which may be any."
        )
    # Asked for good numbers: comparisons with NaN are always false.
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
    # Whole numbers are floats, too; floats are no ids.
    given = given.astype(np.float32) if signal.dtype == "float32" else given
    # One frame may come as a row; what is none is refused by the stream.
    begun = stream.process(given.reshape(-1, signal.features) if given.size % signal.features == 0 else given)
    if not len(begun):
        raise ValueError(
            "generate got an empty prompt: there is nothing to begin from. Pass one item or more, such as the line "
            "break that texts begin after."
        )
    return _drawn(stream, begun[-1], items, drawn)


def draw(
    probabilities: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
) -> int:
    """One item by its probabilities, float[ids]; arguments as of `generate`."""
    # Logs that are divided by less are all infinite in the end, and nothing is likelier than the rest.
    if temperature < COLDEST or top_k == 1:
        return int(np.argmax(probabilities))
    # What is impossible stays so at any temperature.
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(probabilities, np.float64)) / temperature
    if top_k is not None and top_k < len(logs):
        logs[np.argpartition(logs, -top_k)[:-top_k]] = -np.inf
    # The highest of logs with Gumbel noise is drawn by their softmax.
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
            f"this model gives {step.out_features} numbers, {step.lookahead} frames late."
        )


__all__ = ["draw", "generate"]
