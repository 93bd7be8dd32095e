"""Utterances cut out of live sound, ready for a recogniser."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from streamrnn.audio import as_samples, open_source
from streamrnn.decisions import Segment
from streamrnn.models import VoiceActivity
from streamrnn.runtime.listener import Listener

Samples = Float[np.ndarray, " samples"]


def speech_audio(
    model: VoiceActivity, source: Any, sample_rate: int | None = None, *, pre_roll_ms: float = 200.0, **decision: Any
) -> Iterator[tuple[Segment, Samples]]:
    """The utterances of a source, each as soon as it has ended: (segment, its samples, mono float32[n]).

    What is held in memory is the present utterance and the pre-roll; silence is dropped as it goes by.

    Args:
        model: a voice activity model.
        source, sample_rate: see listen().
        pre_roll_ms: sound kept before each start, so that recognisers don't lose a first consonant.
        decision: settings of the decoder that override the model's.
    """
    source = open_source(source, sample_rate=sample_rate)
    listener, recent = Listener(model, source.sample_rate, **decision), _Recent(source.sample_rate)
    settings, pre_roll_s = model.decoder(**decision).settings, pre_roll_ms / 1000
    backdating_s = (listener.latency.algorithmic_ms + settings.min_speech_ms + settings.padding_ms) / 1000
    start_s: float | None = None
    previous_end_s = 0.0
    with source:
        for chunk in chain(source, [None]):
            events = listener.finish() if chunk is None else listener.feed(recent.add(as_samples(chunk)))
            for event in events:
                start_s = event.start_s if event.kind == "speech_start" else None
                if event.kind == "speech_end" and event.end_s is not None:
                    segment = Segment(event.label, event.start_s, event.end_s, event.score)
                    # In a short pause the pre-roll gives way, so that no sound comes twice.
                    yield segment, recent.cut(max(segment.start_s - pre_roll_s, previous_end_s), segment.end_s)
                    previous_end_s = segment.end_s
            needed_s = listener.stream.duration_s - backdating_s if start_s is None else start_s
            recent.forget(needed_s - pre_roll_s)


class _Recent:
    """The latest samples of a stream, by their time in it."""

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self.chunks: deque[Samples] = deque()
        self.first = 0

    def add(self, samples: Samples) -> Samples:
        # A copy: sources may fill one buffer again and again.
        self.chunks.append(samples.copy())
        return samples

    def forget(self, before_s: float) -> None:
        while self.chunks and self.first + len(self.chunks[0]) <= before_s * self.sample_rate:
            self.first += len(self.chunks.popleft())

    def cut(self, start_s: float, end_s: float) -> Samples:
        samples = np.concatenate(self.chunks)
        start, end = (round(t * self.sample_rate) - self.first for t in (start_s, end_s))
        return samples[max(start, 0) : end]


__all__ = ["speech_audio"]
