"""Items of streams that are no sound, as JSON: what clients send becomes frames, and each output an answer."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from streamrnn.lines import LineError
from streamrnn.models import Model
from streamrnn.runtime import Answer, PooledStream
from streamrnn.serve.protocol import ProtocolError
from streamrnn.signals import Series
from streamrnn.tasks import find_task

# Digits of a number in an answer.
DIGITS = 6


class Items:
    """Reads items for a model, and tells its outputs.

    An item is a text, which is read like a line of `streamrnn run`, or a frame as the model takes it: a list of
    numbers, or one number where a frame has no more.

    Args:
        model: of a Series.
        stream: of it.
        overrides: decision settings in place of its own.
    """

    sample_rate: int | None = None
    piece, small_bytes, by_number = 1, 0, True

    def __init__(self, model: Model, stream: PooledStream, overrides: Mapping[str, Any]):
        self._stream = stream
        # An exported model knows no task.
        task = find_task(getattr(model, "task", ""))
        self._lines: Any = None if task is None or task.lines is None else task.resolve("lines")(model, **overrides)
        self._series = _series(model)

    async def units(self, message: Any) -> np.ndarray:
        """The frames of a message of items, float32 or int32[frames, features].

        Raises:
            ProtocolError: bad_message or bad_items; one of them cannot be used.
        """
        if not isinstance(message, list):
            raise ProtocolError("bad_message", "sound came, and this stream takes items. Send them as JSON.")
        # Hundreds of words take as long as many ticks.
        return await asyncio.to_thread(self.frames, message)

    def said(self, answer: Answer, frame: int) -> Iterator[tuple[str, dict[str, Any]]]:
        # One message per output, whatever came in one tick: on another server each has the same number.
        for number, output in enumerate(answer.outputs, start=frame):
            yield "answer", {"frame": number, **self.told(output)}

    def frames(self, items: Sequence[Any]) -> np.ndarray:
        """The frames of items, float32 or int32[frames, features].

        Raises:
            ProtocolError: bad_items; one of them cannot be used, the `item` of its details.
        """
        found = [self._frames(number, item) for number, item in enumerate(items)]
        frames = np.concatenate([np.zeros((0, self._series.features), self._series.dtype), *found])
        try:
            return self._stream.read(frames)
        except (TypeError, ValueError) as error:
            number, why = next(((n, why) for n, one in enumerate(found) if (why := self._fault(one))), (0, str(error)))
            raise _bad(number, f"cannot be used: {why}") from None

    def _fault(self, frames: np.ndarray) -> str | None:
        """Why the model does not take these frames; None: it does."""
        try:
            self._stream.read(frames)
        except (TypeError, ValueError) as error:
            return str(error)
        return None

    def told(self, output: np.ndarray) -> dict[str, Any]:
        """What is answered to a frame whose output this is, [out], JSON-friendly."""
        if hasattr(self._lines, "told"):
            return self._lines.told(output)
        return {"outputs": [float(f"{number:.{DIGITS}g}") for number in output.tolist()]}

    def _frames(self, number: int, item: Any) -> np.ndarray:
        if isinstance(item, str):
            return self._read(number, item)
        features, dtype = self._series.features, self._series.dtype
        numbers = item if isinstance(item, list) else [item]
        kinds = (int,) if dtype == "int32" else (int, float)
        if len(numbers) != features or not all(type(one) in kinds for one in numbers):
            needed = "whole number" if dtype == "int32" else "number"
            raise _bad(number, f"is {str(item)[:40]}; it must be a text, or {features} {needed}{'s' * (features > 1)}")
        try:
            # What is too large is infinite, and refused with what is.
            with np.errstate(over="ignore"):
                return np.array([numbers], dtype)
        except OverflowError:
            raise _bad(number, f"is {str(item)[:40]}; that is too large") from None

    def _read(self, number: int, text: str) -> np.ndarray:
        if self._lines is None:
            raise _bad(number, "is a text; this model's task is not known here. Send its frames as lists of numbers")
        try:
            return self._lines.frames(text)
        except LineError as error:
            raise _bad(number, f"cannot be used: {error}") from None


def described(model: Model) -> dict[str, Any]:
    """What an item of the model is, for JSON; {} where it hears sound."""
    if not isinstance(model.signal, Series):
        return {}
    series = model.signal
    frame = {"features": series.features, "dtype": series.dtype, "ids": series.ids}
    return {"task": getattr(model, "task", ""), "frame": frame}


def takes_items(model: Model) -> bool:
    """Whether it is a model of items, and not of sound."""
    return isinstance(model.signal, Series)


def _series(model: Model) -> Series:
    if not isinstance(model.signal, Series):
        raise TypeError(f"Items got a model of {model.signal}; it needs one of a Series.")
    return model.signal


def _bad(number: int, what: str) -> ProtocolError:
    told = f"item {number} of the message {what.removesuffix('.')}. Nothing of the message was used."
    return ProtocolError("bad_items", told, item=number, why=what)


__all__ = ["Items", "described", "takes_items"]
