"""One recording of a batch, from its file to its outputs: atomically, and with retries where they may help."""

import errno
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np

from streamrnn.audio import AudioError, AudioFile, AudioWarning, ChunkSource
from streamrnn.audio.sinks import FileSink
from streamrnn.batch.journal import Entry, Journal, content_of
from streamrnn.batch.recordings import BatchRecording, Shard
from streamrnn.decisions.formats import write_events
from streamrnn.runtime.enhance import enhanced_pieces
from streamrnn.runtime.files import SEGMENT_S, run_file, run_file_events
from streamrnn.runtime.steps import AnyModel, step_of

Format = Literal["jsonl", "srt", "txt", "rttm", "wav", "flac", "npy"]
# By what a model outputs; the first is the default.
FORMATS: dict[str, tuple[Format, ...]] = {
    "events": ("jsonl", "srt", "txt", "rttm"),
    "sound": ("wav", "flac"),
    "numbers": ("npy",),
}
FULL = (errno.ENOSPC, errno.EDQUOT)
FIRST_PAUSE_S = 0.2
PROBE_BYTES = 1 << 20


class DiskFull(OSError):
    """The disk of the outputs is full. Finished recordings remain."""


class Stopped(Exception):
    """The batch was told to stop."""


@dataclass(frozen=True)
class Plan:
    """What every worker of a batch needs to know.

    Attributes:
        model: its name or path, for workers in other processes.
        out: the output folder.
        formats: to write for each recording.
        decision: settings that override the model's.
        channel: the one to process, 0 is the first; None: the mean of all.
        retries: after the first attempt, for errors that may be transient.
        by_content: record a digest of each file, to recognise it later.
        shard: the part of the recordings to process.
    """

    model: str
    out: Path
    formats: tuple[Format, ...]
    decision: dict[str, Any] = field(default_factory=dict)
    channel: int | None = None
    retries: int = 2
    by_content: bool = False
    shard: Shard = field(default_factory=Shard)

    def outputs(self, name: str) -> list[str]:
        """The output files of a recording of this name, relative to `out`."""
        return [output_name(name, form) for form in self.formats]


@dataclass(frozen=True)
class Done:
    """A recording that was processed."""

    recording: BatchRecording
    duration_s: float


@dataclass(frozen=True)
class Failed:
    """A recording without output; the reason, and the number of attempts."""

    recording: BatchRecording
    reason: str
    tries: int


Outcome: TypeAlias = Done | Failed


class Workers(Protocol):
    """Processes recordings, in this process or elsewhere."""

    def outcomes(self, plan: Plan, recordings: Iterable[BatchRecording]) -> Iterator[Outcome | None]:
        """Yields the outcome of each recording, in any order, and None regularly in between. Closing it stops the work.

        Raises:
            DiskFull: no more can be written.
        """
        ...

    def heard_s(self) -> float:
        """Seconds of sound so far, including recordings in progress if known."""
        ...


def output_name(name: str, form: Format) -> str:
    """The file of a recording's output: the recording's whole name and a suffix, so that no two have the same."""
    is_sound = form in FORMATS["sound"]
    return name if is_sound and name.lower().endswith(f".{form}") else f"{name}.{form}"


def formats_of(model: AnyModel, chosen: Iterable[Format], **decision: Any) -> tuple[Format, ...]:
    """The formats to write, without duplicates; for events, jsonl is always included, since tables are made from it.

    Raises:
        TypeError: the model takes no sound; an unknown setting.
        ValueError: the model's output does not fit a format.
    """
    step = step_of(model)
    if getattr(step.signal, "kind", "") != "sound":
        raise TypeError(f"{step.name} takes {step.signal}, no sound. A batch hears recordings; use streamrnn run.")
    gives = step.outlet(**decision).gives
    if wrong := [form for form in chosen if form not in FORMATS[gives]]:
        raise ValueError(f"{step.name} gives {gives}, not {wrong[0]}. Its formats are {', '.join(FORMATS[gives])}.")
    always = ("jsonl",) if gives == "events" else ()
    return tuple(dict.fromkeys((*always, *chosen))) or FORMATS[gives][:1]


def work_off(
    plan: Plan,
    model: AnyModel,
    recording: BatchRecording,
    journal: Journal,
    stop: threading.Event,
    heard: Callable[[float], None] = lambda _seconds: None,
) -> Outcome:
    """Processes a recording, writes its outputs, and records that in the journal.

    Args:
        plan: what to do.
        model: the loaded model.
        recording: the file.
        journal: of the folder, this process's own.
        stop: stops the work at the next chunk of sound.
        heard: called with the seconds of each chunk of sound.

    Raises:
        DiskFull: the outputs cannot be written.
        Stopped: stop was set.
    """
    for tries in range(1, plan.retries + 2):
        try:
            return Done(recording, _Work(plan, model, recording, stop, heard).entered(journal))
        except (DiskFull, Stopped):
            raise
        # Retrying does not help: it is not audio.
        except (AudioError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
            return Failed(recording, _reason(error), tries)
        except Exception as error:
            if tries > plan.retries:
                return Failed(recording, _reason(error), tries)
            if stop.wait(FIRST_PAUSE_S * 2 ** (tries - 1)):
                raise Stopped from None
    raise AssertionError("the last try returns")


class _Work:
    """One attempt."""

    def __init__(
        self,
        plan: Plan,
        model: AnyModel,
        recording: BatchRecording,
        stop: threading.Event,
        heard: Callable[[float], None],
    ):
        self.plan, self.model, self.recording = plan, model, recording
        self.stop, self.heard = stop, heard
        self.samples = 0

    def entered(self, journal: Journal) -> float:
        """Processes the recording and adds its entry. Returns the seconds of sound."""
        before = self.recording.path.stat()
        content = content_of(self.recording.path) if self.plan.by_content else ""
        parts = journal.parts(self.plan.shard)
        aside = parts / f"{os.getpid()}-{secrets.token_hex(6)}"
        aside.mkdir(parents=True)
        names = dict(zip(self.plan.formats, self.plan.outputs(self.recording.name), strict=True))
        try:
            duration_s = self._written(aside)
            sizes = {name: (aside / f"out.{form}").stat().st_size for form, name in names.items()}
            for form, name in names.items():
                place = self.plan.out / name
                place.parent.mkdir(parents=True, exist_ok=True)
                (aside / f"out.{form}").replace(place)
            stat = before.st_size, before.st_mtime_ns
            journal.add(Entry(self.recording.name, *stat, content, duration_s, sizes))
            return duration_s
        except OSError as error:
            if error.errno in FULL:
                raise _full(self.plan.out) from error
            raise
        except AudioError as error:
            # libsndfile does not report why a write fails.
            if _is_full(aside):
                raise _full(self.plan.out) from error
            raise
        finally:
            for left in aside.iterdir():
                left.unlink()
            aside.rmdir()

    def _written(self, aside: Path) -> float:
        """Writes all formats into the folder. Returns the seconds of sound."""
        with AudioFile(self.recording.path) as file:
            source, channel = ChunkSource(self._chunks(file), file.sample_rate), self.plan.channel
            form = self.plan.formats[0]
            if form in get_args(Format)[:4]:
                events = run_file_events(self.model, source, channel=channel, **self.plan.decision)
                for form in self.plan.formats:
                    duration_s, name = self.samples / file.sample_rate, Path(self.recording.name).name
                    write_events(aside / f"out.{form}", events, duration_s, name)
            elif form == "npy":
                np.save(aside / "out.npy", run_file(self.model, source, channel=channel))
            else:
                self._write_sound(aside, source)
            return round(self.samples / file.sample_rate, 6)

    def _write_sound(self, aside: Path, source: ChunkSource) -> None:
        sinks = [FileSink(aside / f"out.{form}", source.sample_rate) for form in self.plan.formats]
        try:
            for piece in enhanced_pieces(self.model, source, channel=self.plan.channel, **self.plan.decision):
                for sink in sinks:
                    sink.write(piece)
        finally:
            for sink in sinks:
                sink.close()

    def _chunks(self, file: AudioFile) -> Iterator[np.ndarray]:
        try:
            for chunk in file.chunks(max(1, round(SEGMENT_S * file.sample_rate))):
                if self.stop.is_set():
                    raise Stopped
                self.samples += len(chunk)
                self.heard(len(chunk) / file.sample_rate)
                yield chunk
        # Warnings may be configured as errors: what could be decoded is still an answer.
        except AudioWarning:
            return


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _full(out: Path) -> DiskFull:
    return DiskFull(f"the disk of {out} is full. What is done stays: make room, and run the same command again.")


def _is_full(folder: Path) -> bool:
    probe = folder / "probe"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        return error.errno in FULL
    return False


__all__ = [
    "FORMATS",
    "DiskFull",
    "Done",
    "Failed",
    "Format",
    "Outcome",
    "Plan",
    "Stopped",
    "Workers",
    "formats_of",
    "output_name",
    "work_off",
]
