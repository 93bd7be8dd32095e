"""Sound in, sound out: models that output sound, live and for whole recordings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from streamrnn.annotations import Float
from streamrnn.audio import Encoding, Source, mono, open_source
from streamrnn.decisions.outlets import Given, Gives, require_outlet
from streamrnn.runtime.files import SEGMENT_S, Recording, outputs_of
from streamrnn.runtime.inlets import inlet_of
from streamrnn.runtime.live import Live
from streamrnn.runtime.steps import AnyModel, step_of


class Enhancer(Live):
    """Runs a denoiser on one live stream: noisy sound in, clean sound out, at the stream's sample rate.

    After flush(), as many samples have come out as went in, aligned: sample n of the output belongs to sample n of the
    input. The output does not depend on how the sound is cut into chunks, bit for bit. Not thread-safe; separate
    enhancers are independent.

    Args:
        model: one that outputs sound, such as streamrnn.load("denoise"), or a loaded export of one.
        sample_rate: of the chunks in Hz, 8,000 to 96,000; default: the model's own. At any other rate, the bandwidth of
            the output is limited to the model's: 8 kHz for a model of 16,000 Hz.
        channels: of the chunks, if there are more than two; they are mixed down.
        encoding: of chunks passed as bytes: s16le (default), f32le, or telephony's mulaw and alaw (G.711).
        warm_up: compile and run one block now, so that the first live block is not slow.
        sound: settings that override the model's: max_attenuation_db.

    Raises:
        AudioError: the sample rate is out of range.
        TypeError: the model does not output sound, or a setting is unknown.
        ValueError: a setting is out of range.
        ValueError: a setting is out of range.
    """

    gives: ClassVar[Gives] = "sound"

    def __init__(
        self,
        model: AnyModel,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        encoding: Encoding | None = None,
        warm_up: bool = True,
        **sound: Any,
    ):
        super().__init__(model, sample_rate, channels, encoding, warm_up, sound)

    def process(self, chunk: Any) -> Float[np.ndarray, " samples"]:
        """Processes a chunk (see Stream.process); returns the samples now complete, float32[samples], often none.

        Raises:
            AudioError: the chunk is not valid sound; all of it is ignored.
            RuntimeError: the stream was flushed.
        """
        return _sound([self._feed(chunk)])

    def skip(self, samples: int) -> Float[np.ndarray, " samples"]:
        """Feeds silence for a gap in the stream: see Stream.skip. Returns the samples now complete."""
        return _sound(self._skip(samples))

    def flush(self) -> Float[np.ndarray, " samples"]:
        """Ends the stream and returns its last samples. A second call returns an empty array."""
        return _sound([self._finish()])


def enhance_file(
    model: AnyModel,
    recording: Recording,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    **sound: Any,
) -> tuple[Float[np.ndarray, " samples"], int]:
    """Denoises a recording; returns (mono float32[n], aligned with the recording's n samples, its sample rate in Hz).

    Equals an Enhancer's output to 1e-5, runs as fast as the machine can, and holds the recording in memory.

    Args:
        model: one that outputs sound, such as streamrnn.load("denoise").
        recording: the path of an audio file; samples, [n] or [n, channels]; or a source that ends.
        sample_rate: of samples, in Hz; files and sources know theirs.
        channel: the channel to use, counted from 0; default: the mean of all.
        sound: settings that override the model's: max_attenuation_db.

    Raises:
        FileNotFoundError, AudioError: the file is missing or not audio, samples came without a sample rate, or there is
            no such channel.
        TypeError: the model does not output sound, or a setting is unknown.
        ValueError: a setting is out of range.
    """
    require_outlet(step_of(model).outlet(**sound), "sound", step_of(model).name)
    # A str is a path here, even "mic".
    recording = Path(recording) if isinstance(recording, str) else recording
    source = open_source(recording, sample_rate=sample_rate, chunk_ms=1000 * SEGMENT_S)
    pieces = list(enhanced_pieces(model, source, channel=channel, **sound))
    return np.concatenate(pieces), source.sample_rate


def enhanced_pieces(
    model: AnyModel, source: Source, *, channel: int | None = None, **sound: Any
) -> Iterator[Float[np.ndarray, " samples"]]:
    """The output of enhance_file in pieces, so that memory use does not grow with the recording.

    Args:
        model: one that outputs sound.
        source: sound that ends; closed at the end.
        channel, sound: as for enhance_file.

    Raises:
        AudioError, TypeError, ValueError: as for enhance_file.
    """
    with source:
        step, rate = step_of(model), source.sample_rate
        outlet, inlet = step.outlet(**sound), inlet_of(step.signal, step.stride, rate)
        require_outlet(outlet, "sound", step.name)
        outlet.begin(inlet.output_resampler())

        def heard() -> Iterator[np.ndarray]:
            for samples in mono(source, rate, channel):
                outlet.hear(samples)
                yield samples

        for frames in outputs_of(step, inlet, heard()):
            yield _sound([outlet.push(frames)])
        yield _sound([outlet.finish(np.zeros((0, step.out_features), np.float32), inlet.duration_s)])


def _sound(given: list[Given]) -> Float[np.ndarray, " samples"]:
    parts = [one.sound for one in given if one.sound is not None]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])


__all__ = ["Enhancer", "enhance_file", "enhanced_pieces"]
