"""`streamrnn run` with a model that gives sound: into a file, a loudspeaker or a pipe, as it is heard."""

import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamrnn.audio import AudioError, Source
from streamrnn.audio.sinks import PipeSink, Sink, Speaker, open_sink
from streamrnn.cli.channels import heard
from streamrnn.cli.display import REFRESH_S, SILENCE_DB, bar, level_db
from streamrnn.cli.hearing import Enhancing, Place
from streamrnn.cli.interrupt import ending_of, until_interrupted
from streamrnn.cli.plot import Enhancement as Picture
from streamrnn.cli.plot import draw_enhancement
from streamrnn.serve.client_errors import RemoteError

DEVICES = ("speaker", "-")


@dataclass(frozen=True)
class Enhancement:
    """What the command line says of the sound that is to be made.

    Attributes:
        out: a path, or one of DEVICES.
        plot: the picture to draw.
        channel: the one to hear; None for the mean of all.
        others: flag -> its value, of the flags that are for events.
    """

    out: str | None
    plot: Path | None
    channel: int | None
    others: dict[str, Any]

    def check(self, model: str) -> str:
        """Where the sound goes.

        Raises:
            ValueError: that was not said, or a flag is of no use.
        """
        if given := [flag for flag, value in self.others.items() if value]:
            raise ValueError(
                f"{', '.join(given)} is for models that give events; {model} gives sound. Leave it out; "
                "--out says where the sound goes."
            )
        if self.out is None:
            raise ValueError(
                f"{model} gives sound. Say where it goes: --out FILE.wav, --out speaker, or --out - for raw signed "
                "16 bit samples on standard output."
            )
        return self.out


class SoundSession:
    """One run: what was heard, and what came of it.

    Args:
        enhancer: a fresh stream of the model.
        sink: where the sound goes.
        keep: hold the sound, before and after, for a picture.
        channel: the one to hear; None for the mean of all.
    """

    def __init__(self, enhancer: Enhancing, sink: Sink, keep: bool, channel: int | None = None):
        self.enhancer, self.sink, self.keep, self.channel = enhancer, sink, keep, channel
        self.meter = LevelMeter(Console(stderr=True)) if sys.stderr.isatty() else None
        self.before: list[np.ndarray] = [np.zeros(0, np.float32)]
        self.after: list[np.ndarray] = [np.zeros(0, np.float32)]
        self.compute_s = 0.0

    def hear(self, source: Source) -> BaseException | None:
        """Hears the source to its end. What ended it earlier, if anything, is handed back."""
        with self.meter or nullcontext():
            ended_by = ending_of(lambda: self._take_all(source))
            if isinstance(ended_by, BrokenPipeError | RemoteError):
                return ended_by
            return ending_of(lambda: self._give(self._timed(self.enhancer.flush))) or ended_by

    def summary(self) -> str:
        """One line: how much was heard, where it went, how fast, how late."""
        duration_s = self.enhancer.duration_s
        speed = f"{self.compute_s / duration_s:.4f}" if duration_s else "-"
        return (
            f"{duration_s:.1f} s of audio; mono, {self.enhancer.sample_rate} Hz; real-time factor {speed}; "
            f"{self.enhancer.latency()}"
        )

    def _take_all(self, source: Source) -> None:
        with closing(until_interrupted(heard(source, self.channel))) as chunks:
            for samples in chunks:
                self._take(samples)

    def _take(self, samples: np.ndarray) -> None:
        enhanced = self._timed(lambda: self.enhancer.process(samples))
        if self.keep:
            self.before.append(samples)
        if self.meter is not None:
            self.meter.move(self.enhancer.duration_s, samples, enhanced)
        self._give(enhanced)

    def _give(self, enhanced: np.ndarray) -> None:
        self.sink.write(enhanced)
        if self.keep:
            self.after.append(enhanced)

    def _timed(self, work: Callable[[], np.ndarray]) -> np.ndarray:
        started = time.perf_counter()
        enhanced = work()
        self.compute_s += time.perf_counter() - started
        return enhanced


class LevelMeter:
    """One line with the time and the level of the sound, before and after. A context manager: it goes at the end."""

    def __init__(self, console: Console):
        self.live, self.due_s = Live(console=console, auto_refresh=False, transient=True), 0.0

    def __enter__(self) -> "LevelMeter":
        self.live.start()
        return self

    def __exit__(self, *exception) -> None:
        self.live.stop()

    def move(self, time_s: float, before: np.ndarray, after: np.ndarray) -> None:
        """Shows how far the run is: the sound just heard and just given, [n]."""
        if time.monotonic() < self.due_s or not (len(before) and len(after)):
            return
        self.due_s = time.monotonic() + REFRESH_S
        parts = [Text(f"{time_s:8.1f} s", "bold")]
        for name, samples, colour in (("before", before, "yellow"), ("after", after, "green")):
            level = level_db(samples)
            parts += [Text(f" {name}", "dim"), bar((level - SILENCE_DB) / -SILENCE_DB, colour)]
            parts.append(Text(f"{level:3.0f} dB", "dim"))
        self.live.update(Text(" ", no_wrap=True, overflow="crop").join(parts), refresh=True)


def enhance(enhancement: Enhancement, name: str, place: Place, source: Source) -> BaseException | None:
    """Runs the model over the source, and says how it went. What ended it too early, if anything, is handed back.

    Raises:
        ValueError: a flag is of no use, or it was not said where the sound goes.
        OSError, ImportError: the sound can't go there.
    """
    out = enhancement.check(name)
    enhancer = place.enhancing()
    with open_sink(out, source.sample_rate) as sink:
        session = SoundSession(enhancer, sink, enhancement.plot is not None, enhancement.channel)
        ended_by = session.hear(source)
    if enhancement.plot is not None:
        draw_enhancement(_picture(name, session), enhancement.plot)
    is_heard = session.enhancer.duration_s or not isinstance(ended_by, AudioError)
    if is_heard and not isinstance(ended_by, BrokenPipeError):
        print(f"{session.summary()}{_losses(source, sink)}{_wrote(sink, out, enhancement.plot)}", file=sys.stderr)
    return ended_by


def _picture(name: str, session: SoundSession) -> Picture:
    before, after = np.concatenate(session.before), np.concatenate(session.after)
    rate = session.enhancer.sample_rate
    # A pipe that broke took less than was heard.
    after = np.pad(after, (0, len(before) - len(after)))
    return Picture(f"{len(before) / rate:.1f} s of sound before and after {name}", before, after, rate)


def _losses(source: Source, sink: Sink) -> str:
    lost, gaps = getattr(source, "dropped_chunks", 0), getattr(sink, "gaps", 0)
    return (f"; {lost} chunks of sound lost" if lost else "") + (f"; {gaps} gaps in what was played" if gaps else "")


def _wrote(sink: Sink, out: str, plot: Path | None) -> str:
    files = [] if isinstance(sink, PipeSink | Speaker) else [out]
    return "".join(f"; wrote {path}" for path in [*files, *([plot] if plot is not None else [])])


__all__ = ["DEVICES", "Enhancement", "LevelMeter", "SoundSession", "enhance"]
