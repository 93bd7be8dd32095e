"""Streams of items as JSON: what clients send becomes frames, and each output becomes an answer."""

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

# Significant digits of a number in an answer.
DIGITS = 6


class Items:
    """Parses items for a model, and formats its outputs.

    An item is a text, parsed like a line of `streamrnn run`, or a frame as the model takes it: a list of numbers, or a
    single number if a frame has one feature.

    Args:
        model: of a Series.
        stream: of the model.
        overrides: decision settings that override the model's.
    """

    sample_rate: int | None = None
    piece, small_bytes, by_number = 1, 0, True

    def __init__(self, model: Model, stream: PooledStream, overrides: Mapping[str, Any]):
        self._stream = stream
        # An exported model has no task.
        task = find_task(getattr(model, "task", ""))
        self._lines: Any = None if task is None or task.lines is None else task.resolve("lines")(model, **overrides)
        self._series = _series(model)

    async def units(self, message: Any) -> np.ndarray:
        """Converts a message of items to frames, float32 or int32[frames, features].

        Raises:
            ProtocolError: bad_message or bad_items; one of them is not valid.
        """
        if not isinstance(message, list):
            raise ProtocolError("bad_message", "sound arrived, but this stream takes items. Send them as JSON.")
        # Parsing hundreds of words takes as long as many ticks.
        return await asyncio.to_thread(self.frames, message)

    def said(self, answer: Answer, frame: int) -> Iterator[tuple[str, dict[str, Any]]]:
        # One message per output, however ticks group them, so that another server numbers them the same.
        for number, output in enumerate(answer.outputs, start=frame):
            yield "answer", {"frame": number, **self.told(output)}

    def frames(self, items: Sequence[Any]) -> np.ndarray:
        """Converts items to frames, float32 or int32[frames, features].

        Raises:
            ProtocolError: bad_items; the item that is not valid is in `details`, as `item`.
        """
        found = [self._frames(number, item) for number, item in enumerate(items)]
        frames = np.concatenate([np.zeros((0, self._series.features), self._series.dtype), *found])
        try:
            return self._stream.read(frames)
        except (TypeError, ValueError) as error:
            number, why = next(((n, why) for n, one in enumerate(found) if (why := self._fault(one))), (0, str(error)))
            raise _bad(number, f"cannot be used: {why}") from None

    def _fault(self, frames: np.ndarray) -> str | None:
        """Why the model does not accept these frames; None if it does."""
        try:
            self._stream.read(frames)
        except (TypeError, ValueError) as error:
            return str(error)
        return None

    def told(self, output: np.ndarray) -> dict[str, Any]:
        """The answer for a frame whose output is [out], ready for JSON."""
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
            # Numbers that are too large become infinite, and are refused as such.
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
    """Describes the items that the model takes, for JSON; {} if it takes sound."""
    if not isinstance(model.signal, Series):
        return {}
    series = model.signal
    frame = {"features": series.features, "dtype": series.dtype, "ids": series.ids}
    return {"task": getattr(model, "task", ""), "frame": frame}


def takes_items(model: Model) -> bool:
    """Whether the model takes items rather than sound."""
    return isinstance(model.signal, Series)


def _series(model: Model) -> Series:
    if not isinstance(model.signal, Series):
        raise TypeError(f"Items got a model of {model.signal}; it needs one of a Series.")
    return model.signal


def _bad(number: int, what: str) -> ProtocolError:
    told = f"item {number} of the message {what.removesuffix('.')}. Nothing of the message was used."
    return ProtocolError("bad_items", told, item=number, why=what)


__all__ = ["Items", "described", "takes_items"]
