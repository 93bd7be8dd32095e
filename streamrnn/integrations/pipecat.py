"""Pipecat: voice activity, a denoiser and wake words for its pipelines. Extra: streamrnn[pipecat].

VADProcessor(vad_analyzer=streamrnn.integrations.pipecat.StreamrnnVADAnalyzer.load("vad.onnx"))
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any

from streamrnn.audio.encodings import to_bytes
from streamrnn.integrations.steady import Steady, samples_of
from streamrnn.pretrained import load
from streamrnn.runtime import Listener, Stream

try:
    from pipecat.audio.filters.base_audio_filter import BaseAudioFilter  # pyright: ignore[reportMissingImports]
    from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams  # pyright: ignore[reportMissingImports]
    from pipecat.frames.frames import (  # pyright: ignore[reportMissingImports]
        BotSpeakingFrame,
        FilterEnableFrame,
        InputAudioRawFrame,
        UserSpeakingFrame,
    )
    from pipecat.turns.types import ProcessFrameResult  # pyright: ignore[reportMissingImports]
    from pipecat.turns.user_start.base_user_turn_start_strategy import (  # pyright: ignore[reportMissingImports]
        BaseUserTurnStartStrategy,
    )
except ImportError as error:
    raise ImportError(
        "pipecat-ai 1.14 or newer is not installed, or not as a whole. Install it: pip install 'streamrnn[pipecat]'"
    ) from error

# Seconds of sound per confidence.
CONFIDENCE_S = 0.02
# Pipecat's default volume floor suits models that take noise for speech; quiet speakers stay below it.
PARAMS = {"confidence": 0.5, "start_secs": 0.1, "stop_secs": 0.2, "min_volume": 0.0}


class StreamrnnVADAnalyzer(VADAnalyzer):
    """Voice activity detection for Pipecat, at any sample rate from 8,000 to 96,000 Hz.

    Args:
        model: a voice activity model, or a loaded export of one.
        sample_rate: of the sound; default: the transport's.
        params: Pipecat's, which decide when speech starts and stops; default: confidence 0.5, start after 0.1 s, stop
            after 0.2 s, any volume.

    Raises:
        TypeError: the model does not detect speech.
    """

    def __init__(self, model: Any, *, sample_rate: int | None = None, params: Any = None):
        outlet = model.outlet()
        if "speech_start" not in outlet.kinds:
            given = ", ".join(outlet.kinds) or outlet.gives
            raise TypeError(f"The model gives {given}; needed is one that finds speech, such as vad.")
        super().__init__(sample_rate=sample_rate, params=params or VADParams(**PARAMS))
        self._model, self._confidence = model, 0.0
        # Now rather than at a caller's first frame.
        self._stream = Stream(model)

    @classmethod
    def load(cls, model: str | PathLike[str] = "vad", **options: Any) -> "StreamrnnVADAnalyzer":
        """Makes an analyzer from a model's name or path, preferably of an export: "vad.onnx"."""
        return cls(load(model), **options)

    def set_sample_rate(self, sample_rate: int) -> None:
        """Starts over at this rate, unless the constructor fixed one.

        Raises:
            AudioError: it is out of range.
        """
        self._stream, self._confidence = Stream(self._model, self._init_sample_rate or sample_rate), 0.0
        super().set_sample_rate(sample_rate)

    def num_frames_required(self) -> int:
        """Samples per confidence: 20 ms."""
        return round(CONFIDENCE_S * self.sample_rate)

    def voice_confidence(self, buffer: bytes) -> float:
        """The highest probability of speech among the frames that the sound completes, 0 to 1."""
        outputs = self._stream.process(samples_of(buffer, 1))
        if len(outputs):
            self._confidence = float(outputs.max())
        return self._confidence


class StreamrnnDenoiser(BaseAudioFilter):
    """Removes noise from a transport's sound: `TransportParams(audio_in_filter=...)`. As many bytes come out as go in,
    delayed by the model's latency. FilterEnableFrame turns it off and on.

    Args:
        model: one that outputs sound, or a loaded export of one.
        settings: decision settings that override the model's: max_attenuation_db.

    Raises:
        TypeError, ValueError: the model does not output sound; an unknown setting, or one out of range.
    """

    def __init__(self, model: Any, **settings: Any):
        self._model, self._settings, self._enabled = model, settings, True
        self._steady: Steady | None = None
        # Now rather than at a caller's first frame.
        Steady(model, model.signal.sample_rate, **settings)

    @classmethod
    def load(cls, model: str | PathLike[str] = "denoise", **settings: Any) -> "StreamrnnDenoiser":
        """Makes a filter from a model's name or path, preferably of an export: "denoise.onnx"."""
        return cls(load(model), **settings)

    async def start(self, sample_rate: int) -> None:
        """Begins a stream at this rate, 8,000 to 96,000 Hz. Raises AudioError for any other."""
        self._begin(sample_rate)

    async def stop(self) -> None:
        """Discards the stream."""
        self._steady = None

    async def process_frame(self, frame: Any) -> None:
        """Obeys FilterEnableFrame. When turned on it starts over: sound that it still held is outdated by then."""
        if isinstance(frame, FilterEnableFrame):
            if frame.enable and not self._enabled and self._steady is not None:
                self._begin(self._steady.sample_rate)
            self._enabled = frame.enable

    def _begin(self, sample_rate: int) -> None:
        self._steady = Steady(self._model, sample_rate, **self._settings)

    async def filter(self, audio: bytes) -> bytes:
        """Denoises sound; before start, and while turned off, returns it unchanged.

        Raises:
            AudioError: the bytes end within a sample.
        """
        if self._steady is None or not self._enabled:
            return audio
        return to_bytes(self._steady.process(samples_of(audio, 1)), "s16le")


class WakeWordUserTurnStartStrategy(BaseUserTurnStartStrategy):
    """Starts user turns on a wake word, detected in the sound rather than in a transcript. Put it first: while it
    sleeps, later strategies receive nothing; while awake, they start turns as usual.

    Events: on_wake_word(strategy, word) and on_asleep(strategy).

    Args:
        model: a keyword model, or a loaded export of one.
        words: the model's words that wake; default: all.
        awake_s: it falls asleep after this much sound in which neither user nor bot speaks.
        settings: decision settings, such as threshold=0.8.
        enable_interruptions: whether a wake word interrupts the bot.

    Raises:
        TypeError: the model does not detect words; an unknown setting.
        ValueError: it does not know one of the words, or a setting is out of range.
    """

    def __init__(
        self,
        model: Any,
        words: Sequence[str] = (),
        *,
        awake_s: float = 10.0,
        enable_interruptions: bool = True,
        **settings: Any,
    ):
        super().__init__(enable_interruptions=enable_interruptions)
        outlet = Listener(model, **settings).outlet
        if "keyword" not in outlet.kinds:
            raise TypeError(f"The model gives {', '.join(outlet.kinds)}; needed is one that finds keywords.")
        if unknown := [word for word in words if word not in outlet.labels]:
            raise ValueError(f"The model does not know {', '.join(unknown)}; it knows {', '.join(outlet.labels)}.")
        self._model, self._settings, self._awake_s = model, settings, awake_s
        self._words = tuple(words or outlet.labels)
        self._listener: Listener | None = None
        self._form: tuple[int, int] | None = None
        self._left_s = 0.0
        self._register_event_handler("on_wake_word")
        self._register_event_handler("on_asleep")

    @classmethod
    def load(cls, model: str | PathLike[str], words: Sequence[str] = (), **options: Any) -> Any:
        """Makes a strategy from a model's name or path, preferably of an export: "wake-computer-jarvis.onnx"."""
        return cls(load(model), words, **options)

    @property
    def is_awake(self) -> bool:
        """Whether later strategies receive frames."""
        return self._left_s > 0

    async def handle_user_turn_started(self) -> None:
        """A turn keeps it awake."""
        self._stay_awake()

    async def process_frame(self, frame: Any) -> Any:
        """Returns STOP on a wake word and while asleep, CONTINUE while awake."""
        await super().process_frame(frame)
        if isinstance(frame, UserSpeakingFrame | BotSpeakingFrame):
            self._stay_awake()
        was_awake = self.is_awake
        if isinstance(frame, InputAudioRawFrame) and await self._woken_by(frame):
            await self.trigger_user_turn_started()
            return ProcessFrameResult.STOP
        if was_awake and not self.is_awake:
            await self._call_event_handler("on_asleep")
        return ProcessFrameResult.CONTINUE if self.is_awake else ProcessFrameResult.STOP

    def _stay_awake(self) -> None:
        if self.is_awake:
            self._left_s = self._awake_s

    async def _woken_by(self, frame: Any) -> bool:
        """Whether the frame completes a wake word, while asleep."""
        samples = samples_of(frame.audio, frame.num_channels)
        if self._listener is None or self._form != (frame.sample_rate, frame.num_channels):
            self._form = (frame.sample_rate, frame.num_channels)
            self._listener = Listener(self._model, frame.sample_rate, channels=frame.num_channels, **self._settings)
        was_awake, events = self.is_awake, self._listener.feed(samples)
        self._left_s = max(0.0, self._left_s - len(samples) / frame.sample_rate)
        for event in events:
            if event.kind == "keyword" and event.label in self._words:
                self._left_s = self._awake_s
                await self._call_event_handler("on_wake_word", event.label)
                return not was_awake
        return False


__all__ = ["PARAMS", "StreamrnnDenoiser", "StreamrnnVADAnalyzer", "WakeWordUserTurnStartStrategy"]
