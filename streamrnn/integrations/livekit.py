"""LiveKit Agents: voice activity for agent sessions, and a denoiser for rooms. Extra: streamrnn[livekit].

session = AgentSession(vad=streamrnn.integrations.livekit.VAD.load("vad.onnx"), ...)

An exported model (`streamrnn export vad vad.onnx`) needs neither JAX nor threads, so it can be loaded in a worker's
prewarm function; a model that JAX runs cannot be used in a process that was forked after it was loaded.
"""

import time
from os import PathLike
from typing import Any

import numpy as np

from streamrnn.audio import as_samples
from streamrnn.audio.encodings import to_bytes
from streamrnn.integrations.steady import Steady, samples_of
from streamrnn.pretrained import load
from streamrnn.runtime import Listener
from streamrnn.runtime.cutting import Cutter, Utterance

try:
    import livekit.agents  # pyright: ignore[reportMissingImports]
    import livekit.rtc  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError(
        "livekit-agents 1.8 or newer is not installed, or not as a whole. Install it: pip install 'streamrnn[livekit]'"
    ) from error

agents: Any = livekit.agents  # pyright: ignore[reportAttributeAccessIssue]
rtc: Any = livekit.rtc  # pyright: ignore[reportAttributeAccessIssue]

# The default rate of rooms.
ROOM_RATE = 24_000


class VAD(agents.vad.VAD):
    """Voice activity detection for LiveKit's AgentSession, at any sample rate from 8,000 to 96,000 Hz.

    Args:
        model: a voice activity model, or a loaded export of one.
        pre_roll_ms: sound before the start of speech that events include.
        longest_s: most speech that events include; longer speech is detected, but the rest is not included.
        settings: decision settings, such as threshold=0.6; min_silence_ms defaults to 550, because agents wait for the
            end of a turn.

    Raises:
        TypeError: the model does not detect speech; an unknown setting.
        ValueError: a setting is out of range.
    """

    def __init__(self, model: Any, *, pre_roll_ms: float = 500.0, longest_s: float = 60.0, **settings: Any):
        outlet = model.outlet()
        if "speech_start" not in outlet.kinds:
            given = ", ".join(outlet.kinds) or outlet.gives
            raise TypeError(f"The model gives {given}; needed is one that finds speech, such as vad.")
        super().__init__(capabilities=agents.vad.VADCapabilities(update_interval=model.frame_s))
        self._streamed = model
        self._settings: dict[str, Any] = {"min_silence_ms": 550.0} | settings
        self._cut: dict[str, Any] = {"pre_roll_ms": pre_roll_ms, "longest_s": longest_s}
        # Now rather than at a caller's first frame: compiling a block and designing resampler filters takes time.
        self._decision = Listener(model, ROOM_RATE, **self._settings).outlet.settings
        Cutter(ROOM_RATE, model.frame_s, self._decision, **self._cut)

    @classmethod
    def load(cls, model: str | PathLike[str] = "vad", **options: Any) -> "VAD":
        """Makes a VAD from a model's name or path, preferably of an export: "vad.onnx". Options as of the class.

        Raises:
            As streamrnn.load and the class.
        """
        return cls(load(model), **options)

    @property
    def model(self) -> str:
        return str(getattr(self._streamed, "name", None) or type(self._streamed).__name__)

    @property
    def provider(self) -> str:
        return "streamrnn"

    @property
    def min_silence_duration(self) -> float:
        """Seconds of silence that end speech, for turn detectors."""
        return self._decision.min_silence_ms / 1000

    def stream(self) -> "VADStream":
        """Opens a stream, which takes frames of one sample rate and number of channels, and emits events."""
        return VADStream(self)


class VADStream(agents.vad.VADStream):
    """A stream of a VAD: START_OF_SPEECH with the sound so far, END_OF_SPEECH with all of it, INFERENCE_DONE for each
    frame that completes a block. flush() starts over at 0 s."""

    def __init__(self, vad: VAD):
        self._owner, self._heard = vad, None
        super().__init__(vad)

    async def _main_task(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, self._FlushSentinel):
                self._heard = None
                continue
            if self._heard is None or self._heard.form != (frame.sample_rate, frame.num_channels):
                self._heard = _Heard(self._owner, frame.sample_rate, frame.num_channels)
            for event in self._heard.events(frame):
                self._event_ch.send_nowait(event)


class _Heard:
    """A segment of a stream, in which all frames have the same format."""

    def __init__(self, vad: VAD, sample_rate: int, channels: int):
        self.form = (sample_rate, channels)
        self._rate, decision = sample_rate, vad._decision
        self._listener = Listener(vad._streamed, sample_rate, channels=channels, warm_up=False, **vad._settings)
        self._cutter = Cutter(sample_rate, vad._streamed.frame_s, decision, **vad._cut)
        self._frame_s, self._threshold = vad._streamed.frame_s, decision.threshold
        self._off_threshold, self._longest_s = decision.resolved_off_threshold, vad._cut["longest_s"]
        self._model_rate = vad._streamed.signal.sample_rate
        self._pieces: list[Utterance] = []
        self._start_s: float | None = None
        self._end_s = self._speech_s = self._silence_s = 0.0

    def events(self, frame: Any) -> list[Any]:
        """The events of a frame."""
        began = time.perf_counter()
        samples = as_samples(samples_of(bytes(frame.data), frame.num_channels))
        self._cutter.hear(samples)
        decided, levels = self._listener.feed(samples), self._listener.activity
        # Before the cutter processes the end, after which nothing is open.
        self._count(levels)
        found = []
        for event in decided:
            said = self._cutter.take([event], [(None, levels)])
            levels = levels[:0]
            self._keep(said)
            found.append(self._started(event) if event.kind == "speech_start" else self._ended(event))
        self._keep(self._cutter.take([], [(None, levels)]))
        if len(self._listener.outputs):
            done = self._event("INFERENCE_DONE", [frame], inference_duration=time.perf_counter() - began)
            done.probability = float(self._listener.activity.max())
            done.raw_accumulated_speech, done.raw_accumulated_silence = self._speech_s, self._silence_s
            found.append(done)
        return found

    def _keep(self, pieces: list[Utterance]) -> None:
        """Keeps the pieces of open speech until it ends, within limits."""
        for piece in pieces:
            if sum(len(each.samples) for each in self._pieces) < self._longest_s * self._rate:
                self._pieces.append(piece)

    def _count(self, levels: np.ndarray) -> None:
        """Counts how long speech or silence has lasted by the levels alone."""
        for level in levels.tolist():
            is_speech = level >= (self._threshold if self._start_s is None else self._off_threshold)
            self._speech_s = self._speech_s + self._frame_s if is_speech else 0.0
            self._silence_s = 0.0 if is_speech else self._silence_s + self._frame_s

    def _started(self, event: Any) -> Any:
        self._start_s = event.start_s
        return self._event("START_OF_SPEECH", [self._frame(self._cutter.open_sound())])

    def _ended(self, event: Any) -> Any:
        begun_s, self._start_s, self._end_s = event.start_s, None, event.end_s
        sound = np.concatenate([piece.samples for piece in self._pieces])
        self._pieces = []
        ended = self._event("END_OF_SPEECH", [self._frame(sound[: int(self._longest_s * self._rate)])])
        ended.speech_duration = event.end_s - begun_s
        return ended

    def _event(self, kind: str, frames: list[Any], **fields: Any) -> Any:
        now_s, speaking = self._listener.duration_s, self._start_s is not None
        return agents.vad.VADEvent(
            type=agents.vad.VADEventType[kind],
            samples_index=round(now_s * self._model_rate),
            timestamp=now_s,
            speech_duration=now_s - self._start_s if self._start_s is not None else 0.0,
            silence_duration=0.0 if speaking else now_s - self._end_s,
            frames=frames,
            speaking=speaking,
            **fields,
        )

    def _frame(self, samples: np.ndarray) -> Any:
        return rtc.AudioFrame(to_bytes(samples, "s16le"), self._rate, 1, len(samples))


class Denoiser(rtc.FrameProcessor):
    """Removes noise from a room's sound: `RoomInputOptions(noise_cancellation=Denoiser.load("denoise.onnx"))`.

    Each frame comes back with as many samples, delayed by the model's latency; before that, there is silence.
    Multiple channels are mixed down, and each gets the same sound. Any sample rate from 8,000 to 96,000 Hz.

    Args:
        model: one that outputs sound, or a loaded export of one.
        settings: decision settings that override the model's: max_attenuation_db.

    Raises:
        TypeError: the model does not output sound; an unknown setting.
    """

    def __init__(self, model: Any, **settings: Any):
        self._model, self._settings, self._enabled = model, settings, True
        # Now rather than at a caller's first frame.
        self._begin(ROOM_RATE)

    @classmethod
    def load(cls, model: str | PathLike[str] = "denoise", **settings: Any) -> "Denoiser":
        """Makes a denoiser from a model's name or path, preferably of an export: "denoise.onnx"."""
        return cls(load(model), **settings)

    @property
    def enabled(self) -> bool:
        """Whether frames are denoised; if not, they pass through unchanged."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._begin(self._rate)

    def _begin(self, sample_rate: int) -> None:
        self._rate, self._steady = sample_rate, Steady(self._model, sample_rate, **self._settings)

    def _process(self, frame: Any) -> Any:
        if not self._enabled:
            return frame
        if frame.sample_rate != self._rate:
            self._begin(frame.sample_rate)
        given = self._steady.process(samples_of(bytes(frame.data), frame.num_channels))
        sound = np.repeat(given, frame.num_channels)
        return rtc.AudioFrame(
            to_bytes(sound, "s16le"), frame.sample_rate, frame.num_channels, len(given), userdata=frame.userdata
        )

    def _close(self) -> None:
        self._begin(self._rate)


__all__ = ["VAD", "Denoiser", "VADStream"]
