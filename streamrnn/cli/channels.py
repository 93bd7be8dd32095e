"""`streamrnn run --channel each`: every channel of the sound is a stream of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from streamrnn.audio import AudioError, Source, as_channels, mono, one_channel
from streamrnn.cli.hearing import Hearing
from streamrnn.decisions import Event, SpeechSettings


def heard(source: Source, channel: int | str | None) -> Iterator[np.ndarray]:
    """The chunks of a source as they are to be heard: mono float32[n], or, for "each", float32[n, channels]."""
    if channel != "each":
        return mono(source, source.sample_rate, channel if isinstance(channel, int) else None)
    return (samples.reshape(len(samples), -1) for samples in map(as_channels, source))


def require_channel(source: Source, channel: int | str | None) -> None:
    """Raises AudioError where the source lacks the channel that was asked for."""
    if isinstance(channel, int) and source.channels is not None:
        one_channel(np.zeros((0, source.channels), np.float32), channel)
    if channel == "each" and source.channels is None:
        raise AudioError("this source does not say how many channels it has. Choose one: --channel 0.")


class EachChannel:
    """The channels of a recording, heard apart. Events come in the order of their decisions, labelled `channel 0: ...`.

    Args:
        hearings: a fresh stream of the model for each channel.
    """

    def __init__(self, hearings: Sequence[Hearing]):
        self._hearings = hearings
        self.sample_rate, self.frame_s = hearings[0].sample_rate, hearings[0].frame_s

    @property
    def speech(self) -> SpeechSettings | None:
        return self._hearings[0].speech

    @property
    def duration_s(self) -> float:
        return self._hearings[0].duration_s

    @property
    def activity(self) -> np.ndarray:
        """The highest of all channels, [frames]."""
        heard = [hearing.activity for hearing in self._hearings]
        frames = min(map(len, heard))
        return np.max([activity[:frames] for activity in heard], axis=0)

    def feed(self, samples: np.ndarray) -> list[Event]:
        return self._labelled([hearing.feed(one_channel(samples, i)) for i, hearing in enumerate(self._hearings)])

    def finish(self) -> list[Event]:
        return self._labelled([hearing.finish() for hearing in self._hearings])

    def latency(self) -> str:
        return self._hearings[0].latency()

    def _labelled(self, events: list[list[Event]]) -> list[Event]:
        labelled = [
            replace(event, label=f"channel {channel}: {event.label}")
            for channel, of_channel in enumerate(events)
            for event in of_channel
        ]
        return sorted(labelled, key=lambda event: event.decided_s)


def apart(events: list[Event]) -> list[Event]:
    """The events of all channels, one channel after another: words of one do not end the other's utterances."""
    return sorted(events, key=lambda event: event.label.partition(":")[0])


__all__ = ["EachChannel", "apart", "heard", "require_channel"]
