"""Silero VAD's functions, with the same names, arguments, units and results, implemented with this package's models.

Code changes one import: `from streamrnn.compat.silero import load_silero_vad, get_speech_timestamps`. Sound may be
NumPy arrays, lists, or PyTorch tensors; PyTorch is not imported here. Decisions are made on the model's own frames,
so times are exact to 8 or 10 ms, where Silero's are multiples of 32 ms. Any sample rate from 8,000 to 96,000 Hz works.
"""

import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np

from streamrnn.audio import as_samples, write_audio
from streamrnn.audio import read_audio as read_file
from streamrnn.decisions import SpeechDecoder, SpeechSettings, segments
from streamrnn.decisions.checks import check_setting_ms
from streamrnn.pretrained import load
from streamrnn.runtime import Listener, Stream, run_file

# [start, end) in seconds.
Stretch = tuple[float, float]


def load_silero_vad(
    onnx: bool = False,
    opset_version: int = 16,
    sequence: bool = False,
    sampling_rate: int = 16_000,
    max_frames: int = 512,
    *,
    model: str | PathLike[str] = "vad",
) -> "SileroVad":
    """Loads a voice activity model with the interface of Silero's.

    Args:
        model: the name of a shipped model, or a path; an exported .onnx file runs without importing JAX.
        onnx, opset_version, sequence, sampling_rate, max_frames: accepted but ignored: `model` says what runs.

    Raises:
        The errors of streamrnn.load and of SileroVad.
    """
    return SileroVad(load(model))


class SileroVad:
    """A voice activity model: `model(chunk, rate)` returns the probability of speech.

    Args:
        model: one that detects speech, or a loaded export of one.

    Raises:
        TypeError: it does not detect speech.
    """

    def __init__(self, model: Any):
        self.model = _that_finds_speech(model)
        self.reset_states()

    def reset_states(self, batch_size: int = 1) -> None:
        """Discards all state: the next chunk begins new streams."""
        self._streams: list[Stream] = []
        self._rate, self._last = 0, np.zeros((batch_size, 1), np.float32)

    def __call__(self, x: Any, sr: int) -> Any:
        """The highest probability of speech among the frames that the chunk completes, [batch, 1]; the previous one if
        it completes none. Probabilities lag by the model's look-ahead.

        Args:
            x: the next chunk, [samples] or [batch, samples], of any length; another batch size or rate begins new
                streams.
            sr: its rate, 8,000 to 96,000 Hz.

        Raises:
            AudioError, TypeError: the chunk is not sound; nothing of it was used.
        """
        rows = _rows(x)
        if (len(self._streams), self._rate) != (len(rows), sr):
            self._streams = [Stream(self.model, sr, warm_up=False) for _ in rows]
            self._rate, self._last = sr, np.zeros((len(rows), 1), np.float32)
        chunks = [as_samples(row) for row in rows]
        for number, (stream, chunk) in enumerate(zip(self._streams, chunks, strict=True)):
            if len(outputs := stream.process(chunk)):
                self._last[number] = outputs.max()
        return _like(x, self._last.copy())

    def audio_forward(self, x: Any, sr: int) -> Any:
        """The probabilities of a whole recording in blocks of 32 ms, the last one zero-padded: [batch, blocks]."""
        rows, block = _rows(x), max(1, round(0.032 * sr))
        self.reset_states()
        padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % block)))
        found = [self(padded[:, at : at + block], sr) for at in range(0, padded.shape[1], block)]
        return _like(x, np.concatenate(found, axis=1) if found else np.zeros((len(rows), 0), np.float32))


def get_speech_timestamps(
    audio: Any,
    model: Any,
    threshold: float = 0.5,
    sampling_rate: int = 16_000,
    min_speech_duration_ms: float = 250,
    max_speech_duration_s: float = math.inf,
    min_silence_duration_ms: float = 100,
    speech_pad_ms: float = 30,
    return_seconds: bool = False,
    time_resolution: int = 1,
    visualize_probs: bool = False,
    progress_tracking_callback: Callable[[float], None] | None = None,
    neg_threshold: float | None = None,
    window_size_samples: int = 512,
    min_silence_at_max_speech: float = 98,
    use_max_poss_sil_at_max_speech: bool = True,
) -> list[dict[str, Any]]:
    """Finds speech in a recording: [{"start": ..., "end": ...}], in samples, or in seconds on request.

    Args:
        audio: [samples], or [1, samples].
        model: from load_silero_vad, or any model of this package that detects speech.
        threshold, neg_threshold: speech begins at the first and ends below the second; default: threshold - 0.15.
        sampling_rate: 8,000 to 96,000 Hz.
        min_speech_duration_ms: shorter segments are left out.
        max_speech_duration_s: longer segments are cut in silence, which is left out; without any, at this length.
        min_silence_duration_ms: silence that ends a segment.
        speech_pad_ms: added on both sides; segments that would overlap share what lies between them.
        return_seconds, time_resolution: return seconds, rounded to so many digits.
        visualize_probs: not supported.
        progress_tracking_callback: called with 100.0 at the end.
        window_size_samples: ignored.
        min_silence_at_max_speech, use_max_poss_sil_at_max_speech: silence to cut in, in ms; the longest or the last.

    Raises:
        AudioError, TypeError, ValueError: the recording is not mono sound, the model does not detect speech, or a
            setting is out of range.
    """
    if visualize_probs:
        raise ValueError("visualize_probs is not supported. Draw with: streamrnn run vad RECORDING --plot speech.png")
    sound = _mono(audio)
    for name, value in (("speech_pad_ms", speech_pad_ms), ("min_speech_duration_ms", min_speech_duration_ms)):
        check_setting_ms(f"get_speech_timestamps got {name}", value)
    runs = _that_finds_speech(model)
    settings = SpeechSettings(
        threshold=threshold,
        off_threshold=neg_threshold_of(threshold) if neg_threshold is None else neg_threshold,
        min_speech_ms=0,
        min_silence_ms=min_silence_duration_ms,
        padding_ms=0,
    )
    levels, duration_s = run_file(runs, sound, sampling_rate)[:, 0], len(sound) / sampling_rate
    decoder = SpeechDecoder(settings, runs.frame_s)
    found = segments(decoder.push(levels) + decoder.finish(duration_s))
    silence_s = _silences(levels < settings.resolved_off_threshold, runs.frame_s, min_silence_at_max_speech / 1000)
    pad_s = speech_pad_ms / 1000
    most_s, longest = max_speech_duration_s - 2 * pad_s, use_max_poss_sil_at_max_speech
    pieces = [
        piece
        for segment in found
        for piece in _cut((segment.start_s, segment.end_s), most_s, silence_s, longest)
        if piece[1] - piece[0] >= min_speech_duration_ms / 1000
    ]
    if progress_tracking_callback is not None:
        progress_tracking_callback(100.0)
    unit = (lambda t: round(t, time_resolution)) if return_seconds else (lambda t: round(t * sampling_rate))
    return [{"start": unit(start), "end": unit(end)} for start, end in _padded(pieces, pad_s, duration_s)]


def neg_threshold_of(threshold: float) -> float:
    """The score below which speech ends in Silero VAD's code by default."""
    return max(threshold - 0.15, 0.01)


class VADIterator:
    """Detects speech in a live stream: each call takes the next chunk, of any length, and returns {"start": ...},
    {"end": ...} or None.

    Args:
        model, threshold, sampling_rate, min_silence_duration_ms, speech_pad_ms: as in get_speech_timestamps. Speech
            ends below threshold - 0.15.

    Attributes:
        triggered: whether speech is open.
        current_sample: the number of samples taken.

    Raises:
        TypeError: the model does not detect speech.
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        model: Any,
        threshold: float = 0.5,
        sampling_rate: int = 16_000,
        min_silence_duration_ms: float = 100,
        speech_pad_ms: float = 30,
    ):
        self.model, self.threshold, self.sampling_rate = model, threshold, sampling_rate
        self._listener = Listener(
            _that_finds_speech(model),
            sampling_rate,
            threshold=threshold,
            off_threshold=neg_threshold_of(threshold),
            min_speech_ms=0,
            min_silence_ms=min_silence_duration_ms,
            padding_ms=speech_pad_ms,
            # A handover to a person would be a second end.
            hand_over=0.0,
        )
        self.reset_states()

    def reset_states(self) -> None:
        """Discards all state: the next chunk begins a new stream."""
        self._listener.reset()
        self._waiting: deque[dict[str, Any]] = deque()
        self.triggered, self.current_sample = False, 0

    def __call__(self, x: Any, return_seconds: bool = False, time_resolution: int = 1) -> dict[str, Any] | None:
        """Returns the decision on the chunk; if there are several, the others are returned by the next calls.

        Raises:
            AudioError, TypeError, ValueError: the chunk is not mono sound; nothing of it was used.
        """
        chunk = _mono(x)
        events = self._listener.feed(chunk)
        self.current_sample += len(chunk)
        self._waiting.extend(
            {"start": event.start_s} if event.kind == "speech_start" else {"end": event.end_s} for event in events
        )
        if not self._waiting:
            return None
        [(name, time_s)] = self._waiting.popleft().items()
        self.triggered = name == "start"
        return {name: round(time_s, time_resolution) if return_seconds else round(time_s * self.sampling_rate)}


def collect_chunks(
    tss: Sequence[dict[str, Any]], wav: Any, seconds: bool = False, sampling_rate: int | None = None
) -> Any:
    """Concatenates segments of a recording; the result has the recording's own type.

    Raises:
        ValueError: segments are in seconds, but sampling_rate is missing.
    """
    return _joined(wav, [(each["start"], each["end"]) for each in _in_samples(tss, seconds, sampling_rate)])


def drop_chunks(
    tss: Sequence[dict[str, Any]], wav: Any, seconds: bool = False, sampling_rate: int | None = None
) -> Any:
    """Removes segments from a recording; arguments and errors as for collect_chunks."""
    stretches = _in_samples(tss, seconds, sampling_rate)
    starts = [0, *(each["end"] for each in stretches)]
    return _joined(wav, list(zip(starts, [*(each["start"] for each in stretches), len(wav)], strict=True)))


def read_audio(path: str | PathLike[str], sampling_rate: int = 16_000) -> np.ndarray:
    """Reads a recording of any format and sample rate as mono: float32[samples] (an array; Silero returns a tensor).

    Raises:
        FileNotFoundError, AudioError: it is missing, or not audio.
    """
    return read_file(path, sampling_rate)[0]


def save_audio(path: str | PathLike[str], tensor: Any, sampling_rate: int = 16_000) -> None:
    """Writes [samples], or [1, samples], to an audio file.

    Raises:
        FileNotFoundError, AudioError, TypeError, ValueError: it cannot be written, or is not mono sound.
    """
    write_audio(path, _mono(tensor), sampling_rate)


def _that_finds_speech(model: Any) -> Any:
    """The model itself, unwrapped from load_silero_vad's. Raises TypeError if it does not detect speech."""
    runs = model.model if isinstance(model, SileroVad) else model
    if not hasattr(runs, "outlet"):
        raise TypeError(f"{runs!r:.80} came where a model is needed. Pass load_silero_vad().")
    outlet = runs.outlet()
    if "speech_start" not in outlet.kinds:
        gives = ", ".join(outlet.kinds) or outlet.gives
        raise TypeError(f"The model gives {gives}; needed is one that finds speech, such as vad.")
    return runs


def _rows(x: Any) -> np.ndarray:
    rows = np.atleast_2d(_array(x))
    if rows.ndim != 2:
        raise ValueError(f"A chunk has shape {list(rows.shape)}; needed is [samples] or [batch, samples].")
    return rows


def _mono(x: Any) -> np.ndarray:
    """Sound of one channel as float32[samples]. Raises ValueError for more channels."""
    sound = _array(x)
    if sum(length > 1 for length in sound.shape) > 1:
        raise ValueError(f"The sound has shape {list(sound.shape)}; one channel is needed. Pass it alone, or the mean.")
    return as_samples(sound.reshape(-1))


def _array(x: Any) -> np.ndarray:
    x = x.detach().cpu().numpy() if _is_tensor(x) else np.asarray(x)
    return x if x.dtype == np.int16 else x.astype(np.float32, copy=False)


def _is_tensor(x: Any) -> bool:
    # A caller that has a tensor has imported PyTorch.
    return "torch" in sys.modules and isinstance(x, sys.modules["torch"].Tensor)


def _like(x: Any, array: np.ndarray) -> Any:
    return sys.modules["torch"].from_numpy(array) if _is_tensor(x) else array


def _silences(quiet: np.ndarray, frame_s: float, least_s: float) -> list[Stretch]:
    """Runs of quiet frames, at least so long."""
    borders = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8))) * frame_s
    return [(start, end) for start, end in borders.reshape(-1, 2).tolist() if end - start >= least_s]


def _cut(stretch: Stretch, most_s: float, silences: Sequence[Stretch], longest: bool) -> list[Stretch]:
    """Cuts a segment into pieces of at most most_s, without the silences at the cuts."""
    if not most_s > 0:
        raise ValueError("max_speech_duration_s is no longer than twice speech_pad_ms. Pass a longer one.")
    (start_s, end_s), pieces = stretch, []
    while end_s - start_s > most_s:
        within = [each for each in silences if start_s < each[0] <= start_s + most_s and each[1] < end_s]
        pause = (start_s + most_s,) * 2
        if within:
            pause = max(within, key=lambda each: each[1] - each[0]) if longest else within[-1]
        pieces.append((start_s, pause[0]))
        start_s = pause[1]
    return [*pieces, (start_s, end_s)]


def _padded(pieces: Sequence[Stretch], pad_s: float, duration_s: float) -> list[Stretch]:
    starts = [start for start, _ in pieces]
    ends = [end for _, end in pieces]
    gaps_s = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    before = [pad_s, *(min(pad_s, gap_s / 2) for gap_s in gaps_s)]
    after = [*before[1:], pad_s]
    return [
        (max(0.0, start - early), min(duration_s, end + late))
        for start, end, early, late in zip(starts, ends, before, after, strict=False)
    ]


def _in_samples(tss: Sequence[dict[str, Any]], seconds: bool, sampling_rate: int | None) -> list[dict[str, int]]:
    if not seconds:
        return list(tss)
    if not sampling_rate:
        raise ValueError("Stretches in seconds came without sampling_rate. Pass that of the recording.")
    return [{name: round(value * sampling_rate) for name, value in each.items()} for each in tss]


def _joined(wav: Any, stretches: Sequence[tuple[int, int]]) -> Any:
    parts = [wav[start:end] for start, end in stretches] or [wav[:0]]
    return sys.modules["torch"].cat(parts) if _is_tensor(wav) else np.concatenate(parts)


__all__ = [
    "SileroVad",
    "VADIterator",
    "collect_chunks",
    "drop_chunks",
    "get_speech_timestamps",
    "load_silero_vad",
    "neg_threshold_of",
    "read_audio",
    "save_audio",
]
