"""`streamrnn run`: sound in, events out, as they are decided."""

import dataclasses
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console

from streamrnn.audio import AudioError, Encoding, FileSource, Microphone, PipeSource, Source
from streamrnn.audio.chunks import about
from streamrnn.cli.channels import EachChannel, apart, heard, require_channel
from streamrnn.cli.cut import Cuts
from streamrnn.cli.decision import DecisionFlags, given, spoken
from streamrnn.cli.display import Display, Lines, Meter
from streamrnn.cli.enhance import DEVICES, Enhancement, enhance
from streamrnn.cli.flags import default_is, device_of, parse
from streamrnn.cli.hearing import Hearing, Here, Place, There, require_sound
from streamrnn.cli.interrupt import ending_of, until_interrupted
from streamrnn.cli.outputs import check_outputs
from streamrnn.cli.plot import Picture, check_plot, draw
from streamrnn.cli.run_lines import run_lines, task_of_lines
from streamrnn.decisions import (
    Event,
    as_json_line,
    as_text,
    audacity_labels,
    segments,
    srt,
)
from streamrnn.serve.client_errors import RemoteError


@dataclass(frozen=True)
class Run:
    """Runs a model on sound and prints its decisions as they are made, or outputs the sound that it produces.

    examples:
      streamrnn run vad recording.wav                    where somebody speaks
      streamrnn run vad recording.wav --plot speech.png  the same, as a picture
      streamrnn run vad recording.wav --srt speech.srt   the same, as subtitles
      streamrnn run vad call.wav --utterances FOLDER     the same, and each utterance as a sound file
      streamrnn run vad call.wav --channel each          agent and customer separately
      streamrnn run vad mic                              live; Ctrl-C ends it
      streamrnn run vad mic --json | your_program        one JSON object per line
      arecord -f S16_LE -r 16000 | streamrnn run vad -   raw 16 bit sound from a pipe
      streamrnn run denoise noisy.wav --out clean.wav    the same recording without its noise
      streamrnn run denoise mic --out speaker            live, for headphones
      streamrnn run phrases mic --phrase "hey computer" --phrase "turn on the light"
      streamrnn run vad mic --server ws://10.0.0.7:8765  the model runs on a server (streamrnn serve)

    Events go to standard output: start, end, kind, score, label. A summary follows on standard error.
    """

    model: tyro.conf.Positional[str]
    """Name of a model or task (see `streamrnn models`), or `phrases`; path of a .safetensors or .onnx file; or
    hf://owner/name."""
    source: tyro.conf.Positional[str]
    """An audio file, `mic` for the microphone, or `-` for standard input: any audio file, or raw samples."""
    json: bool = False
    """Print events as JSON, one object per line."""
    srt: Annotated[Path | None, default_is("none")] = None
    """Write the segments to this file as subtitles (SubRip)."""
    out: Annotated[str | None, default_is("none")] = None
    """Where to send the sound of a model that produces sound: an audio file, `speaker`, or `-` for raw signed 16 bit
    samples."""
    labels: Annotated[Path | None, default_is("none")] = None
    """Write the segments to this file as an Audacity label track."""
    utterances: Annotated[Path | None, default_is("none")] = None
    """Write each utterance to a sound file in this folder as soon as it ends."""
    pre_roll_ms: Annotated[float | None, default_is("200")] = None
    """With --utterances: sound to keep before each utterance."""
    longest_s: Annotated[float | None, default_is("30")] = None
    """With --utterances: seconds after which to split an utterance, at a pause."""
    plot: Annotated[Path | None, default_is("none")] = None
    """Plot to this .png, .svg or .pdf: waveform, spectrogram, probability and segments; for a model that produces
    sound, the spectrogram before and after. Keeps the sound in memory."""
    realtime: bool = False
    """Play a file at its original speed, as if live."""
    sample_rate: Annotated[int | None, default_is("the microphone's own; 16000 for standard input")] = None
    """Samples per second of the microphone or of raw standard input."""
    channels: Annotated[int | None, default_is("1")] = None
    """Number of interleaved channels in raw standard input."""
    encoding: Annotated[Encoding | None, default_is("s16le")] = None
    """Sample format of raw standard input: signed 16 bit, 32 bit float, or telephony's mu-law or A-law (G.711)."""
    channel: Annotated[int | Literal["each"] | None, default_is("the mean of all")] = None
    """The channel to use, from 0; `each` runs every channel as its own stream, with its number in the labels."""
    device: Annotated[str | None, default_is("the system's input")] = None
    """The microphone: its number, or part of its name."""
    phrase: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """For phrases: a phrase to listen for, as text. Repeat for each phrase."""
    grammar: Annotated[Path | None, default_is("none")] = None
    """For phrases: a TOML file of commands with slots to listen for."""
    server: Annotated[str | None, default_is("this process")] = None
    """Run MODEL on this server, such as ws://127.0.0.1:8765. The token, if it needs one, comes from the environment
    variable STREAMRNN_TOKEN."""
    decision: DecisionFlags = field(default_factory=DecisionFlags)

    def check_source(self) -> None:
        """Raises ValueError for a flag that this kind of source would ignore."""
        kind = self.source if self.source in ("mic", "-") else "a file"
        for flag, value, kinds in (
            ("--realtime", self.realtime, ("a file",)),
            ("--sample-rate", self.sample_rate, ("mic", "-")),
            ("--channels", self.channels, ("-",)),
            ("--encoding", self.encoding, ("-",)),
            ("--channel", self.channel, ("a file", "-")),
            ("--device", self.device, ("mic",)),
        ):
            if value is not None and value is not False and kind not in kinds:
                raise ValueError(f"{flag} is for the source {' or '.join(kinds)}; this is {kind}. Leave it out.")
        if self.channel == "each" and (self.plot is not None or self.utterances is not None):
            flag = "--plot" if self.plot is not None else "--utterances"
            raise ValueError(f"{flag} is for one stream; --channel each makes several. Choose one: --channel 0.")
        if self.utterances is None and (self.pre_roll_ms, self.longest_s) != (None, None):
            raise ValueError("--pre-roll-ms and --longest-s are for --utterances FOLDER. Name one, or leave them out.")

    @property
    def is_live(self) -> bool:
        """Whether sound comes as it is spoken."""
        return self.realtime or self.source in ("mic", "-")

    @property
    def outputs(self) -> list[Path]:
        """The files to be written."""
        out = Path(self.out) if self.out not in (None, *DEVICES) else None
        return [path for path in (out, self.srt, self.labels, self.plot) if path is not None]

    @property
    def given(self) -> dict[str, Any]:
        """The decision settings that were given."""
        return given(self.decision) | spoken(self.phrase, self.grammar)

    def overrides(self, settings: type) -> dict[str, Any]:
        """The decision settings that were given, for a model that decides by the dataclass `settings`."""
        overrides, known = self.given, {f.name for f in dataclasses.fields(settings)}
        if unknown := sorted(overrides.keys() - known):
            raise ValueError(
                f"the model {self.model} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}."
            )
        return overrides


class Session:
    """One run: what was heard, and what came of it.

    Args:
        hearing: a fresh stream of the model.
        display: where events go.
        keep: hold samples and the model's activity for a plot.
        channel: the one to hear, "each", or None for the mean of all.
        cuts: where utterances go.
    """

    def __init__(
        self,
        hearing: Hearing,
        display: Display,
        keep: bool,
        channel: int | str | None = None,
        cuts: Cuts | None = None,
    ):
        self.hearing, self.display, self.keep, self.channel, self.cuts = hearing, display, keep, channel, cuts
        self.events: list[Event] = []
        self.samples: list[np.ndarray] = []
        self.activity: list[np.ndarray] = []
        self.compute_s = 0.0

    def hear(self, source: Source) -> BaseException | None:
        """Hears the source to its end. What ended it earlier, if anything, is handed back."""
        with self.display:
            ended_by = ending_of(lambda: self._take_all(source))
            if isinstance(ended_by, RemoteError):
                return ended_by
            is_read = not isinstance(ended_by, BrokenPipeError)
            return ending_of(lambda: self._finish(is_read)) or ended_by

    @property
    def duration_s(self) -> float:
        return self.hearing.duration_s

    def summary(self) -> str:
        """One line: how much was heard, what was found, how fast, how late."""
        speed = f"{self.compute_s / self.duration_s:.4f}" if self.duration_s else "-"
        return f"{self.duration_s:.1f} s of audio; {self.found()}; real-time factor {speed}; {self.hearing.latency()}"

    def found(self) -> str:
        """What was found: how much speech, or how many words."""
        found = segments(self.events, self.duration_s)
        if self.hearing.speech is not None:
            return f"{sum(segment.end_s - segment.start_s for segment in found):.1f} s of speech"
        return f"{len(found)} word{'s' * (len(found) != 1)}"

    def _take_all(self, source: Source) -> None:
        with closing(until_interrupted(heard(source, self.channel))) as chunks:
            for samples in chunks:
                self._take(samples)

    def _take(self, samples: np.ndarray) -> None:
        events = self._timed(lambda: self.hearing.feed(samples))
        if self.keep:
            self.samples.append(samples)
        self.display.move(self.duration_s, samples, self.hearing.activity)
        self.display.show(events)
        if self.cuts is not None:
            self.cuts.take(samples, events)

    def _finish(self, is_read: bool) -> None:
        events = self._timed(self.hearing.finish)
        if is_read:
            self.display.show(events)
        if self.cuts is not None:
            self.cuts.take(None, events)

    def _timed(self, step: Callable[[], list[Event]]) -> list[Event]:
        started = time.perf_counter()
        events = step()
        self.compute_s += time.perf_counter() - started
        self.events += events
        if self.keep:
            self.activity.append(self.hearing.activity)
        return events


def main(args: list[str]) -> None:
    """Runs `streamrnn run`.

    Raises:
        OSError, ValueError, ImportError: sound, model, settings or outputs cannot be used.
        KeyboardInterrupt, BrokenPipeError: it was ended; all files are written.
    """
    run = parse(Run, "run", args)
    if (task := task_of_lines(run.model)) is not None:
        ended_by = run_lines(run, task)
        if ended_by is not None:
            raise ended_by
        return
    run.check_source()
    check_outputs(run.source, run.outputs)
    if run.plot is not None:
        check_plot(run.plot)
    try:
        with _open(run) as source, _place(run, source) as place:
            ended_by = _hear(run, place, source)
        if ended_by is not None:
            raise ended_by
    except AudioError as error:
        raise (error if run.source in ("mic", "-") else about(run.source, error)) from None


def _hear(run: Run, place: Place, source: Source) -> BaseException | None:
    """Events or sound, by what the model gives. What ended it too early, if anything, is handed back."""
    if place.gives == "numbers":
        raise ValueError(f"{run.model} gives numbers, no events and no sound. {place.advice}")
    if place.gives == "sound":
        if run.channel == "each":
            raise ValueError(f"{run.model} gives sound, of one channel at a time. Choose one: --channel 0.")
        enhancement = Enhancement(
            run.out,
            run.plot,
            run.channel,
            {"--json": run.json, "--srt": run.srt, "--labels": run.labels, "--utterances": run.utterances},
        )
        return enhance(enhancement, run.model, place, source)
    if run.out is not None:
        raise ValueError(f"--out is for models that give sound; {run.model} gives events. Leave it out, or use --srt.")
    return _hear_events(run, place, source)


def _hear_events(run: Run, place: Place, source: Source) -> BaseException | None:
    hearing = _hearing(run, place, source)
    session = Session(hearing, _display(run), run.plot is not None, run.channel, _cuts(run, hearing))
    ended_by = session.hear(source)
    _write(run, session)
    if not isinstance(ended_by, BrokenPipeError) and (session.duration_s or not isinstance(ended_by, AudioError)):
        lost = getattr(source, "dropped_chunks", 0)
        losses = f"; {lost} chunks of sound lost" if lost else ""
        wrote = "".join(f"; wrote {path}" for path in (run.srt, run.labels, run.plot) if path is not None)
        if session.cuts is not None:
            wrote += f"; wrote {session.cuts.written} utterances to {run.utterances}"
        print(f"{session.summary()}{losses}{wrote}", file=sys.stderr)
    return ended_by


def _hearing(run: Run, place: Place, source: Source) -> Hearing:
    if run.channel != "each" or source.channels is None:
        return place.hearing()
    return EachChannel([place.hearing() for _ in range(source.channels)])


def _cuts(run: Run, hearing: Hearing) -> Cuts | None:
    if run.utterances is None:
        return None
    pre_roll_ms = 200.0 if run.pre_roll_ms is None else run.pre_roll_ms
    return Cuts(run.utterances, hearing, pre_roll_ms, 30.0 if run.longest_s is None else run.longest_s)


def _open(run: Run) -> Source:
    try:
        source = _source(run)
    except AudioError:
        # A model whose name is wrong, or that takes no sound, is the reason why this source came.
        if run.server is None and run.source not in ("mic", "-"):
            require_sound(run.model)
        raise
    try:
        require_channel(source, run.channel)
    except ValueError:
        source.close()
        raise
    return source


def _source(run: Run) -> Source:
    match run.source:
        case "mic":
            return Microphone(run.sample_rate, device=device_of(run.device))
        case "-":
            rate = 16_000 if run.sample_rate is None else run.sample_rate
            channels = 1 if run.channels is None else run.channels
            return PipeSource(sample_rate=rate, channels=channels, encoding=run.encoding or "s16le")
    return FileSource(run.source, realtime=run.realtime)


def _place(run: Run, source: Source) -> Place:
    if run.server is None:
        return Here(run.model, source.sample_rate, run.overrides)
    return There(run.server, run.model, source.sample_rate, run.is_live, run.given)


def _display(run: Run) -> Display:
    if run.json:
        return Lines(as_json_line)
    return Meter(Console()) if sys.stdout.isatty() else Lines(as_text)


def _write(run: Run, session: Session) -> None:
    events = apart(session.events) if run.channel == "each" else session.events
    if run.srt is not None:
        run.srt.write_text(srt(events, session.duration_s), encoding="utf-8", newline="\n")
    if run.labels is not None:
        run.labels.write_text(audacity_labels(events, session.duration_s), encoding="utf-8", newline="\n")
    if run.plot is not None:
        draw(_picture(run, session), run.plot)


def _picture(run: Run, session: Session) -> Picture:
    hearing, settings = session.hearing, session.hearing.speech
    name = {"mic": "microphone", "-": "standard input"}.get(run.source, Path(run.source).name)
    # Names need not be UTF-8, and what cannot be drawn must not end the run.
    name = name.encode("utf-8", "replace").decode()
    return Picture(
        title=f"{name}: {session.found()} in {session.duration_s:.1f} s",
        samples=np.concatenate([np.zeros(0, np.float32), *session.samples]),
        sample_rate=hearing.sample_rate,
        probabilities=np.concatenate([np.zeros(0, np.float32), *session.activity]),
        frame_s=hearing.frame_s,
        events=session.events,
        thresholds={"on": settings.threshold, "off": settings.resolved_off_threshold} if settings else {},
    )


__all__ = ["Run", "Session", "main"]
